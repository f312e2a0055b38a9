"""The CMS structures of docs/protocol.md ("CMS profile") and their bytes: no keys, no I/O.

Only what the profile knows is declared (RFC 5652, RFC 5083), so anything else fails to decode. A default is the
only value that the profile allows in its place: it is what gets written, and what ``decode`` demands.
``cryptography.hazmat.asn1`` speaks DER alone, so what decodes encodes to the same bytes.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from common.algorithms import RSAES_OAEP, RSASSA_PSS, SHA256, to_tlv
from common.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Structure = TypeVar("Structure")

# X.667: an arc made from a UUID, so that nobody has to be asked for it.
_SEALCAST = "2.25.328588143794563382794497048559649496842"
IMAGE_HEADER = ObjectIdentifier(f"{_SEALCAST}.1")
SENDER_CERTIFICATE_HASH = ObjectIdentifier(f"{_SEALCAST}.2")
IMAGE_ID = ObjectIdentifier(f"{_SEALCAST}.3")
KEY_COMMITMENT = ObjectIdentifier(f"{_SEALCAST}.4")

# RFC 5652, sections 4, 5.1, 11.1 and 11.2; RFC 5083, section 2.1
DATA = ObjectIdentifier("1.2.840.113549.1.7.1")
SIGNED_DATA = ObjectIdentifier("1.2.840.113549.1.7.2")
AUTH_ENVELOPED_DATA = ObjectIdentifier("1.2.840.113549.1.9.16.1.23")
CONTENT_TYPE = ObjectIdentifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.4")

LARGEST_RECIPIENT_COUNT = 1024


@asn1.sequence
class Attribute:
    """Attribute (RFC 5652, section 5.3), with the one value that every attribute of the profile has."""

    type: ObjectIdentifier
    values: Annotated[asn1.SetOf[asn1.TLV], asn1.Size.exact(1)]


@asn1.sequence
class SignerInfo:
    """SignerInfo (RFC 5652, section 5.3) by subject key identifier."""

    version: int = 3
    subject_key_identifier: Annotated[bytes, asn1.Implicit(0)]
    digest_algorithm: asn1.TLV = SHA256
    signed_attributes: Annotated[asn1.SetOf[Attribute], asn1.Implicit(0)]
    signature_algorithm: asn1.TLV = RSASSA_PSS
    signature: bytes


@asn1.sequence
class EncapsulatedContentInfo:
    """EncapsulatedContentInfo (RFC 5652, section 5.2)."""

    content_type: ObjectIdentifier = DATA
    content: Annotated[bytes, asn1.Explicit(0)]


@asn1.sequence
class DetachedContentInfo:
    """EncapsulatedContentInfo without its content, which is kept elsewhere (RFC 5652, section 5.2)."""

    content_type: ObjectIdentifier = DATA


@asn1.sequence
class SignedData:
    """SignedData (RFC 5652, section 5.1)."""

    version: int = 3
    digest_algorithms: asn1.TLV = to_tlv(asn1.SetOf([SHA256]))
    encapsulated: EncapsulatedContentInfo
    certificates: Annotated[asn1.SetOf[x509.Certificate], asn1.Implicit(0), asn1.Size.exact(1)]
    signer_infos: Annotated[asn1.SetOf[SignerInfo], asn1.Size.exact(1)]


@asn1.sequence
class SignedContentInfo:
    """ContentInfo (RFC 5652, section 3) that holds a SignedData."""

    content_type: ObjectIdentifier = SIGNED_DATA
    content: Annotated[SignedData, asn1.Explicit(0)]


@asn1.sequence
class DetachedSignedData:
    """SignedData (RFC 5652, section 5.1) over a content that is kept elsewhere."""

    version: int = 3
    digest_algorithms: asn1.TLV = to_tlv(asn1.SetOf([SHA256]))
    encapsulated: DetachedContentInfo
    certificates: Annotated[asn1.SetOf[x509.Certificate], asn1.Implicit(0), asn1.Size.exact(1)]
    signer_infos: Annotated[asn1.SetOf[SignerInfo], asn1.Size.exact(1)]


@asn1.sequence
class DetachedSignatureInfo:
    """ContentInfo (RFC 5652, section 3) that holds a detached signature."""

    content_type: ObjectIdentifier = SIGNED_DATA
    content: Annotated[DetachedSignedData, asn1.Explicit(0)]


@asn1.sequence
class KeyTransRecipientInfo:
    """KeyTransRecipientInfo (RFC 5652, section 6.2.1) by subject key identifier."""

    version: int = 2
    subject_key_identifier: Annotated[bytes, asn1.Implicit(0)]
    key_encryption_algorithm: asn1.TLV = RSAES_OAEP
    encrypted_key: bytes


@asn1.sequence
class EncryptedContentInfo:
    """EncryptedContentInfo (RFC 5652, section 6.1)."""

    content_type: ObjectIdentifier = DATA
    algorithm: asn1.TLV
    content: Annotated[bytes, asn1.Implicit(0)]


@asn1.sequence
class AuthEnvelopedData:
    """AuthEnvelopedData (RFC 5083, section 2.1)."""

    version: int = 0
    recipient_infos: Annotated[asn1.SetOf[KeyTransRecipientInfo], asn1.Size(1, LARGEST_RECIPIENT_COUNT)]
    encrypted: EncryptedContentInfo
    authenticated_attributes: Annotated[asn1.SetOf[Attribute], asn1.Implicit(1)]
    mac: bytes


@asn1.sequence
class EnvelopedContentInfo:
    """ContentInfo (RFC 5652, section 3) that holds an AuthEnvelopedData."""

    content_type: ObjectIdentifier = AUTH_ENVELOPED_DATA
    content: Annotated[AuthEnvelopedData, asn1.Explicit(0)]


def encode(structure: object) -> bytes:
    """Return the DER of a structure, or of a SET OF attributes as it is signed and authenticated."""
    return asn1.encode_der(structure)


def decode(kind: type[Structure], der: bytes) -> Structure:
    """Return the structure of this kind that ``der`` is; raises VerificationError for anything else."""
    try:
        structure = asn1.decode_der(kind, der)
    except (ValueError, x509.InvalidVersion) as error:
        raise VerificationError(f"not {kind.__name__} of the profile: {error}") from error
    _check_constants(structure)
    return structure


def _check_constants(value: object) -> None:
    if isinstance(value, asn1.SetOf):
        for element in value.as_list():
            _check_constants(element)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            found = getattr(value, field.name)
            if field.default is dataclasses.MISSING:
                _check_constants(found)
            elif encode(found) != encode(field.default):
                raise VerificationError(f"{type(value).__name__}: {field.name} is not that of the profile")


def parse(kind: type[Structure], element: asn1.TLV) -> Structure:
    """Return the structure of this kind that an element of any type is, or raise VerificationError."""
    return decode(kind, encode(element))


def parse_octets(element: asn1.TLV, size: int) -> bytes:
    """Return the OCTET STRING of ``size`` bytes that an element is, or raise VerificationError."""
    octets = parse(bytes, element)
    if len(octets) != size:
        raise VerificationError(f"an OCTET STRING has {len(octets)} bytes, not {size}")
    return octets


def encode_attributes(values: Mapping[ObjectIdentifier, object]) -> asn1.SetOf[Attribute]:
    """Return contentType (id-data) and the given attributes, of one value each."""
    every = {CONTENT_TYPE: DATA, **values}
    return asn1.SetOf([Attribute(type=name, values=asn1.SetOf([to_tlv(value)])) for name, value in every.items()])


def decode_attributes(
    attributes: asn1.SetOf[Attribute], *profiles: frozenset[ObjectIdentifier]
) -> dict[ObjectIdentifier, asn1.TLV]:
    """Return the value of each attribute beside contentType, for ``parse`` and ``parse_octets``.

    Raises VerificationError unless there are contentType (id-data) and just the attributes of one of ``profiles``,
    each once.
    """
    found = [(attribute.type, attribute.values.as_list()[0]) for attribute in attributes.as_list()]
    values = dict(found)
    if len(found) != len(values):
        raise VerificationError("an attribute is there twice")
    content_type = values.pop(CONTENT_TYPE, None)
    if content_type is None or parse(ObjectIdentifier, content_type) != DATA:
        raise VerificationError("the attribute contentType is not id-data")
    if values.keys() not in profiles:
        raise VerificationError("the attributes are not those of the profile")
    return values
