"""Encrypts bytes to certificates, and decrypts them: AuthEnvelopedData (docs/protocol.md, "CMS profile"; RFC 5083)."""

from __future__ import annotations

import enum
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import constant_time, hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common import algorithms, cms
from common.certificates import subject_key_identifier
from common.ciphers import Aes128CbcHmacSha256, Aes256Gcm, ContentEncryption
from common.errors import ConfigurationError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

_OF_REQUEST = frozenset({cms.KEY_COMMITMENT})
_OF_IMAGE = _OF_REQUEST | {cms.SENDER_CERTIFICATE_HASH, cms.IMAGE_ID}
_COMMITMENT_SIZE = 32
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)


class Cipher(enum.StrEnum):
    """The names of the content encryptions, for an option of the command line."""

    AES_256_GCM = "aes-256-gcm"
    AES_128_CBC_HMAC_SHA256 = "aes-128-cbc-hmac-sha256"


_BY_NAME: dict[Cipher, type[ContentEncryption]] = {
    Cipher.AES_256_GCM: Aes256Gcm,
    Cipher.AES_128_CBC_HMAC_SHA256: Aes128CbcHmacSha256,
}
_BY_IDENTIFIER: dict[x509.ObjectIdentifier, type[ContentEncryption]] = {
    algorithms.AES_256_GCM: Aes256Gcm,
    algorithms.AUTH_ENC_128: Aes128CbcHmacSha256,
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """An AuthEnvelopedData of the profile, not yet decrypted: nothing in it is authentic so far.

    The hash of the sender's certificate (SHA-256) and the image id are both there or, around a request, both None.
    """

    sender_certificate_hash: bytes | None
    image_id: uuid.UUID | None
    _encrypted_keys: dict[bytes, bytes]  # by the recipient's subject key identifier
    _key_commitment: bytes
    _attributes: bytes  # DER, as they are authenticated
    _encryption: ContentEncryption
    _ciphertext: bytes
    _mac: bytes

    @property
    def recipient_identifiers(self) -> frozenset[bytes]:
        """The subject key identifiers of the recipients."""
        return frozenset(self._encrypted_keys)

    def encrypted_key_for(self, identifier: bytes) -> bytes | None:
        """Return the content key as it is encrypted for this subject key identifier, or None."""
        return self._encrypted_keys.get(identifier)

    def decrypt(self, content_key: bytes) -> bytes:
        """Return the content; raises VerificationError when the tag or the key commitment does not hold."""
        if len(content_key) != self._encryption.key_size:
            raise VerificationError(f"the content key has {len(content_key)} bytes")
        content = self._encryption.decrypt(content_key, self._ciphertext, self._mac, self._attributes)
        if not constant_time.bytes_eq(self._key_commitment, _commit(content_key)):
            raise VerificationError("the key commitment is for another key")
        return content


def encrypt(
    content: bytes,
    recipients: Sequence[x509.Certificate],
    cipher: Cipher,
    *,
    sender_hash: bytes | None = None,
    image_id: uuid.UUID | None = None,
) -> bytes:
    """Return the DER of an AuthEnvelopedData that each recipient's key opens.

    ``sender_hash`` and ``image_id`` are for an image; a request has neither. Two certificates of one key are one
    recipient. Raises ConfigurationError where there is no recipient or more than 1024, and VerificationError for one
    whose key is not RSA.
    """
    encryption = _BY_NAME[cipher].fresh()
    content_key = secrets.token_bytes(encryption.key_size)
    values: dict[x509.ObjectIdentifier, object] = {cms.KEY_COMMITMENT: _commit(content_key)}
    if sender_hash is not None:
        values[cms.SENDER_CERTIFICATE_HASH] = sender_hash
    if image_id is not None:
        values[cms.IMAGE_ID] = image_id.bytes
    attributes = cms.encode_attributes(values)
    ciphertext, mac = encryption.encrypt(content_key, content, cms.encode(attributes))
    enveloped = cms.AuthEnvelopedData(
        recipient_infos=asn1.SetOf(_recipient_infos(content_key, recipients)),
        encrypted=cms.EncryptedContentInfo(algorithm=encryption.algorithm, content=ciphertext),
        authenticated_attributes=attributes,
        mac=mac,
    )
    return cms.encode(cms.EnvelopedContentInfo(content=enveloped))


def _recipient_infos(content_key: bytes, recipients: Sequence[x509.Certificate]) -> list[cms.KeyTransRecipientInfo]:
    by_identifier = {subject_key_identifier(certificate): certificate for certificate in recipients}
    if not 1 <= len(by_identifier) <= cms.LARGEST_RECIPIENT_COUNT:
        raise ConfigurationError(
            f"nothing can be sealed to {len(by_identifier)} devices at once",
            hint=f"name people with 1 to {cms.LARGEST_RECIPIENT_COUNT} devices between them",
            code="recipient_count",
        )
    return [
        cms.KeyTransRecipientInfo(subject_key_identifier=identifier, encrypted_key=wrap_key(content_key, certificate))
        for identifier, certificate in by_identifier.items()
    ]


def read_envelope(der: bytes) -> Envelope:
    """Return the AuthEnvelopedData of the profile that ``der`` is; raises VerificationError for anything else."""
    enveloped = cms.decode(cms.EnvelopedContentInfo, der).content
    infos = enveloped.recipient_infos.as_list()
    encrypted_keys = {info.subject_key_identifier: info.encrypted_key for info in infos}
    if len(encrypted_keys) != len(infos):
        raise VerificationError("two recipients have the same identifier")
    algorithm = enveloped.encrypted.algorithm
    encryption = _BY_IDENTIFIER.get(cms.parse(algorithms.Algorithm, algorithm).algorithm)
    if encryption is None:
        raise VerificationError("the content encryption is not of the profile")
    values = cms.decode_attributes(enveloped.authenticated_attributes, _OF_REQUEST, _OF_IMAGE)
    of_image = values.keys() == _OF_IMAGE
    return Envelope(
        sender_certificate_hash=cms.parse_octets(values[cms.SENDER_CERTIFICATE_HASH], 32) if of_image else None,
        image_id=uuid.UUID(bytes=cms.parse_octets(values[cms.IMAGE_ID], 16)) if of_image else None,
        _encrypted_keys=encrypted_keys,
        _key_commitment=cms.parse_octets(values[cms.KEY_COMMITMENT], _COMMITMENT_SIZE),
        _attributes=cms.encode(enveloped.authenticated_attributes),
        _encryption=encryption.read(algorithm),
        _ciphertext=enveloped.encrypted.content,
        _mac=enveloped.mac,
    )


def wrap_key(content_key: bytes, certificate: x509.Certificate) -> bytes:
    """Return the content key encrypted to a certificate; raises VerificationError unless its key is RSA."""
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise VerificationError("the recipient's key is not RSA")
    return key.encrypt(content_key, _OAEP)


def unwrap_key(encrypted_key: bytes, private_key: rsa.RSAPrivateKey) -> bytes:
    """Return the content key that was encrypted to this key; raises VerificationError when it was not."""
    try:
        return private_key.decrypt(encrypted_key, _OAEP)
    except ValueError as error:
        raise VerificationError("the content key is not encrypted to this key") from error


def _commit(content_key: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _COMMITMENT_SIZE, salt=None, info=b"sealcast commit").derive(content_key)
