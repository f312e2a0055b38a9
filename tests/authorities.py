"""Certificate authorities in memory, and certificates by them, of the profiles in docs/protocol.md ("Trust").

Keys have 2048 bits, for speed. `default()` is made once for all tests of a process; `foreign()` is another
authority with the same names. Time is `NOW` unless a test gives its own.
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.certificates import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
_CLIENT_USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION)


def new_key(size: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, size)


@dataclass(frozen=True)
class Holder:
    """Who has a private key and a certificate for it."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Authorities:
    """A root CA and the issuing CA under it."""

    root: Holder
    issuing: Holder
    now: dt.datetime = NOW
    _members: dict[str, Holder] = field(default_factory=dict)

    @classmethod
    def create(cls, now: dt.datetime = NOW) -> Authorities:
        root_key, issuing_key = new_key(), new_key()
        lifetime = (now - 365 * DAY, now + 3285 * DAY)
        root_name, issuing_name = _name("Sealcast root CA"), _name("Sealcast issuing CA")
        root = _authority(root_name, root_key, root_name, root_key, lifetime, path_length=1)
        issuing = _authority(issuing_name, issuing_key, root_name, root_key, lifetime, path_length=0)
        return cls(Holder(root_key, root), Holder(issuing_key, issuing), now)

    @property
    def ca_pem(self) -> bytes:
        """The payload of `trust/ca`."""
        return self.root.certificate_pem + self.issuing.certificate_pem

    def certify(
        self,
        name: str,
        names: Sequence[x509.GeneralName],
        *,
        key: rsa.RSAPrivateKey | None = None,
        usages: Sequence[x509.ObjectIdentifier] = _CLIENT_USAGES,
        lifetime: tuple[dt.datetime, dt.datetime] | None = None,
    ) -> Holder:
        """Return a key and a certificate for it: whatever name, names, usages and lifetime a test wants."""
        key = key or new_key()
        builder = _builder(_name(name), key, self.issuing.certificate.subject, self.issuing.key)
        not_before, not_after = lifetime or (self.now - DAY, self.now + 89 * DAY)
        builder = (
            builder.not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return Holder(key, builder.sign(self.issuing.key, hashes.SHA256()))

    def new_member(
        self,
        user: str,
        *,
        key: rsa.RSAPrivateKey | None = None,
        lifetime: tuple[dt.datetime, dt.datetime] | None = None,
    ) -> Holder:
        """Return one more device of a user."""
        names = [x509.UniformResourceIdentifier(f"sealcast:member:{user}")]
        return self.certify(user, names, key=key, lifetime=lifetime)

    def member(self, user: str) -> Holder:
        """Return the user's device; the same one each time."""
        if user not in self._members:
            self._members[user] = self.new_member(user)
        return self._members[user]

    @functools.cached_property
    def registrar(self) -> Holder:
        return self.certify("registrar", [x509.UniformResourceIdentifier("sealcast:registrar")])

    @functools.cached_property
    def broker(self) -> Holder:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self.certify("broker", names, usages=[ExtendedKeyUsageOID.SERVER_AUTH])

    def crl(
        self,
        revoked: Mapping[x509.Certificate, dt.datetime] | None = None,
        *,
        number: int = 1,
        lifetime: tuple[dt.datetime, dt.datetime] | None = None,
    ) -> x509.CertificateRevocationList:
        this_update, next_update = lifetime or (self.now - DAY, self.now + 29 * DAY)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.issuing.certificate.subject)
            .last_update(this_update)
            .next_update(next_update)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuing.key.public_key()), critical=False
            )
        )
        for certificate, moment in (revoked or {}).items():
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(moment)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.issuing.key, hashes.SHA256())

    def trust(self, revoked: Mapping[x509.Certificate, dt.datetime] | None = None) -> Trust:
        return Trust(self.root.certificate, (self.issuing.certificate,), (self.crl(revoked),))


@functools.cache
def default() -> Authorities:
    return Authorities.create()


@functools.cache
def foreign() -> Authorities:
    return Authorities.create()


def _authority(
    subject: x509.Name,
    key: rsa.RSAPrivateKey,
    issuer: x509.Name,
    issuer_key: rsa.RSAPrivateKey,
    lifetime: tuple[dt.datetime, dt.datetime],
    *,
    path_length: int,
) -> x509.Certificate:
    builder = (
        _builder(subject, key, issuer, issuer_key)
        .not_valid_before(lifetime[0])
        .not_valid_after(lifetime[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def _builder(
    subject: x509.Name, key: rsa.RSAPrivateKey, issuer: x509.Name, issuer_key: rsa.RSAPrivateKey
) -> x509.CertificateBuilder:
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_identifier, critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
