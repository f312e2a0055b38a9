"""The CMS profile of docs/protocol.md written byte by byte: an implementation of the wire format made elsewhere.

It shares no line with common/: DER by hand, HKDF and PBKDF2 by the standard library. `openssl cms` opens what it
writes (test_sealing_openssl.py), and the MAC of its second suite is that of the test message which RFC 6476
publishes (test_ciphers.py). Every part can be replaced, so it also makes what no honest sender would.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authorities import Holder
    from cryptography import x509

SEALCAST = "2.25.328588143794563382794497048559649496842"


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return an element with its contents."""
    contents = b"".join(parts)
    if len(contents) < 0x80:
        return bytes([tag, len(contents)]) + contents
    length = len(contents).to_bytes((len(contents).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + contents


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def set_of(*elements: bytes) -> bytes:
    return tlv(0x31, *sorted(elements))


def integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes) -> bytes:
    return tlv(0x04, value)


def text(value: str) -> bytes:
    return tlv(0x0C, value.encode())


def oid(dotted: str) -> bytes:
    first, second, *others = (int(arc) for arc in dotted.split("."))
    return tlv(0x06, *(_base128(arc) for arc in (40 * first + second, *others)))


def _base128(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(0x80 | value & 0x7F)
    return bytes(reversed(digits))


NULL = tlv(0x05)
DATA = oid("1.2.840.113549.1.7.1")
SIGNED_DATA = oid("1.2.840.113549.1.7.2")
SHA256 = sequence(oid("2.16.840.1.101.3.4.2.1"))
SHA256_NULL = sequence(oid("2.16.840.1.101.3.4.2.1"), NULL)
HMAC_SHA256 = sequence(oid("1.2.840.113549.2.9"), NULL)
MGF1 = oid("1.2.840.113549.1.1.8")


def pss(hash_algorithm: bytes = SHA256_NULL, salt_length: int = 32) -> bytes:
    return sequence(
        oid("1.2.840.113549.1.1.10"),
        sequence(tlv(0xA0, hash_algorithm), tlv(0xA1, sequence(MGF1, hash_algorithm)), tlv(0xA2, integer(salt_length))),
    )


def oaep(hash_algorithm: bytes = SHA256) -> bytes:
    return sequence(
        oid("1.2.840.113549.1.1.7"),
        sequence(tlv(0xA0, hash_algorithm), tlv(0xA1, sequence(MGF1, hash_algorithm))),
    )


def gcm(nonce: bytes, *, name: str = "2.16.840.1.101.3.4.1.46", tag_size: bytes = integer(16)) -> bytes:
    return sequence(oid(name), sequence(octets(nonce), tag_size))


def auth_enc(
    iv: bytes,
    *,
    name: str = "1.2.840.113549.1.9.16.3.15",
    prf: bytes = HMAC_SHA256,
    iterations: int = 1,
    mac: bytes = HMAC_SHA256,
) -> bytes:
    return sequence(
        oid(name),
        sequence(
            tlv(0xA0, oid("1.2.840.113549.1.5.12"), sequence(octets(b""), integer(iterations), prf)),
            sequence(oid("2.16.840.1.101.3.4.1.2"), octets(iv)),
            mac,
        ),
    )


def attribute(name: str, *values: bytes) -> bytes:
    return sequence(oid(name), set_of(*values))


CONTENT_TYPE = attribute("1.2.840.113549.1.9.3", DATA)


def message_digest(content: bytes) -> bytes:
    return attribute("1.2.840.113549.1.9.4", octets(hashlib.sha256(content).digest()))


def image_header(header: str) -> bytes:
    return attribute(f"{SEALCAST}.1", text(header))


def sender_certificate_hash(certificate: x509.Certificate) -> bytes:
    return attribute(f"{SEALCAST}.2", octets(hashlib.sha256(der_of(certificate)).digest()))


def image_id(value: bytes) -> bytes:
    return attribute(f"{SEALCAST}.3", octets(value))


def key_commitment(content_key: bytes) -> bytes:
    extracted = hmac.digest(bytes(32), content_key, "sha256")
    return attribute(f"{SEALCAST}.4", octets(hmac.digest(extracted, b"sealcast commit\x01", "sha256")))


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def identifier_of(certificate: x509.Certificate) -> bytes:
    """Return the subject key identifier by method 1: SHA-1 of the BIT STRING that holds the key."""
    key = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return hashlib.sha1(key, usedforsecurity=False).digest()


@dataclass(frozen=True)
class Signed:
    """One SignedData; `None` stands for what the profile has."""

    content: bytes
    signer: Holder
    header: str | None = None
    attributes: Sequence[bytes] | None = None
    version: int = 3
    digest_algorithm: bytes = SHA256
    signature_algorithm: bytes = field(default_factory=pss)
    salt_length: int = 32
    certificates: Sequence[bytes] | None = None
    after_certificates: bytes = b""
    content_type: bytes = DATA
    unsigned_attributes: bytes = b""
    signer_infos: int = 1

    def der(self) -> bytes:
        attributes = self.attributes
        if attributes is None:
            attributes = [CONTENT_TYPE, message_digest(self.content)]
            attributes += [] if self.header is None else [image_header(self.header)]
        signature_padding = padding.PSS(padding.MGF1(hashes.SHA256()), self.salt_length)
        signer_info = sequence(
            integer(self.version),
            tlv(0x80, identifier_of(self.signer.certificate)),
            self.digest_algorithm,
            tlv(0xA0, *sorted(attributes)),
            self.signature_algorithm,
            octets(self.signer.key.sign(set_of(*attributes), signature_padding, hashes.SHA256())),
            self.unsigned_attributes,
        )
        certificates = [der_of(self.signer.certificate)] if self.certificates is None else self.certificates
        signed_data = sequence(
            integer(self.version),
            set_of(self.digest_algorithm),
            sequence(self.content_type, tlv(0xA0, octets(self.content))),
            tlv(0xA0, *sorted(certificates)),
            self.after_certificates,
            set_of(*[signer_info] * self.signer_infos),
        )
        return sequence(SIGNED_DATA, tlv(0xA0, signed_data))


@dataclass(frozen=True)
class Enveloped:
    """One AuthEnvelopedData; `None` stands for what the profile has."""

    content: bytes
    recipients: Sequence[x509.Certificate]
    suite: str = "aes-256-gcm"
    content_key: bytes | None = None
    nonce: bytes | None = None
    image_id: bytes | None = None
    sender: x509.Certificate | None = None
    attributes: Sequence[bytes] | None = None
    algorithm: bytes | None = None
    ciphertext: bytes | None = None
    mac: bytes | None = None
    tag_size: int | None = None
    version: int = 0
    recipient_infos: Sequence[bytes] | None = None
    before_recipients: bytes = b""
    content_type: bytes = DATA
    unauthenticated_attributes: bytes = b""

    def der(self) -> bytes:
        is_gcm = self.suite == "aes-256-gcm"
        key = secrets.token_bytes(32 if is_gcm else 16) if self.content_key is None else self.content_key
        nonce = secrets.token_bytes(12 if is_gcm else 16) if self.nonce is None else self.nonce
        attributes = self.attributes
        if attributes is None:
            attributes = [CONTENT_TYPE, key_commitment(key)]
            attributes += [] if self.image_id is None else [image_id(self.image_id)]
            attributes += [] if self.sender is None else [sender_certificate_hash(self.sender)]
        algorithm = self.algorithm or (gcm(nonce) if is_gcm else auth_enc(nonce))
        if is_gcm:
            sealed = AESGCM(key).encrypt(nonce, self.content, set_of(*attributes))
            ciphertext, mac = sealed[:-16], sealed[-16:]
        else:
            ciphertext, mac = encrypt_then_mac(key, nonce, algorithm, self.content, set_of(*attributes))
        ciphertext = ciphertext if self.ciphertext is None else self.ciphertext
        mac = mac if self.mac is None else self.mac
        infos = self.recipient_infos
        if infos is None:
            infos = [recipient_info(certificate, key) for certificate in self.recipients]
        enveloped = sequence(
            integer(self.version),
            self.before_recipients,
            set_of(*infos),
            sequence(self.content_type, algorithm, tlv(0x80, ciphertext)),
            tlv(0xA1, *sorted(attributes)),
            octets(mac[: self.tag_size]),
            self.unauthenticated_attributes,
        )
        return sequence(oid("1.2.840.113549.1.9.16.1.23"), tlv(0xA0, enveloped))


def recipient_info(
    certificate: x509.Certificate,
    content_key: bytes,
    *,
    version: int = 2,
    identifier: bytes | None = None,
    algorithm: bytes | None = None,
) -> bytes:
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    return sequence(
        integer(version),
        identifier or tlv(0x80, identifier_of(certificate)),
        algorithm or oaep(),
        octets(key.encrypt(content_key, scheme)),
    )


def derive(content_key: bytes, salt: bytes, size: int, hash_name: str = "sha256") -> bytes:
    """Return one of the two keys of RFC 6476, section 4.2."""
    return hashlib.pbkdf2_hmac(hash_name, content_key, salt, 1, size)


def authenticate(
    mac_key: bytes, algorithm: bytes, ciphertext: bytes, attributes: bytes = b"", hash_name: str = "sha256"
) -> bytes:
    """Return the MAC of RFC 6476 over the whole AlgorithmIdentifier, the ciphertext and the attributes."""
    return hmac.digest(mac_key, algorithm + ciphertext + attributes, hash_name)


def encrypt_then_mac(
    content_key: bytes, iv: bytes, algorithm: bytes, content: bytes, attributes: bytes
) -> tuple[bytes, bytes]:
    """Return (ciphertext, mac)."""
    padding_size = 16 - len(content) % 16
    encryptor = Cipher(algorithms.AES128(derive(content_key, b"encryption", 16)), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(content + bytes([padding_size]) * padding_size) + encryptor.finalize()
    return ciphertext, authenticate(derive(content_key, b"authentication", 32), algorithm, ciphertext, attributes)
