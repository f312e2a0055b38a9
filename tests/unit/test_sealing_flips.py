"""Of a small sealed image no byte can be another one: neither on the way, nor by someone who may open it.

There is one recipient: CMS does not authenticate the recipients, so the key of another reader can be spoilt unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from sealed_images import open_sealed, seal
from vectors.world import IMAGE

from common.certificates import subject_key_identifier
from common.enveloping import Cipher, encrypt, read_envelope, unwrap_key
from common.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

BOB = authorities.default().member("bob")

every_cipher = pytest.mark.parametrize("cipher", Cipher)
# Warnings, not errors, of cryptography about a certificate whose changed bytes RFC 5280 would not allow.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number", "ignore:Attribute's length")


def accepted_flips(data: bytes, mask: int, opens: Callable[[bytes], object]) -> list[int]:
    accepted = []
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= mask
        try:
            opens(bytes(changed))
        except VerificationError:
            continue
        accepted.append(position)
    return accepted


@every_cipher
@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_flipped_byte_on_the_way_is_refused(cipher: Cipher, mask: int) -> None:
    sealed = seal(BOB, cipher=cipher, audience="named")
    assert open_sealed(sealed, BOB).image == IMAGE
    assert accepted_flips(sealed, mask, lambda changed: open_sealed(changed, BOB)) == []


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_byte_flipped_by_a_recipient_is_refused(mask: int) -> None:
    envelope = read_envelope(seal(BOB, audience="named"))
    encrypted_key = envelope.encrypted_key_for(subject_key_identifier(BOB.certificate))
    assert encrypted_key is not None
    signed = envelope.decrypt(unwrap_key(encrypted_key, BOB.key))

    def opens(content: bytes) -> bytes:
        sealed = encrypt(
            content,
            [BOB.certificate],
            Cipher.AES_256_GCM,
            sender_hash=envelope.sender_certificate_hash,
            image_id=envelope.image_id,
        )
        return open_sealed(sealed, BOB).image

    assert opens(signed) == IMAGE
    assert accepted_flips(signed, mask, opens) == []
