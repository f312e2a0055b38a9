from __future__ import annotations

from functools import partial

import authorities
import pytest
from authorities import DAY, NOW
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_images import TOPIC, make_header, open_sealed, reader_of, seal
from vectors.world import IMAGE, IMAGE_ID

from common import sealing
from common.certificates import fingerprint, subject_key_identifier
from common.decoding.inspection import inspect
from common.enveloping import Cipher, encrypt, read_envelope, unwrap_key
from common.errors import VerificationError

AUTHORITIES = authorities.default()
ALICE, BOB, CAROL = (AUTHORITIES.member(user) for user in ("alice", "bob", "carol"))
REGISTRAR = AUTHORITIES.registrar
LARGE = 1 << 20

every_cipher = pytest.mark.parametrize("cipher", Cipher)


def content_key(sealed: bytes, holder: authorities.Holder) -> bytes:
    """Return what a recipient can give away: the registrar to a member who asks, or anyone to anyone."""
    encrypted_key = read_envelope(sealed).encrypted_key_for(subject_key_identifier(holder.certificate))
    assert encrypted_key is not None
    return unwrap_key(encrypted_key, holder.key)


@every_cipher
def test_every_recipient_opens_the_very_bytes(cipher: Cipher) -> None:
    sealed = seal(BOB, CAROL, REGISTRAR, cipher=cipher)
    for reader in (BOB, CAROL, REGISTRAR):
        opened = open_sealed(sealed, reader)
        assert opened.image == IMAGE
        assert opened.header == make_header([BOB, CAROL, REGISTRAR])
        assert opened.signer == ALICE.certificate


@every_cipher
def test_who_is_no_recipient_waits_for_a_released_key(cipher: Cipher) -> None:
    sealed = seal(REGISTRAR, cipher=cipher)
    with pytest.raises(sealing.NotRecipientError) as raised:
        open_sealed(sealed, BOB)
    assert raised.value.code == "not_recipient"
    assert open_sealed(sealed, BOB, released_key=content_key(sealed, REGISTRAR)).image == IMAGE


def test_a_key_that_leaked_does_not_open_an_image_for_named_people() -> None:
    sealed = seal(CAROL, audience="named")
    leaked = content_key(sealed, CAROL)
    with pytest.raises(VerificationError) as raised:
        open_sealed(sealed, BOB, released_key=leaked)
    assert raised.value.reason == "the owner did not name this reader as a recipient"
    assert open_sealed(sealed, CAROL).image == IMAGE


def test_a_recipient_cannot_pass_an_image_on_in_the_owners_name() -> None:
    sealed = seal(BOB, audience="named")
    envelope = read_envelope(sealed)
    signed = envelope.decrypt(content_key(sealed, BOB))

    def encrypted_again(reader: authorities.Holder) -> bytes:
        return encrypt(
            signed,
            [reader.certificate],
            Cipher.AES_256_GCM,
            sender_hash=envelope.sender_certificate_hash,
            image_id=envelope.image_id,
        )

    with pytest.raises(VerificationError) as raised:
        open_sealed(encrypted_again(CAROL), CAROL)
    assert raised.value.reason == "the owner did not name this reader as a recipient"
    assert open_sealed(encrypted_again(BOB), BOB).image == IMAGE


def test_the_registrar_opens_what_is_for_members_and_nothing_for_named_people() -> None:
    assert open_sealed(seal(BOB, REGISTRAR), REGISTRAR).header.audience == "members"
    with pytest.raises(VerificationError, match="could not be verified"):
        open_sealed(seal(BOB, REGISTRAR, audience="named"), REGISTRAR)


def test_an_image_for_a_former_certificate_of_the_same_key_opens() -> None:
    former = AUTHORITIES.new_member("bob", key=BOB.key)
    sealed = seal(former, audience="named")
    assert open_sealed(sealed, BOB, former).image == IMAGE
    with pytest.raises(VerificationError, match="could not be verified"):
        open_sealed(sealed, BOB)


def test_two_devices_with_one_key_are_one_recipient() -> None:
    twin = AUTHORITIES.new_member("bob", key=BOB.key)
    sealed = seal(BOB, twin)
    assert read_envelope(sealed).recipient_identifiers == {subject_key_identifier(BOB.certificate)}
    assert open_sealed(sealed, twin).image == IMAGE


def test_the_owners_certificate_has_to_be_valid_at_the_time_given_only() -> None:
    revoked = AUTHORITIES.trust({ALICE.certificate: NOW - DAY / 2})
    sealed = seal(BOB)
    assert open_sealed(sealed, BOB, trust=revoked, at=NOW - DAY * 3 / 4).image == IMAGE
    with pytest.raises(VerificationError) as raised:
        open_sealed(sealed, BOB, trust=revoked)
    assert "revoked" in raised.value.reason
    with pytest.raises(VerificationError):
        open_sealed(sealed, BOB, at=NOW + 90 * DAY)


def test_an_outdated_revocation_list_opens_nothing() -> None:
    with pytest.raises(VerificationError):
        open_sealed(seal(BOB), BOB, now=NOW + 30 * DAY)


def test_the_size_limit_is_that_of_the_sealed_image() -> None:
    sealed = seal(BOB)
    assert open_sealed(sealed, BOB, maximum_size=len(sealed)).image == IMAGE
    with pytest.raises(VerificationError) as raised:
        open_sealed(sealed, BOB, maximum_size=len(sealed) - 1)
    assert raised.value.reason == f"{len(sealed)} bytes are more than {len(sealed) - 1}"


def test_the_pixel_limit_holds() -> None:
    sealed = seal(BOB)
    assert open_sealed(sealed, BOB, inspect=partial(inspect, maximum_pixels=2)).image == IMAGE
    with pytest.raises(VerificationError) as raised:
        open_sealed(sealed, BOB, inspect=partial(inspect, maximum_pixels=1))
    assert raised.value.reason.startswith("the image does not decode")


def test_an_image_opens_once() -> None:
    ledger = set()
    opened = open_sealed(seal(BOB), BOB, seen=lambda owner, image_id: (owner, image_id) in ledger)
    ledger.add((opened.header.owner, opened.header.image_id))
    assert ledger == {("alice", IMAGE_ID)}
    with pytest.raises(VerificationError) as raised:
        open_sealed(seal(BOB), BOB, seen=lambda owner, image_id: (owner, image_id) in ledger)
    assert raised.value.code == "replayed"


def test_an_image_opens_until_it_expires() -> None:
    sealed = seal(BOB, expires_at=NOW)
    assert open_sealed(sealed, BOB, now=NOW - DAY / 86400).image == IMAGE
    with pytest.raises(VerificationError) as raised:
        open_sealed(sealed, BOB, now=NOW)
    assert raised.value.code == "expired"


def test_the_archive_takes_what_steps_1_to_9_accept() -> None:
    sealed = seal(BOB, REGISTRAR, expires_at=NOW - DAY, width=3)
    opened = sealing.open_signed(
        sealed,
        topic=TOPIC,
        reader=reader_of(REGISTRAR),
        trust=AUTHORITIES.trust(),
        at=NOW,
        now=NOW,
        maximum_size=LARGE,
    )
    assert opened.image == IMAGE
    with pytest.raises(VerificationError):
        open_sealed(sealed, REGISTRAR)


def test_the_structure_shows_whose_image_it_is_before_anyone_opens_it() -> None:
    envelope = sealing.read_sealed(seal(BOB), maximum_size=LARGE)
    assert envelope.image_id == IMAGE_ID
    assert envelope.sender_certificate_hash == bytes.fromhex(fingerprint(ALICE.certificate))
    request = encrypt(b"{}", [BOB.certificate], Cipher.AES_256_GCM)
    with pytest.raises(VerificationError) as raised:
        sealing.read_sealed(request, maximum_size=LARGE)
    assert raised.value.reason == "the envelope is that of a request"


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_whatever_comes_is_refused_and_nothing_else(sealed: bytes) -> None:
    with pytest.raises(VerificationError):
        open_sealed(sealed, BOB)
