"""Renews the registrar's own certificate and the broker's (docs/protocol.md, "Trust").

The keys stay: what was sealed to a former certificate of the registrar opens as before, and Mosquitto rereads the
broker's certificate without a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from common import certificates, keys
from common.files import write_private
from common.key_files import no_passphrase
from registrar.authority import BROKER, BROKER_KEY, REGISTRAR, REGISTRAR_FORMER, Authority
from registrar.authority_files import exclusively, read_certificates, read_key
from registrar.host_names import host_names

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from common.key_files import Passphrase
    from common.settings import Settings
    from registrar.audit import AuditLog

_REGISTRAR, _BROKER = "registrar", "broker"


def renew_when_due(authority: Authority, now: dt.datetime) -> dict[str, x509.Certificate]:
    """Renew what has less than a third of its life left, or is an earlier issuing CA's, in the folder only.

    Returns what was renewed, by its name; then the authority has to be loaded again. Raises ConfigurationError where a
    certificate cannot be read or written.
    """
    renewed: dict[str, x509.Certificate] = {}
    if _is_due(authority, authority.registrar[0], now) or _is_due(authority, _broker(authority), now):
        with exclusively(authority.home):
            # Another process may have been faster.
            current = Authority.load(authority.home, authority.settings, authority.passphrase)
            if _is_due(current, current.registrar[0], now):
                renewed[_REGISTRAR] = renew_registrar(current, now)
            if _is_due(current, broker := _broker(current), now):
                renewed[_BROKER] = renew_broker(current, _names(broker), now)
    return renewed


def renew(
    home: Path,
    settings: Settings,
    now: dt.datetime,
    *,
    hosts: Iterable[str] | None = None,
    passphrase: Passphrase = no_passphrase,
) -> dict[str, x509.Certificate]:
    """Renew both certificates, due or not; return them by their names.

    ``hosts`` are the broker's names from now on, besides those of this machine; None keeps those it has. Raises
    ConfigurationError: ``invalid_host``, ``unwritable``, and as ``Authority.load``.
    """
    with exclusively(home):
        authority = Authority.load(home, settings, passphrase)
        names = _names(_broker(authority)) if hosts is None else host_names(hosts)
        return {_REGISTRAR: renew_registrar(authority, now), _BROKER: renew_broker(authority, names, now)}


def note_renewed(log: AuditLog, renewed: dict[str, x509.Certificate], now: dt.datetime) -> None:
    """Write into the audit log what was renewed; raises RefusedError while the database does not answer."""
    for name, certificate in renewed.items():
        log.add(
            "certificate-signed",
            name,
            now,
            certificate=certificates.fingerprint(certificate),
            expires_at=certificate.not_valid_after_utc.isoformat(),
            occasion="renewal",
        )


def renew_registrar(authority: Authority, now: dt.datetime) -> x509.Certificate:
    """Give the registrar's key a new certificate; those it has had stay known."""
    key = keys.check_public(authority.registrar[0].public_key())
    certificate = authority.sign_registrar(key, now)
    # The former ones first: a crash in between leaves one of them there and here, which does no harm.
    write_private(authority.home / REGISTRAR_FORMER, certificates.to_pem(*authority.registrar))
    write_private(authority.home / REGISTRAR, certificates.to_pem(certificate))
    authority.registrar = (certificate, *authority.registrar)
    return certificate


def renew_broker(authority: Authority, names: Sequence[x509.GeneralName], now: dt.datetime) -> x509.Certificate:
    """Give the broker's key a new certificate for these names."""
    key = read_key(authority.home / BROKER_KEY).public_key()
    certificate = authority.sign_broker(key, names, now)
    write_private(authority.home / BROKER, certificates.to_pem(certificate, authority.newest.certificate))
    return certificate


def _is_due(authority: Authority, certificate: x509.Certificate, now: dt.datetime) -> bool:
    if not authority.newest.has_signed(certificate):
        return True
    # Near the end of the issuing CA a new certificate would be over as soon.
    would_last = certificate.not_valid_after_utc < authority.newest.certificate.not_valid_after_utc
    return would_last and certificates.is_due_for_renewal(certificate, now)


def _broker(authority: Authority) -> x509.Certificate:
    return read_certificates(authority.home / BROKER)[0]


def _names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
