"""Certificates: the profiles, chains, revocation lists and signing requests of docs/protocol.md, "Trust".

Pure: no I/O, no clock (times are passed in, aware), nothing kept between calls. Path validation is that of
``cryptography.x509.verification`` (RFC 5280, section 6); on top of it a certificate has to have the very
extensions that the authority signs. Inside, a failed check is a ValueError or TypeError with its reason; each
public function turns it, like whatever cryptography raises, into a VerificationError.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common import keys, topics
from common.errors import ConfigurationError, VerificationError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric import rsa

REGISTRAR_NAME = "registrar"
REGISTRAR_URI = "sealcast:registrar"
MEMBER_URI_HEAD = "sealcast:member:"
CLIENT_USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION)
ROOT_PATH_LENGTH, ISSUING_PATH_LENGTH = 1, 0

_REQUEST_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CAUSES = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    verification.VerificationError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

Extensions = list[x509.Extension[x509.ExtensionType]]


@dataclass(frozen=True, slots=True)
class Trust:
    """What every chain is checked against: the pinned root, the issuing CA under it, its latest CRL."""

    root: x509.Certificate
    issuing: x509.Certificate
    crl: x509.CertificateRevocationList


@contextmanager
def _verifying(message: str | None = None, *, code: str | None = None, hint: str | None = None) -> Iterator[None]:
    try:
        yield
    except _CAUSES as error:
        raise VerificationError(str(error) or repr(error), message=message, code=code, hint=hint) from error


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


@_verifying()
def subject_key_identifier(certificate: x509.Certificate) -> bytes:
    """Return the subject key identifier, 20 bytes; raises VerificationError where there is none."""
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def common_name(name: str) -> x509.Name:
    """Return the distinguished name that is this CN and nothing else."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority_extensions(public_key: rsa.RSAPublicKey, root_key: rsa.RSAPublicKey, *, path_length: int) -> Extensions:
    """Return the extensions of the root (path length 1) or of the issuing CA (0), both signed by the root."""
    return [
        _extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True),
        _extension(_key_usage(authority=True), critical=True),
        _extension(x509.SubjectKeyIdentifier.from_public_key(public_key)),
        _extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key)),
    ]


def end_extensions(
    public_key: rsa.RSAPublicKey,
    issuing_key: rsa.RSAPublicKey,
    names: Sequence[x509.GeneralName],
    usages: Sequence[x509.ObjectIdentifier] = CLIENT_USAGES,
) -> Extensions:
    """Return the extensions of an end certificate (docs/protocol.md, "Profiles")."""
    return [
        _extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        _extension(_key_usage(authority=False), critical=True),
        _extension(x509.ExtendedKeyUsage(usages)),
        _extension(x509.SubjectAlternativeName(names)),
        _extension(x509.SubjectKeyIdentifier.from_public_key(public_key)),
        _extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key)),
    ]


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


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


@_verifying()
def user_of(certificate: x509.Certificate) -> str:
    """Return the user that a certificate names, all else unchecked; raises VerificationError for no user name."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        return topics.check_user_name(str(names[0].value) if names else "")
    except ConfigurationError as error:
        raise ValueError(f"not a member's certificate: {error.message}") from error


@_verifying()
def check_member(certificate: x509.Certificate, trust: Trust, *, at: dt.datetime, now: dt.datetime) -> str:
    """Return the user whose certificate this is.

    Raises VerificationError unless the chain is valid at the time ``at`` and the certificate is a member's; the
    CRL has to be current ``now`` (docs/protocol.md, "Trust").
    """
    user = user_of(certificate)
    _check_end(certificate, trust, name=user, uri=MEMBER_URI_HEAD + user, at=at, now=now)
    return user


@_verifying("the registrar could not be verified")
def check_registrar(certificate: x509.Certificate, trust: Trust, *, now: dt.datetime) -> None:
    """Raise VerificationError unless the chain is valid now and the certificate is the registrar's."""
    _check_end(certificate, trust, name=REGISTRAR_NAME, uri=REGISTRAR_URI, at=now, now=now)


def _check_end(
    certificate: x509.Certificate, trust: Trust, *, name: str, uri: str, at: dt.datetime, now: dt.datetime
) -> None:
    policy = verification.PolicyBuilder().store(verification.Store([trust.root])).time(at)
    chain = policy.build_client_verifier().verify(certificate, [trust.issuing]).chain
    if chain != [certificate, trust.issuing, trust.root]:
        raise ValueError("the certificate was not signed by the issuing authority")
    if not certificate.public_bytes(serialization.Encoding.DER).endswith(b"\0" + certificate.signature):
        # The count of unused bits before the signature is not signed: another one makes another fingerprint.
        raise ValueError("the certificate's signature is not whole octets")
    if certificate.subject != common_name(name):
        raise ValueError(f"the subject {certificate.subject.rfc4514_string()} is not CN={name} alone")
    names = [x509.UniformResourceIdentifier(uri)]
    _check_extensions(certificate, end_extensions(_public_key(certificate), _public_key(trust.issuing), names))
    _check_crl(trust.crl, issuing=trust.issuing, now=now)
    entry = trust.crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is not None and entry.revocation_date_utc <= at:
        raise ValueError(f"the certificate was revoked on {entry.revocation_date_utc}")


def _public_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    return keys.check_public(certificate.public_key())


def _check_extensions(certificate: x509.Certificate, profile: Extensions) -> None:
    found = list(certificate.extensions)
    for extension in profile:
        if extension not in found:
            raise ValueError(f"the certificate has no {extension}")


def _check_crl(crl: x509.CertificateRevocationList, *, issuing: x509.Certificate, now: dt.datetime) -> None:
    if crl.issuer != issuing.subject or not crl.is_signature_valid(_public_key(issuing)):
        raise ValueError("the revocation list was not signed by the issuing authority")
    if not issuing.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign:  # RFC 5280, section 6.3.3 (f)
        raise ValueError("the issuing authority's key may not sign revocation lists")
    # RFC 5280, section 5.2: a list with a critical extension that one does not process says nothing about
    # the certificates that it does not name. Ours has none.
    if any(extension.critical for extension in crl.extensions):
        raise ValueError("the revocation list has a critical extension")
    if crl.next_update_utc is None or not crl.last_update_utc <= now < crl.next_update_utc:
        raise ValueError(f"{crl.last_update_utc} to {crl.next_update_utc} is the revocation list's time")


@_verifying("the revocation list could not be verified")
def read_crl(
    pem: bytes,
    *,
    issuing: x509.Certificate,
    now: dt.datetime,
    previous: x509.CertificateRevocationList | None = None,
) -> x509.CertificateRevocationList:
    """Return the CRL that ``pem`` holds.

    Raises VerificationError unless the issuing CA signed it, it is current, and its number is not lower than
    that of ``previous``.
    """
    crl = x509.load_pem_x509_crl(pem)
    _check_crl(crl, issuing=issuing, now=now)
    # RFC 5280, section 5.3: the same goes for a critical extension of any entry. Only here: 10,000 entries take 40 ms.
    if any(extension.critical for entry in crl for extension in entry.extensions):
        raise ValueError("an entry of the revocation list has a critical extension")
    # Not `if previous`: a list that names nobody has the length 0.
    lowest = crl_number(previous) if previous is not None else 0
    if (number := crl_number(crl)) < lowest:
        raise ValueError(f"the revocation list has the number {number}, and {lowest} was seen before")
    return crl


@_verifying("the revocation list could not be verified")
def crl_number(crl: x509.CertificateRevocationList) -> int:
    """Return the number of a CRL; raises VerificationError where there is none."""
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


@_verifying("the certificate authority could not be verified")
def read_authorities(pem: bytes, *, pin: str, now: dt.datetime) -> tuple[x509.Certificate, x509.Certificate]:
    """Return (root, issuing CA) from the payload of ``trust/ca``.

    ``pin`` is the fingerprint of the root. Raises VerificationError unless the payload is exactly these two
    certificates, both authorities of the profile, signed by the root, and valid now; its code is ``wrong_pin``
    where the root is another one.
    """
    root, *others = x509.load_pem_x509_certificates(pem)
    if fingerprint(root) != pin:
        raise VerificationError(
            f"the root has the fingerprint {fingerprint(root)}, and {pin} is pinned",
            message="the certificate authority is not the pinned one",
            code="wrong_pin",
            hint="compare the fingerprint with what `registrar fingerprint` prints",
        )
    if len(others) != 1:
        raise ValueError(f"{len(others)} certificates follow the root, not one")
    for certificate, path_length in ((root, ROOT_PATH_LENGTH), (others[0], ISSUING_PATH_LENGTH)):
        certificate.verify_directly_issued_by(root)
        profile = authority_extensions(_public_key(certificate), _public_key(root), path_length=path_length)
        _check_extensions(certificate, profile)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise ValueError(f"an authority's certificate is not valid at {now}")
    return root, others[0]


@_verifying("the certificate could not be verified")
def read_certificate(pem: bytes) -> x509.Certificate:
    """Return the one certificate that ``pem`` holds, unchecked; raises VerificationError for anything else."""
    (certificate,) = x509.load_pem_x509_certificates(pem)
    return certificate


def to_pem(*certificates: x509.Certificate) -> bytes:
    """Return the certificates as PEM, one after the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def make_csr(key: rsa.RSAPrivateKey, user: str) -> str:
    """Return a certificate signing request (PKCS #10, PEM) for this key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(user))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@_verifying(
    "the certificate signing request cannot be used",
    code="invalid_csr",
    hint="sign it with SHA-2 and an RSA key of 2048 to 4096 bits with the public exponent 65537",
)
def check_csr(pem: str) -> rsa.RSAPublicKey:
    """Return the public key of a certificate signing request (PKCS #10, PEM); its subject means nothing.

    Raises VerificationError, code ``invalid_csr``, unless it is signed with SHA-2 by the key that it is for, and
    the key is one that may be certified (docs/protocol.md, "enrol").
    """
    request = x509.load_pem_x509_csr(pem.encode())
    public_key = keys.check_public(request.public_key())
    if not isinstance(request.signature_hash_algorithm, _REQUEST_HASHES):
        raise TypeError("the request is not signed with SHA-2")
    if not request.is_signature_valid:
        raise ValueError("the request is not signed by the key that it is for")
    return public_key
