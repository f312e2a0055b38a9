"""Chains of our own profile, each with one deviation, and what a reader makes of them from the first byte on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import authorities
import handmade
from authorities import NOW
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from common import certificates
from common.certificates import Trust
from common.revocation_lists import read_crls

if TYPE_CHECKING:
    import datetime as dt

    from cryptography.hazmat.primitives.asymmetric import rsa

AUTHORITIES = authorities.default()
ROOT_KEY, ISSUING_KEY = AUTHORITIES.root.key, AUTHORITIES.issuing.key
ALICE = AUTHORITIES.member("alice")
OTHER_KEY = ALICE.key  # somebody else's, for whom an authority's is expected


@dataclass(frozen=True)
class Chain:
    """The pinned root, the authority under it, its revocation list, and a member's certificate."""

    root: x509.Certificate
    issuing: x509.Certificate
    crl: x509.CertificateRevocationList
    member: x509.Certificate

    @classmethod
    def of(cls, makers: authorities.Authorities) -> Chain:
        crl, member = makers.crl(), makers.member("alice").certificate
        return cls(makers.root.certificate, makers.issuing.certificate, crl, member)

    def admit(self, *, now: dt.datetime = NOW) -> str:
        """Return the user, when all of it is read as it comes from a broker; raises VerificationError."""
        pem = certificates.to_pem(self.root, self.issuing)
        root, issuing = certificates.read_authorities(pem, pin=certificates.fingerprint(self.root), now=now)
        list_pem = self.crl.public_bytes(serialization.Encoding.PEM)
        crls = read_crls(list_pem, issuing=issuing, now=now)
        return certificates.check_member(self.member, Trust(root, issuing, crls), at=now, now=now)


GOOD = Chain.of(AUTHORITIES)


def variant(
    original: x509.Certificate,
    key: rsa.RSAPrivateKey,
    *,
    extensions: dict[type[x509.ExtensionType], x509.Extension[x509.ExtensionType] | None] | None = None,
    **fields: object,
) -> x509.Certificate:
    """Return the certificate with other fields or extensions (None: left out), signed with ``key``."""
    parts = {
        "subject_name": original.subject,
        "issuer_name": original.issuer,
        "public_key": original.public_key(),
        "serial_number": original.serial_number,
        "not_valid_before": original.not_valid_before_utc,
        "not_valid_after": original.not_valid_after_utc,
    }
    builder = x509.CertificateBuilder()
    for name, value in (parts | fields).items():
        builder = getattr(builder, name)(value)
    found = {type(extension.value): extension for extension in original.extensions}
    for extension in (found | (extensions or {})).values():
        if extension is not None:
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256())


def member(**changes: object) -> Chain:
    return replace(GOOD, member=variant(ALICE.certificate, ISSUING_KEY, **changes))


def issuing(**changes: object) -> Chain:
    return replace(GOOD, issuing=variant(GOOD.issuing, ROOT_KEY, **changes))


def root(**changes: object) -> Chain:
    return replace(GOOD, root=variant(GOOD.root, ROOT_KEY, **changes))


def revocation_list(
    *extensions: x509.Extension[x509.ExtensionType],
    entries: tuple[x509.RevokedCertificate, ...] = (),
    key: rsa.RSAPrivateKey = ISSUING_KEY,
    number: x509.Extension[x509.ExtensionType] | None = None,
    **fields: object,
) -> Chain:
    """Return the chain with another list; the extensions are beside its number and its authority key identifier."""
    parts = {
        "issuer_name": GOOD.issuing.subject,
        "last_update": NOW - authorities.DAY,
        "next_update": NOW + authorities.DAY,
    }
    builder = x509.CertificateRevocationListBuilder()
    for name, value in (parts | fields).items():
        builder = getattr(builder, name)(value)
    issuer = extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ISSUING_KEY.public_key()))
    for added in (issuer, number or extension(x509.CRLNumber(7)), *extensions):
        builder = builder.add_extension(added.value, added.critical)
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    return replace(GOOD, crl=builder.sign(key, hashes.SHA256()))


def entry(
    serial_number: int = 1, *extensions: x509.Extension[x509.ExtensionType], date: dt.datetime = NOW
) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial_number).revocation_date(date)
    for added in extensions:
        builder = builder.add_extension(added.value, added.critical)
    return builder.build()


def extension(value: x509.ExtensionType, *, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def rewritten(original: x509.Certificate, key: rsa.RSAPrivateKey, old: bytes, new: bytes) -> x509.Certificate:
    """Return the certificate with bytes of its signed part replaced, signed anew: what no builder makes."""
    signed = original.tbs_certificate_bytes
    assert signed.count(old) == 1
    length = 4  # of a tag and a length of two bytes, before the contents
    contents = signed[length:].replace(old, new)
    return _assembled(handmade.sequence(contents), key)


def _assembled(signed: bytes, key: rsa.RSAPrivateKey) -> x509.Certificate:
    algorithm = handmade.sequence(handmade.oid("1.2.840.113549.1.1.11"), handmade.NULL)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return x509.load_der_x509_certificate(handmade.sequence(signed, algorithm, handmade.tlv(3, b"\0" + signature)))
