from __future__ import annotations

import secrets

import authorities
import handmade
import pytest
import two_keys
from authorities import Holder
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vectors.world import IMAGE_ID

from common.certificates import fingerprint, subject_key_identifier
from common.enveloping import Cipher, encrypt, read_envelope, unwrap_key, wrap_key
from common.errors import ConfigurationError, VerificationError

AUTHORITIES = authorities.default()
ALICE, BOB, CAROL = (AUTHORITIES.member(user) for user in ("alice", "bob", "carol"))
SENDER_HASH = bytes.fromhex(fingerprint(ALICE.certificate))

every_cipher = pytest.mark.parametrize("cipher", Cipher)


def decrypt(enveloped: bytes, holder: Holder) -> bytes:
    envelope = read_envelope(enveloped)
    encrypted_key = envelope.encrypted_key_for(subject_key_identifier(holder.certificate))
    assert encrypted_key is not None
    return envelope.decrypt(unwrap_key(encrypted_key, holder.key))


@every_cipher
@pytest.mark.parametrize("content", [b"", b"content", bytes(100_000)])
def test_a_request_opens_for_its_recipients(cipher: Cipher, content: bytes) -> None:
    enveloped = encrypt(content, [BOB.certificate, CAROL.certificate], cipher)
    envelope = read_envelope(enveloped)
    assert (envelope.sender_certificate_hash, envelope.image_id) == (None, None)
    identifiers = {subject_key_identifier(holder.certificate) for holder in (BOB, CAROL)}
    assert envelope.recipient_identifiers == identifiers
    assert envelope.encrypted_key_for(subject_key_identifier(ALICE.certificate)) is None
    assert decrypt(enveloped, BOB) == decrypt(enveloped, CAROL) == content


@every_cipher
def test_an_image_names_its_sender_and_its_id(cipher: Cipher) -> None:
    enveloped = encrypt(b"content", [BOB.certificate], cipher, sender_hash=SENDER_HASH, image_id=IMAGE_ID)
    envelope = read_envelope(enveloped)
    assert (envelope.sender_certificate_hash, envelope.image_id) == (SENDER_HASH, IMAGE_ID)
    assert decrypt(enveloped, BOB) == b"content"


def test_sender_and_image_id_are_there_together_or_not_at_all() -> None:
    for half in ({"sender_hash": SENDER_HASH}, {"image_id": IMAGE_ID}):
        with pytest.raises(VerificationError):
            read_envelope(encrypt(b"content", [BOB.certificate], Cipher.AES_256_GCM, **half))


@every_cipher
def test_an_envelope_of_the_same_profile_made_elsewhere_opens(cipher: Cipher) -> None:
    made = handmade.Enveloped(b"content", [CAROL.certificate, BOB.certificate], suite=cipher).der()
    assert decrypt(made, BOB) == b"content"
    ours = encrypt(b"content", [CAROL.certificate, BOB.certificate], cipher)
    assert len(made) == len(ours)


def test_two_certificates_of_one_key_are_one_recipient() -> None:
    other = AUTHORITIES.new_member("bob", key=BOB.key)
    envelope = read_envelope(encrypt(b"", [BOB.certificate, other.certificate], Cipher.AES_256_GCM))
    assert len(envelope.recipient_identifiers) == 1


def test_there_are_1_to_1024_recipients() -> None:
    certificate = BOB.certificate

    def enveloped(count: int) -> bytes:
        identifiers = (number.to_bytes(20) for number in range(count))
        infos = [
            handmade.recipient_info(certificate, bytes(32), identifier=handmade.tlv(0x80, identifier))
            for identifier in identifiers
        ]
        return handmade.Enveloped(b"", [], recipient_infos=infos).der()

    assert len(read_envelope(enveloped(1024)).recipient_identifiers) == 1024
    for count in (0, 1025):
        with pytest.raises(VerificationError):
            read_envelope(enveloped(count))


def test_nothing_is_encrypted_to_nobody() -> None:
    with pytest.raises(ConfigurationError) as raised:
        encrypt(b"", [], Cipher.AES_256_GCM)
    assert raised.value.code == "recipient_count"


@every_cipher
def test_only_the_content_key_opens(cipher: Cipher) -> None:
    enveloped = encrypt(b"content", [BOB.certificate], cipher)
    envelope = read_envelope(enveloped)
    key = unwrap_key(envelope.encrypted_key_for(subject_key_identifier(BOB.certificate)) or b"", BOB.key)
    assert envelope.decrypt(key) == b"content"
    for other in (secrets.token_bytes(len(key)), key[:-1], key + b"\0", b""):
        with pytest.raises(VerificationError):
            envelope.decrypt(other)


def test_one_ciphertext_does_not_open_under_two_keys() -> None:
    first, second, nonce = secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(12)
    attributes = [handmade.CONTENT_TYPE, handmade.key_commitment(first)]
    additional = handmade.set_of(*attributes)
    ciphertext, tag = two_keys.encrypt(first, second, nonce, additional, b"content")
    for key in (first, second):  # without the commitment both would open it
        assert AESGCM(key).decrypt(nonce, ciphertext + tag, additional)
    made = handmade.Enveloped(
        b"", [BOB.certificate], nonce=nonce, attributes=attributes, ciphertext=ciphertext, mac=tag
    )
    envelope = read_envelope(made.der())
    assert envelope.decrypt(first).startswith(b"content")
    with pytest.raises(VerificationError) as raised:
        envelope.decrypt(second)
    assert raised.value.reason == "the key commitment is for another key"


def test_a_wrapped_key_is_unwrapped_by_its_own_key_only() -> None:
    wrapped = wrap_key(b"content key", BOB.certificate)
    assert unwrap_key(wrapped, BOB.key) == b"content key"
    for spoilt, key in ((wrapped, CAROL.key), (wrapped[:-1], BOB.key), (b"", BOB.key), (bytes(256), BOB.key)):
        with pytest.raises(VerificationError):
            unwrap_key(spoilt, key)
