from __future__ import annotations

import secrets

import handmade
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from common import cms
from common.ciphers import Aes128CbcHmacSha256, Aes256Gcm, ContentEncryption
from common.errors import VerificationError

ATTRIBUTES = b"attributes"

every_encryption = pytest.mark.parametrize("kind", [Aes256Gcm, Aes128CbcHmacSha256])


@every_encryption
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 100_000])
def test_what_is_encrypted_decrypts(kind: type[ContentEncryption], size: int) -> None:
    key, content = secrets.token_bytes(kind.key_size), secrets.token_bytes(size)
    encryption = kind.fresh()
    ciphertext, mac = encryption.encrypt(key, content, ATTRIBUTES)
    assert kind.read(encryption.algorithm).decrypt(key, ciphertext, mac, ATTRIBUTES) == content


@every_encryption
def test_another_nonce_key_ciphertext_mac_or_attribute_is_refused(kind: type[ContentEncryption]) -> None:
    key, content = secrets.token_bytes(kind.key_size), b"content"
    encryption = kind.fresh()
    ciphertext, mac = encryption.encrypt(key, content, ATTRIBUTES)
    assert encryption.decrypt(key, ciphertext, mac, ATTRIBUTES) == content
    for other in (
        (kind.fresh(), key, ciphertext, mac, ATTRIBUTES),
        (encryption, secrets.token_bytes(kind.key_size), ciphertext, mac, ATTRIBUTES),
        (encryption, key, ciphertext + b"\0", mac, ATTRIBUTES),
        (encryption, key, ciphertext[:-1], mac, ATTRIBUTES),
        (encryption, key, ciphertext, bytes([mac[0] ^ 1]) + mac[1:], ATTRIBUTES),
        (encryption, key, ciphertext, mac[:-1], ATTRIBUTES),
        (encryption, key, ciphertext, mac + b"\0", ATTRIBUTES),
        (encryption, key, ciphertext, b"", ATTRIBUTES),
        (encryption, key, ciphertext, mac, b""),
    ):
        with pytest.raises(VerificationError, match="could not be verified"):
            other[0].decrypt(*other[1:])


@every_encryption
def test_every_nonce_is_fresh(kind: type[ContentEncryption]) -> None:
    assert len({cms.encode(kind.fresh().algorithm) for _ in range(100)}) == 100


def test_the_mac_is_checked_before_anything_is_decrypted() -> None:
    key, encryption = secrets.token_bytes(16), Aes128CbcHmacSha256.fresh()
    half_a_block = secrets.token_bytes(8)
    with pytest.raises(VerificationError) as raised:
        encryption.decrypt(key, half_a_block, bytes(32), ATTRIBUTES)
    assert raised.value.reason == "the mac does not hold"
    mac_key = handmade.derive(key, b"authentication", 32)
    mac = handmade.authenticate(mac_key, cms.encode(encryption.algorithm), half_a_block, ATTRIBUTES)
    with pytest.raises(VerificationError) as raised:
        encryption.decrypt(key, half_a_block, mac, ATTRIBUTES)
    assert raised.value.reason == "the padding is not that of RFC 5652, section 6.3"


def test_a_ciphertext_made_elsewhere_is_the_same_byte_for_byte() -> None:
    key, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    encryption = Aes128CbcHmacSha256(iv)
    algorithm = handmade.auth_enc(iv)
    assert cms.encode(encryption.algorithm) == algorithm
    for content in (b"", b"fifteen bytes..", b"sixteen bytes..."):
        made = handmade.encrypt_then_mac(key, iv, algorithm, content, ATTRIBUTES)
        assert encryption.encrypt(key, content, ATTRIBUTES) == made
    nonce = secrets.token_bytes(12)
    assert cms.encode(Aes256Gcm(nonce).algorithm) == handmade.gcm(nonce)


def test_the_encoder_of_the_vectors_agrees_with_the_test_message_that_rfc_6476_publishes() -> None:
    # Its second message: HMAC-SHA-1 for everything, the content key already decrypted with the password "password".
    # It decides over what the MAC goes: the whole AlgorithmIdentifier, then the ciphertext.
    content_key = bytes.fromhex("1e4e871bba4b1016acac27b74a20901b")
    iv = bytes.fromhex("b7250276843c581ba530e24027eec306")
    algorithm = bytes.fromhex("303c060b2a864886f70d010910030f302d301d060960864801650304010204") + b"\x10" + iv
    algorithm += bytes.fromhex("300c06082b060105050801020500")
    ciphertext = bytes.fromhex("98360f0c796236b52d2d9e1c62851e10")
    mac = bytes.fromhex("88a4c1b2ba781bcaf914b0e5fcd18df802e2b29e")

    mac_key = handmade.derive(content_key, b"authentication", 20, "sha1")
    assert handmade.authenticate(mac_key, algorithm, ciphertext, hash_name="sha1") == mac
    assert handmade.authenticate(mac_key, algorithm[2:], ciphertext, hash_name="sha1") != mac
    key = handmade.derive(content_key, b"encryption", 16, "sha1")
    decryptor = Cipher(algorithms.AES128(key), modes.CBC(iv)).decryptor()
    assert decryptor.update(ciphertext) == b"Some test data\0\x01"
