"""Makes and keeps the certificate authority, and signs; knows neither accounts nor topics (docs/protocol.md, "Trust").

Under the registrar's home: ``authority/`` (root and issuing CAs with their keys; ``root.key`` can be moved away),
``registrar.key``, ``registrar.pem`` and ``registrar-former.pem``, and ``broker/trust/`` with all that the broker reads:
``ca.pem`` (root and issuing CAs), ``broker.pem`` (with its issuing CA behind it), ``broker.key`` and ``crl.pem`` (the
revocation list of each).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common import certificates, profiles, revocation_lists
from common.certificates import Trust
from common.errors import ConfigurationError, VerificationError
from common.files import write_private
from common.key_files import no_passphrase
from common.revocation_lists import read_crls
from registrar.authority_files import damaged, read, read_certificate, read_certificates, read_key_of
from registrar.certifying import ISSUING_NAME, begin, certificate_builder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.key_files import Passphrase
    from common.revocation_lists import Reason
    from common.settings import Settings

ROOT_KEY, ROOT = "authority/root.key", "authority/root.pem"
# The certificates are together, newest first; of the keys this is the first, see ``issuing_key_file``.
ISSUING_KEY, ISSUING = "authority/issuing.key", "authority/issuing.pem"
REGISTRAR_KEY, REGISTRAR = "registrar.key", "registrar.pem"
# Earlier certificates of the same key, newest first: images name them as their recipient.
REGISTRAR_FORMER = "registrar-former.pem"
BROKER_KEY, BROKER = "broker/trust/broker.key", "broker/trust/broker.pem"
BROKER_AUTHORITIES, BROKER_CRL = "broker/trust/ca.pem", "broker/trust/crl.pem"

# There from before the first file until after the last: what a crash left is no authority and may be overwritten.
UNFINISHED = ".unfinished"
_BROKER_NAME = "broker"


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuing CA: its certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        """The key that its signatures are checked with."""
        return self.key.public_key()

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Tell whether a certificate of our own is one of this CA's, by its authority key identifier."""
        identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        return identifier == x509.AuthorityKeyIdentifier.from_issuer_public_key(self.public_key)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A certificate that belongs on a list, since when, and why where that is known."""

    certificate: x509.Certificate
    revoked_at: dt.datetime
    reason: Reason | None = None


@dataclass(slots=True)
class Authority:
    """The issuing CAs, newest first: the newest signs end certificates, and each its own revocation list.

    ``registrar`` are the certificates of the registrar's own key, newest first.
    """

    home: Path
    settings: Settings
    root: x509.Certificate
    issuers: tuple[Issuer, ...]
    registrar: tuple[x509.Certificate, ...]
    passphrase: Passphrase = no_passphrase

    @classmethod
    def load(cls, home: Path, settings: Settings, passphrase: Passphrase = no_passphrase) -> Self:
        """Return the authority under ``home``; its keys may be encrypted, all with one ``passphrase``.

        Raises ConfigurationError where it is missing (code ``no_authority``), exposed (``exposed_key``), damaged
        (``corrupt_authority``) or closed (``wrong_passphrase``, ``no_passphrase``).
        """
        root, issuing = read_root(home), read_certificates(home / ISSUING)
        former = read_certificates(home / REGISTRAR_FORMER) if (home / REGISTRAR_FORMER).exists() else []
        registrar = tuple(dict.fromkeys((read_certificate(home / REGISTRAR), *former)))
        try:
            for certificate in issuing:
                certificate.verify_directly_issued_by(root)
            key_files = issuing_key_files(home)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise damaged(home / ISSUING) from error
        pairs = zip(issuing, key_files, strict=True)
        issuers = tuple(Issuer(one, read_key_of(one, home / file, passphrase)) for one, file in pairs)
        return cls(home, settings, root, issuers, registrar, passphrase)

    def adopt(self, other: Authority) -> None:
        """Become what the same folder says now: requests that are worked on go on with either."""
        self.issuers, self.registrar = other.issuers, other.registrar

    @property
    def newest(self) -> Issuer:
        """The issuing CA that signs now."""
        return self.issuers[0]

    @property
    def issuing(self) -> tuple[x509.Certificate, ...]:
        """The certificates of the issuing CAs, newest first."""
        return tuple(issuer.certificate for issuer in self.issuers)

    @property
    def ca_pem(self) -> bytes:
        """The root and the issuing CAs, newest first."""
        return certificates.to_pem(self.root, *self.issuing)

    def trust(self, now: dt.datetime) -> Trust:
        """Return what chains are checked against, with the CRLs that the broker has.

        Raises VerificationError where the CRLs are damaged or out of date (see ``needs_crls``).
        """
        crls = read_crls(read(self.home / BROKER_CRL), issuing=self.issuing, now=now)
        return Trust(self.root, self.issuing, crls)

    def needs_crls(self, now: dt.datetime) -> bool:
        """Tell whether new CRLs are due: after ``crl_reissue_days``, or where the broker lacks that of one CA."""
        try:
            crls = self.trust(now).crls
        except (VerificationError, ConfigurationError):
            return True
        age = dt.timedelta(days=self.settings.crl_reissue_days)
        return len(crls) < len(self.issuers) or any(now - crl.last_update_utc >= age for crl in crls)

    def sign_member(self, public_key: rsa.RSAPublicKey, user: str, now: dt.datetime) -> x509.Certificate:
        """Return a certificate for a key of this user."""
        names = [x509.UniformResourceIdentifier(profiles.MEMBER_URI_HEAD + user)]
        profile = profiles.end_extensions(public_key, self.newest.public_key, names)
        return self._sign(public_key, user, profile, days=self.settings.member_certificate_days, now=now)

    def sign_registrar(self, public_key: rsa.RSAPublicKey, now: dt.datetime) -> x509.Certificate:
        """Return a certificate for the registrar's key."""
        names = [x509.UniformResourceIdentifier(profiles.REGISTRAR_URI)]
        profile = profiles.end_extensions(public_key, self.newest.public_key, names)
        days = self.settings.service_certificate_days
        return self._sign(public_key, profiles.REGISTRAR_NAME, profile, days=days, now=now)

    def sign_broker(
        self, public_key: rsa.RSAPublicKey, hosts: Sequence[x509.GeneralName], now: dt.datetime
    ) -> x509.Certificate:
        """Return a server certificate for the broker's key and its host names."""
        usages = [ExtendedKeyUsageOID.SERVER_AUTH]
        profile = profiles.end_extensions(public_key, self.newest.public_key, hosts, usages)
        return self._sign(public_key, _BROKER_NAME, profile, days=self.settings.service_certificate_days, now=now)

    def _sign(
        self,
        public_key: rsa.RSAPublicKey,
        name: str,
        extensions: profiles.Extensions,
        *,
        days: int,
        now: dt.datetime,
    ) -> x509.Certificate:
        # No certificate outlives its issuer: path validation would fail from then on.
        end = min(now + dt.timedelta(days=days), self.newest.certificate.not_valid_after_utc)
        builder = certificate_builder(name, public_key, extensions).issuer_name(self.newest.certificate.subject)
        builder = builder.not_valid_before(begin(now, self.settings)).not_valid_after(end)
        return builder.sign(self.newest.key, hashes.SHA256())

    def issue_crls(
        self, revoked: Iterable[Revocation], number: int, now: dt.datetime
    ) -> tuple[x509.CertificateRevocationList, ...]:
        """Return the CRL of each issuing CA, current for ``crl_days``.

        Each certificate is on the list of the CA that has signed it.
        """
        entries = list(revoked)
        return tuple(self._issue_crl(issuer, entries, number, now) for issuer in self.issuers)

    def _issue_crl(
        self, issuer: Issuer, revoked: Iterable[Revocation], number: int, now: dt.datetime
    ) -> x509.CertificateRevocationList:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(begin(now, self.settings))
            .next_update(now + dt.timedelta(days=self.settings.crl_days))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for one in revoked:
            if issuer.has_signed(one.certificate):
                entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
                entry = entry.revocation_date(one.revoked_at)
                if one.reason is not None:
                    entry = entry.add_extension(x509.CRLReason(one.reason.flag), critical=False)
                builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(issuer.key, hashes.SHA256())

    def write_crls(self, crls: Iterable[x509.CertificateRevocationList]) -> None:
        """Put the CRLs where the broker reads them on SIGHUP, as a whole.

        Mosquitto 2.0.11 lets everyone in after an empty or missing file (measured).
        """
        write_private(self.home / BROKER_CRL, revocation_lists.to_pem(crls))


def read_root(home: Path) -> x509.Certificate:
    """Return the root's certificate; raises ConfigurationError, ``no_authority``, where there is none."""
    if is_unfinished(home) or not (home / ISSUING).exists():
        raise ConfigurationError(
            f"there is no certificate authority in {home}",
            hint="make one with `registrar init`, or name its folder with --home",
            code="no_authority",
        )
    return read_certificate(home / ROOT)


def read_trust(home: Path, now: dt.datetime) -> Trust:
    """Return the same as ``Authority.trust``, without any key."""
    root, issuing = read_root(home), tuple(read_certificates(home / ISSUING))
    return Trust(root, issuing, read_crls(read(home / BROKER_CRL), issuing=issuing, now=now))


def is_unfinished(home: Path) -> bool:
    """Tell whether an authority was begun there and never completed."""
    return (home / UNFINISHED).exists()


def issuing_key_file(number: int) -> str:
    """Return the file with the key of the first (1) or a later issuing CA, under the home."""
    return ISSUING_KEY if number == 1 else f"authority/issuing-{number}.key"


def issuing_key_files(home: Path) -> list[str]:
    """Return the files with the keys of all issuing CAs; raises ConfigurationError where these are damaged."""
    return [issuing_key_file(number_of(issuing)) for issuing in read_certificates(home / ISSUING)]


def number_of(issuing: x509.Certificate) -> int:
    """Return which of the issuing CAs of its root this is, as its CN says: the first is 1."""
    name = str(issuing.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    return int(name.removeprefix(ISSUING_NAME) or 1)


def load_registrar(home: Path, passphrase: Passphrase = no_passphrase) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    """Return the registrar's key and certificate; raises ConfigurationError like ``Authority.load``."""
    certificate = read_certificate(home / REGISTRAR)
    return read_key_of(certificate, home / REGISTRAR_KEY, passphrase), certificate
