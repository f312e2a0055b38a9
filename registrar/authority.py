"""Makes and keeps the certificate authority, and signs; knows neither accounts nor topics (docs/protocol.md, "Trust").

Under the registrar's home: ``authority/`` (root and issuing CA with their keys; ``root.key`` can be moved away),
``registrar.key`` and ``registrar.pem``, and ``broker/trust/`` with all that the broker reads: ``ca.pem`` (root and
issuing CA), ``broker.pem`` (with the issuing CA behind it), ``broker.key`` and ``crl.pem``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from common import certificates, keys
from common.certificates import Trust
from common.errors import ConfigurationError, VerificationError
from common.files import flush_folder, make_private_folder, read_private, reason, write_private
from registrar.host_names import host_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.settings import Settings

ROOT_KEY, ROOT = "authority/root.key", "authority/root.pem"
ISSUING_KEY, ISSUING = "authority/issuing.key", "authority/issuing.pem"
REGISTRAR_KEY, REGISTRAR = "registrar.key", "registrar.pem"
BROKER_KEY, BROKER = "broker/trust/broker.key", "broker/trust/broker.pem"
BROKER_AUTHORITIES, BROKER_CRL = "broker/trust/ca.pem", "broker/trust/crl.pem"

# There from before the first file until after the last: what a crash left is no authority and may be overwritten.
_UNFINISHED = ".unfinished"
_ROOT_NAME, _ISSUING_NAME, _BROKER_NAME = "Sealcast root CA", "Sealcast issuing CA", "broker"


@dataclass(frozen=True, slots=True)
class Authority:
    """The issuing CA: signs end certificates and revocation lists.

    What it signs is valid from ``clock_tolerance`` before the time of signing, so that it is accepted at once where a
    clock is behind.
    """

    home: Path
    settings: Settings
    root: x509.Certificate
    issuing: x509.Certificate
    issuing_key: rsa.RSAPrivateKey

    @classmethod
    def load(cls, home: Path, settings: Settings) -> Self:
        """Return the authority under ``home``.

        Raises ConfigurationError where it is missing (code ``no_authority``), exposed (``exposed_key``) or damaged
        (``corrupt_authority``).
        """
        if is_unfinished(home) or not (home / ISSUING).exists():
            raise ConfigurationError(
                f"there is no certificate authority in {home}",
                hint="make one with `registrar init`, or name its folder with --home",
                code="no_authority",
            )
        root, issuing = _read_certificate(home / ROOT), _read_certificate(home / ISSUING)
        try:
            issuing.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise _damaged(home / ISSUING) from error
        return cls(home, settings, root, issuing, _read_key(home / ISSUING_KEY, issuing))

    def trust(self, now: dt.datetime) -> Trust:
        """Return what chains are checked against, with the CRL that the broker has.

        Raises VerificationError where the CRL is damaged or out of date (see ``needs_crl``).
        """
        pem = _read(self.home / BROKER_CRL)
        return Trust(self.root, self.issuing, certificates.read_crl(pem, issuing=self.issuing, now=now))

    def needs_crl(self, now: dt.datetime) -> bool:
        """Tell whether a new CRL is due: after ``crl_reissue_days``, or where the broker has none that holds."""
        try:
            issued = self.trust(now).crl.last_update_utc
        except (VerificationError, ConfigurationError):
            return True
        return now - issued >= dt.timedelta(days=self.settings.crl_reissue_days)

    def sign_member(self, public_key: rsa.RSAPublicKey, user: str, now: dt.datetime) -> x509.Certificate:
        """Return a certificate for a key of this user."""
        names = [x509.UniformResourceIdentifier(certificates.MEMBER_URI_HEAD + user)]
        profile = certificates.end_extensions(public_key, self.issuing_key.public_key(), names)
        return self._sign(public_key, user, profile, days=self.settings.member_certificate_days, now=now)

    def sign_registrar(self, public_key: rsa.RSAPublicKey, now: dt.datetime) -> x509.Certificate:
        """Return a certificate for the registrar's key."""
        names = [x509.UniformResourceIdentifier(certificates.REGISTRAR_URI)]
        profile = certificates.end_extensions(public_key, self.issuing_key.public_key(), names)
        days = self.settings.service_certificate_days
        return self._sign(public_key, certificates.REGISTRAR_NAME, profile, days=days, now=now)

    def sign_broker(
        self, public_key: rsa.RSAPublicKey, hosts: Sequence[x509.GeneralName], now: dt.datetime
    ) -> x509.Certificate:
        """Return a server certificate for the broker's key and its host names."""
        usages = [ExtendedKeyUsageOID.SERVER_AUTH]
        profile = certificates.end_extensions(public_key, self.issuing_key.public_key(), hosts, usages)
        return self._sign(public_key, _BROKER_NAME, profile, days=self.settings.service_certificate_days, now=now)

    def _sign(
        self,
        public_key: rsa.RSAPublicKey,
        name: str,
        extensions: certificates.Extensions,
        *,
        days: int,
        now: dt.datetime,
    ) -> x509.Certificate:
        # No certificate outlives its issuer: path validation would fail from then on.
        end = min(now + dt.timedelta(days=days), self.issuing.not_valid_after_utc)
        builder = _builder(name, public_key, extensions).issuer_name(self.issuing.subject)
        builder = builder.not_valid_before(_start(now, self.settings)).not_valid_after(end)
        return builder.sign(self.issuing_key, hashes.SHA256())

    def issue_crl(
        self, revoked: Iterable[tuple[int, dt.datetime]], number: int, now: dt.datetime
    ) -> x509.CertificateRevocationList:
        """Return a CRL with these (serial number, time of revocation), current for ``crl_days``."""
        issuing_key = self.issuing_key.public_key()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.issuing.subject)
            .last_update(_start(now, self.settings))
            .next_update(now + dt.timedelta(days=self.settings.crl_days))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for serial, revoked_at in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked_at)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.issuing_key, hashes.SHA256())

    def replace_broker(self, hosts: Iterable[str], now: dt.datetime) -> None:
        """Give the broker's key a certificate for these host names and addresses."""
        names = host_names(hosts)
        try:
            key = keys.read(read_private(self.home / BROKER_KEY))
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise _damaged(self.home / BROKER_KEY) from error
        write_private(
            self.home / BROKER, certificates.to_pem(self.sign_broker(key.public_key(), names, now), self.issuing)
        )

    def write_crl(self, crl: x509.CertificateRevocationList) -> None:
        """Put the CRL where the broker reads it on SIGHUP, as a whole.

        Mosquitto 2.0.11 lets everyone in after an empty or missing one (measured).
        """
        write_private(self.home / BROKER_CRL, crl.public_bytes(serialization.Encoding.PEM))


def create(home: Path, *, hosts: Iterable[str], settings: Settings, now: dt.datetime) -> Authority:
    """Make an authority under ``home``, the certificates of registrar and broker, and the first CRL.

    ``hosts`` are the broker's DNS names and IP addresses; those of this machine are always added. Raises
    ConfigurationError: ``already_initialised`` where there is an authority, ``invalid_host``, ``unwritable``.
    """
    broker_names = host_names(hosts)
    refuse_initialised(home)
    root_key, issuing_key, registrar_key, broker_key = (keys.generate(keys.AUTHORITY_SIZE) for _ in range(4))
    root = _sign_authority(_ROOT_NAME, root_key, root_key, path_length=1, settings=settings, now=now)
    issuing = _sign_authority(_ISSUING_NAME, issuing_key, root_key, path_length=0, settings=settings, now=now)
    authority = Authority(home, settings, root, issuing, issuing_key)
    registrar = authority.sign_registrar(registrar_key.public_key(), now)
    broker = authority.sign_broker(broker_key.public_key(), broker_names, now)

    files = {
        ROOT_KEY: keys.to_pem(root_key),
        ROOT: certificates.to_pem(root),
        ISSUING_KEY: keys.to_pem(issuing_key),
        ISSUING: certificates.to_pem(issuing),
        REGISTRAR_KEY: keys.to_pem(registrar_key),
        REGISTRAR: certificates.to_pem(registrar),
        BROKER_AUTHORITIES: certificates.to_pem(root, issuing),
        BROKER_KEY: keys.to_pem(broker_key),
        BROKER: certificates.to_pem(broker, issuing),
    }
    with making(home):
        for name, content in files.items():
            write_private(home / name, content)
        authority.write_crl(authority.issue_crl([], int(now.timestamp()), now))
    return authority


def is_unfinished(home: Path) -> bool:
    """Tell whether an authority was begun there and never completed."""
    return (home / _UNFINISHED).exists()


def refuse_initialised(home: Path) -> None:
    """Raise ConfigurationError, ``already_initialised``, where there is an authority."""
    if not is_unfinished(home) and any((home / name).exists() for name in (ISSUING, REGISTRAR_KEY)):
        raise ConfigurationError(
            f"there is a certificate authority in {home} already",
            hint="every member's certificate depends on it; name another folder with --home",
            code="already_initialised",
        )


@contextlib.contextmanager
def making(home: Path) -> Iterator[None]:
    """Make the folders of an authority that is written inside; what a crash leaves of it may be made anew."""
    refuse_initialised(home)
    for folder in (home, (home / ISSUING).parent, (home / BROKER).parent.parent, (home / BROKER).parent):
        make_private_folder(folder)
    write_private(home / _UNFINISHED, b"")
    yield
    (home / _UNFINISHED).unlink()
    flush_folder(home)


def load_registrar(home: Path) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """Return the registrar's key and certificate; raises ConfigurationError like ``Authority.load``."""
    certificate = _read_certificate(home / REGISTRAR)
    return _read_key(home / REGISTRAR_KEY, certificate), certificate


def _sign_authority(
    name: str,
    key: rsa.RSAPrivateKey,
    root_key: rsa.RSAPrivateKey,
    *,
    path_length: int,
    settings: Settings,
    now: dt.datetime,
) -> x509.Certificate:
    extensions = certificates.authority_extensions(key.public_key(), root_key.public_key(), path_length=path_length)
    builder = _builder(name, key.public_key(), extensions).issuer_name(certificates.common_name(_ROOT_NAME))
    builder = builder.not_valid_before(_start(now, settings))
    return builder.not_valid_after(now + dt.timedelta(days=settings.authority_days)).sign(root_key, hashes.SHA256())


def _builder(name: str, public_key: rsa.RSAPublicKey, extensions: certificates.Extensions) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(certificates.common_name(name)).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    for extension in extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder


def _start(now: dt.datetime, settings: Settings) -> dt.datetime:
    return now - dt.timedelta(seconds=settings.clock_tolerance)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {reason(error)}", hint="restore it from a backup", code="unreadable"
        ) from error


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return certificates.read_certificate(_read(path))
    except VerificationError as error:
        raise _damaged(path) from error


def _read_key(path: Path, certificate: x509.Certificate) -> rsa.RSAPrivateKey:
    try:
        key = keys.read(read_private(path))
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise _damaged(path) from error
    if key.public_key() != certificate.public_key():
        raise _damaged(path)
    return key


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is damaged, or does not belong to the other files of the authority",
        hint="restore the folder from a backup",
        code="corrupt_authority",
    )
