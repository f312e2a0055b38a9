"""The algorithm identifiers of docs/protocol.md ("CMS profile"), with all their parameters fixed but nonce and IV.

As in ``common.cms``, a default is the only value that the profile allows in its place.
"""

from __future__ import annotations

from typing import Annotated

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier


def to_tlv(value: object) -> asn1.TLV:
    """Return a value as the element that stands where a structure leaves the type open."""
    return asn1.decode_der(asn1.TLV, asn1.encode_der(value))


@asn1.sequence
class Algorithm:
    """AlgorithmIdentifier with parameters (RFC 5280, section 4.1.1.2)."""

    algorithm: ObjectIdentifier
    parameters: asn1.TLV


@asn1.sequence
class _BareAlgorithm:
    algorithm: ObjectIdentifier


@asn1.sequence
class _PssParameters:
    hash: Annotated[asn1.TLV, asn1.Explicit(0)]
    mask_generation: Annotated[asn1.TLV, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Explicit(2)]


@asn1.sequence
class _OaepParameters:
    hash: Annotated[asn1.TLV, asn1.Explicit(0)]
    mask_generation: Annotated[asn1.TLV, asn1.Explicit(1)]


def _algorithm(identifier: str, parameters: asn1.TLV) -> asn1.TLV:
    return to_tlv(Algorithm(algorithm=ObjectIdentifier(identifier), parameters=parameters))


_NULL = to_tlv(asn1.Null())
_MGF1 = "1.2.840.113549.1.1.8"

# RFC 5754, section 2: a digest algorithm has no parameters. OpenSSL leaves them out in OAEP as well, but OpenSSL and
# pyca write NULL in PSS, as RFC 4055, section 2.1, has it.
SHA256 = to_tlv(_BareAlgorithm(algorithm=ObjectIdentifier("2.16.840.1.101.3.4.2.1")))
_SHA256_NULL = _algorithm("2.16.840.1.101.3.4.2.1", _NULL)
_HMAC_SHA256 = _algorithm("1.2.840.113549.2.9", _NULL)

# RFC 4056, section 2.2
RSASSA_PSS = _algorithm(
    "1.2.840.113549.1.1.10",
    to_tlv(_PssParameters(hash=_SHA256_NULL, mask_generation=_algorithm(_MGF1, _SHA256_NULL), salt_length=32)),
)
# RFC 3560, section 3
RSAES_OAEP = _algorithm(
    "1.2.840.113549.1.1.7",
    to_tlv(_OaepParameters(hash=SHA256, mask_generation=_algorithm(_MGF1, SHA256))),
)

AES_256_GCM = ObjectIdentifier("2.16.840.1.101.3.4.1.46")
AUTH_ENC_128 = ObjectIdentifier("1.2.840.113549.1.9.16.3.15")
_AES_128_CBC = ObjectIdentifier("2.16.840.1.101.3.4.1.2")
_PBKDF2 = ObjectIdentifier("1.2.840.113549.1.5.12")


@asn1.sequence
class GcmParameters:
    """GCMParameters (RFC 5084, section 3.2)."""

    nonce: Annotated[bytes, asn1.Size.exact(12)]
    tag_size: int = 16


@asn1.sequence
class GcmAlgorithm:
    """The identifier of the content encryption ``aes-256-gcm``."""

    algorithm: ObjectIdentifier = AES_256_GCM
    parameters: GcmParameters


@asn1.sequence
class _Pbkdf2Parameters:
    salt: bytes = b""
    iteration_count: int = 1
    pseudorandom_function: asn1.TLV = _HMAC_SHA256


@asn1.sequence
class _Pbkdf2Algorithm:
    algorithm: ObjectIdentifier = _PBKDF2
    parameters: _Pbkdf2Parameters = _Pbkdf2Parameters()


@asn1.sequence
class CbcAlgorithm:
    """The identifier of AES-128-CBC (RFC 3565, section 4.1)."""

    algorithm: ObjectIdentifier = _AES_128_CBC
    initialization_vector: Annotated[bytes, asn1.Size.exact(16)]


@asn1.sequence
class AuthEncParameters:
    """AuthEncParams (RFC 6476, section 4.1)."""

    key_derivation: Annotated[_Pbkdf2Algorithm, asn1.Implicit(0)] = _Pbkdf2Algorithm()
    encryption: CbcAlgorithm
    mac: asn1.TLV = _HMAC_SHA256


@asn1.sequence
class AuthEncAlgorithm:
    """The identifier of the content encryption ``aes-128-cbc-hmac-sha256``."""

    algorithm: ObjectIdentifier = AUTH_ENC_128
    parameters: AuthEncParameters
