"""Signs bytes, and checks who signed them: SignedData (docs/protocol.md, "CMS profile"; RFC 5652, section 5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from common import cms
from common.certificates import subject_key_identifier
from common.errors import VerificationError

_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
_OF_MESSAGE = frozenset({cms.MESSAGE_DIGEST})
_OF_IMAGE = _OF_MESSAGE | {cms.IMAGE_HEADER}


@dataclass(frozen=True, slots=True)
class SignedContent:
    """What a certificate's key has signed; whose certificate it is has yet to be checked."""

    content: bytes
    certificate: x509.Certificate
    image_header: str | None
    digest: bytes  # SHA-256 of the content, which one would not want to compute twice


def sign(
    content: bytes, key: rsa.RSAPrivateKey, certificate: x509.Certificate, *, image_header: str | None = None
) -> bytes:
    """Return the DER of a SignedData over the content and, for an image, its header."""
    values: dict[x509.ObjectIdentifier, object] = {cms.MESSAGE_DIGEST: hashlib.sha256(content).digest()}
    if image_header is not None:
        values[cms.IMAGE_HEADER] = image_header
    attributes = cms.encode_attributes(values)
    signer = cms.SignerInfo(
        subject_key_identifier=subject_key_identifier(certificate),
        signed_attributes=attributes,
        signature=key.sign(cms.encode(attributes), _PSS, hashes.SHA256()),
    )
    signed = cms.SignedData(
        encapsulated=cms.EncapsulatedContentInfo(content=content),
        certificates=asn1.SetOf([certificate]),
        signer_infos=asn1.SetOf([signer]),
    )
    return cms.encode(cms.SignedContentInfo(content=signed))


def verify_signature(der: bytes, *, with_image_header: bool) -> SignedContent:
    """Return the content of a SignedData whose digest and signature hold for the certificate inside.

    Raises VerificationError for anything else, and unless the image header is there exactly when it should be.
    The certificate's chain is not checked here.
    """
    signed = cms.decode(cms.SignedContentInfo, der).content
    return _verify(signed, signed.encapsulated.content, with_image_header=with_image_header)


def detach(der: bytes) -> bytes:
    """Return the DER of a SignedData with its content left out, for ``verify_detached`` and `openssl cms -content`.

    Raises VerificationError where ``der`` is no SignedData; whether its signature holds is not checked here.
    """
    signed = cms.decode(cms.SignedContentInfo, der).content
    detached = cms.DetachedSignedData(
        encapsulated=cms.DetachedContentInfo(),
        certificates=signed.certificates,
        signer_infos=signed.signer_infos,
    )
    return cms.encode(cms.DetachedSignatureInfo(content=detached))


def verify_detached(der: bytes, content: bytes) -> SignedContent:
    """Return what an owner has signed about an image, where the detached signature holds for its bytes.

    Raises VerificationError for anything else. The certificate's chain is not checked here.
    """
    return _verify(cms.decode(cms.DetachedSignatureInfo, der).content, content, with_image_header=True)


def _verify(
    signed: cms.SignedData | cms.DetachedSignedData, content: bytes, *, with_image_header: bool
) -> SignedContent:
    certificate, signer = signed.certificates.as_list()[0], signed.signer_infos.as_list()[0]
    values = cms.decode_attributes(signer.signed_attributes, _OF_IMAGE if with_image_header else _OF_MESSAGE)
    header = cms.parse(str, values[cms.IMAGE_HEADER]) if with_image_header else None
    digest = hashlib.sha256(content).digest()
    if cms.parse_octets(values[cms.MESSAGE_DIGEST], len(digest)) != digest:
        raise VerificationError("the message digest is not that of the content")
    _check_signature(signer, certificate)
    return SignedContent(content, certificate, header, digest)


def _check_signature(signer: cms.SignerInfo, certificate: x509.Certificate) -> None:
    try:
        if signer.subject_key_identifier != subject_key_identifier(certificate):
            raise VerificationError("the signer is not the certificate inside")
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise VerificationError("the signer's key is not RSA")
        key.verify(signer.signature, cms.encode(signer.signed_attributes), _PSS, hashes.SHA256())
    except (InvalidSignature, ValueError, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType) as error:
        raise VerificationError("the signature does not hold") from error
