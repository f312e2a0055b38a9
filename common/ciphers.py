"""The two authenticated content encryptions of docs/protocol.md ("CMS profile").

Each object is one algorithm with its nonce or IV, to be used for one content under one fresh content key.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, ClassVar

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from common import cms
from common.algorithms import AuthEncAlgorithm, AuthEncParameters, CbcAlgorithm, GcmAlgorithm, GcmParameters, to_tlv
from common.errors import VerificationError

if TYPE_CHECKING:
    from typing import Self

    from cryptography.hazmat import asn1


class Aes256Gcm:
    """AES-256-GCM with a nonce of 12 bytes and a tag of 16 (RFC 5084)."""

    key_size: ClassVar[int] = 32  # bytes
    _TAG_SIZE = 16

    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce
        self.algorithm = to_tlv(GcmAlgorithm(parameters=GcmParameters(nonce=nonce)))

    @classmethod
    def fresh(cls) -> Self:
        """Return the algorithm with a random nonce."""
        return cls(secrets.token_bytes(12))

    @classmethod
    def read(cls, algorithm: asn1.TLV) -> Self:
        """Return the algorithm with the nonce that its identifier names, or raise VerificationError."""
        return cls(cms.parse(GcmAlgorithm, algorithm).parameters.nonce)

    def encrypt(self, key: bytes, content: bytes, attributes: bytes) -> tuple[bytes, bytes]:
        """Return (ciphertext, tag)."""
        encryptor = Cipher(algorithms.AES256(key), modes.GCM(self._nonce)).encryptor()
        encryptor.authenticate_additional_data(attributes)
        ciphertext = encryptor.update(content)
        encryptor.finalize()
        return ciphertext, encryptor.tag

    def decrypt(self, key: bytes, ciphertext: bytes, mac: bytes, attributes: bytes) -> bytes:
        """Return the content; raises VerificationError when the tag does not hold."""
        # OpenSSL itself would be content with the first 4 bytes of a tag (measured, 3.0.22).
        if len(mac) != self._TAG_SIZE:
            raise VerificationError(f"the tag has {len(mac)} bytes")
        # One-shot AESGCM wants ciphertext and tag in one piece, which would be a copy of the whole image.
        decryptor = Cipher(algorithms.AES256(key), modes.GCM(self._nonce, mac)).decryptor()
        decryptor.authenticate_additional_data(attributes)
        content = decryptor.update(ciphertext)
        try:
            decryptor.finalize()
        except InvalidTag as error:
            raise VerificationError("the tag does not hold") from error
        return content


class Aes128CbcHmacSha256:
    """AES-128-CBC, then HMAC-SHA-256 over algorithm, ciphertext and attributes (RFC 6476)."""

    key_size: ClassVar[int] = 16  # bytes

    def __init__(self, initialization_vector: bytes) -> None:
        self._iv = initialization_vector
        encryption = CbcAlgorithm(initialization_vector=initialization_vector)
        self.algorithm = to_tlv(AuthEncAlgorithm(parameters=AuthEncParameters(encryption=encryption)))

    @classmethod
    def fresh(cls) -> Self:
        """Return the algorithm with a random IV."""
        return cls(secrets.token_bytes(16))

    @classmethod
    def read(cls, algorithm: asn1.TLV) -> Self:
        """Return the algorithm with the IV that its identifier names, or raise VerificationError."""
        return cls(cms.parse(AuthEncAlgorithm, algorithm).parameters.encryption.initialization_vector)

    def encrypt(self, key: bytes, content: bytes, attributes: bytes) -> tuple[bytes, bytes]:
        """Return (ciphertext, mac)."""
        padder = padding.PKCS7(algorithms.AES128.block_size).padder()
        encryptor = self._cipher(key).encryptor()
        ciphertext = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
        return ciphertext, self._mac(key, ciphertext, attributes).finalize()

    def decrypt(self, key: bytes, ciphertext: bytes, mac: bytes, attributes: bytes) -> bytes:
        """Return the content; raises VerificationError when the mac does not hold, before it decrypts."""
        try:
            self._mac(key, ciphertext, attributes).verify(mac)
        except InvalidSignature as error:
            raise VerificationError("the mac does not hold") from error
        decryptor = self._cipher(key).decryptor()
        unpadder = padding.PKCS7(algorithms.AES128.block_size).unpadder()
        try:
            return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
        except ValueError as error:
            raise VerificationError("the padding is not that of RFC 5652, section 6.3") from error

    def _cipher(self, key: bytes) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES128(_derive(key, b"encryption", 16)), modes.CBC(self._iv))

    def _mac(self, key: bytes, ciphertext: bytes, attributes: bytes) -> hmac.HMAC:
        mac = hmac.HMAC(_derive(key, b"authentication", 32), hashes.SHA256())
        mac.update(cms.encode(self.algorithm))
        mac.update(ciphertext)
        mac.update(attributes)
        return mac


ContentEncryption = Aes256Gcm | Aes128CbcHmacSha256


def _derive(key: bytes, salt: bytes, size: int) -> bytes:
    # One iteration: the content key is random, and this only takes two keys out of one (RFC 6476, section 4.2).
    return PBKDF2HMAC(hashes.SHA256(), size, salt, 1).derive(key)
