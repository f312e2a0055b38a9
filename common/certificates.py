"""Certificates: the chains and signing requests of docs/protocol.md, "Trust".

Pure: no I/O, no clock (times are passed in, aware), nothing kept between calls. Path validation is that of
``cryptography.x509.verification`` (RFC 5280, section 6); on top of it a certificate has to have the very
extensions that the authority signs. Inside, a failed check is a ValueError or TypeError with its reason; each
public function turns it, like whatever cryptography raises, into a VerificationError.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from common import keys, profiles, revocation_lists, topics
from common.errors import ConfigurationError, VerificationError
from common.revocation_lists import check_crl, crl_of
from common.verifying import verifying

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import rsa

# The root signs few: one each time the issuing CA is rotated, and an old one stays until its own end.
MOST_ISSUING = 16
_RENEW_AFTER = 2 / 3  # of a certificate's life
_REQUEST_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True)
class Trust:
    """What every chain is checked against: the pinned root, the issuing CAs, newest first, and their latest CRLs."""

    root: x509.Certificate
    issuing: tuple[x509.Certificate, ...]
    crls: tuple[x509.CertificateRevocationList, ...]

    @property
    def ca_pem(self) -> bytes:
        """The payload of ``trust/ca``."""
        return to_pem(self.root, *self.issuing)

    @property
    def crl_pem(self) -> bytes:
        """The payload of ``trust/crl``."""
        return revocation_lists.to_pem(self.crls)

    def is_current(self, now: dt.datetime) -> bool:
        """Tell whether any of the CRLs is in date; without one nobody can be trusted."""
        return any(crl.next_update_utc is not None and now < crl.next_update_utc for crl in self.crls)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def key_fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the DER of the certificate's SubjectPublicKeyInfo, which a renewal leaves as it is."""
    public_key = certificate.public_key()
    info = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


@verifying()
def subject_key_identifier(certificate: x509.Certificate) -> bytes:
    """Return the subject key identifier, 20 bytes; raises VerificationError where there is none."""
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


@verifying()
def user_of(certificate: x509.Certificate) -> str:
    """Return the user that a certificate names, all else unchecked; raises VerificationError for no user name."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        return topics.check_user_name(str(names[0].value) if names else "")
    except ConfigurationError as error:
        raise ValueError(f"not a member's certificate: {error.message}") from error


@verifying()
def check_member(certificate: x509.Certificate, trust: Trust, *, at: dt.datetime, now: dt.datetime) -> str:
    """Return the user whose certificate this is.

    Raises VerificationError unless the chain is valid at the time ``at`` and the certificate is a member's; the
    CRL has to be current ``now`` (docs/protocol.md, "Trust").
    """
    user = user_of(certificate)
    _check_end(certificate, trust, name=user, uri=profiles.MEMBER_URI_HEAD + user, at=at, now=now)
    return user


@verifying("the certificate could not be verified")
def issuer_of_member(
    certificate: x509.Certificate, root: x509.Certificate, authorities: Sequence[x509.Certificate], *, at: dt.datetime
) -> x509.Certificate:
    """Return the one of the authorities that has certified this member; whether it was revoked is not looked at.

    Raises VerificationError unless the chain to the root is valid at the time ``at`` and the certificate a member's.
    """
    user = user_of(certificate)
    uri = profiles.MEMBER_URI_HEAD + user
    return _check_chain(certificate, root, authorities, name=user, uri=uri, at=at)


@verifying("the registrar could not be verified")
def check_registrar(certificate: x509.Certificate, trust: Trust, *, now: dt.datetime) -> None:
    """Raise VerificationError unless the chain is valid now and the certificate is the registrar's."""
    _check_end(certificate, trust, name=profiles.REGISTRAR_NAME, uri=profiles.REGISTRAR_URI, at=now, now=now)


def _check_end(
    certificate: x509.Certificate, trust: Trust, *, name: str, uri: str, at: dt.datetime, now: dt.datetime
) -> None:
    issuing = _check_chain(certificate, trust.root, trust.issuing, name=name, uri=uri, at=at)
    crl = crl_of(issuing, trust.crls)
    if crl is None:
        raise ValueError("there is no revocation list of the issuing authority")
    check_crl(crl, issuing=issuing, now=now)
    entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is not None and entry.revocation_date_utc <= at:
        raise ValueError(f"the certificate was revoked on {entry.revocation_date_utc}")


def _check_chain(
    certificate: x509.Certificate,
    root: x509.Certificate,
    authorities: Sequence[x509.Certificate],
    *,
    name: str,
    uri: str,
    at: dt.datetime,
) -> x509.Certificate:
    policy = verification.PolicyBuilder().store(verification.Store([root])).time(at)
    chain = policy.build_client_verifier().verify(certificate, list(authorities)).chain
    issuing = next((one for one in authorities if chain == [certificate, one, root]), None)
    if issuing is None:
        raise ValueError("the certificate was not signed by an issuing authority")
    if not certificate.public_bytes(serialization.Encoding.DER).endswith(b"\0" + certificate.signature):
        # The count of unused bits before the signature is not signed: another one makes another fingerprint.
        raise ValueError("the certificate's signature is not whole octets")
    if certificate.subject != profiles.common_name(name):
        raise ValueError(f"the subject {certificate.subject.rfc4514_string()} is not CN={name} alone")
    names = [x509.UniformResourceIdentifier(uri)]
    _check_extensions(certificate, profiles.end_extensions(_public_key(certificate), _public_key(issuing), names))
    return issuing


def _public_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    return keys.check_public(certificate.public_key())


def _check_extensions(certificate: x509.Certificate, profile: profiles.Extensions) -> None:
    found = list(certificate.extensions)
    for extension in profile:
        if extension not in found:
            raise ValueError(f"the certificate has no {extension}")


@verifying("the certificate authority could not be verified")
def read_authorities(
    pem: bytes, *, pin: str, now: dt.datetime
) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """Return the root and the issuing CAs that are valid now from the payload of ``trust/ca``.

    ``pin`` is the fingerprint of the root. Raises VerificationError unless the root is valid now, and one at least and
    ``MOST_ISSUING`` at most follow it, each another authority of the profile that the root has signed; its code is
    ``wrong_pin`` where the root is another one.
    """
    root, *others = x509.load_pem_x509_certificates(pem)
    if fingerprint(root) != pin:
        raise VerificationError(
            f"the root has the fingerprint {fingerprint(root)}, and {pin} is pinned",
            message="the certificate authority is not the pinned one",
            code="wrong_pin",
            hint="compare the fingerprint with what `registrar fingerprint` prints",
        )
    if len(others) > MOST_ISSUING or len(set(others)) != len(others):
        raise ValueError("too many certificates follow the root, or one of them twice")
    _check_authority(root, root, path_length=profiles.ROOT_PATH_LENGTH)
    for other in others:
        _check_authority(other, root, path_length=profiles.ISSUING_PATH_LENGTH)
    issuing = tuple(other for other in others if is_valid(other, now))
    if not is_valid(root, now) or not issuing:
        raise ValueError(f"root or issuing authority is not valid at {now}")
    return root, issuing


def _check_authority(certificate: x509.Certificate, root: x509.Certificate, *, path_length: int) -> None:
    certificate.verify_directly_issued_by(root)
    profile = profiles.authority_extensions(_public_key(certificate), _public_key(root), path_length=path_length)
    _check_extensions(certificate, profile)


def is_due_for_renewal(certificate: x509.Certificate, now: dt.datetime) -> bool:
    """Tell whether two thirds of the certificate's life are over (docs/protocol.md, "Trust")."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now > begin + (end - begin) * _RENEW_AFTER


def is_valid(certificate: x509.Certificate, now: dt.datetime) -> bool:
    """Tell whether ``now`` is within the certificate's lifetime."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


@verifying("the certificate could not be verified")
def read_certificate(pem: bytes) -> x509.Certificate:
    """Return the one certificate that ``pem`` holds, unchecked; raises VerificationError for anything else."""
    (certificate,) = x509.load_pem_x509_certificates(pem)
    return certificate


def to_pem(*certificates: x509.Certificate) -> bytes:
    """Return the certificates as PEM, one after the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def make_csr(key: rsa.RSAPrivateKey, user: str) -> str:
    """Return a certificate signing request (PKCS #10, PEM) for this key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(profiles.common_name(user))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@verifying(
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
