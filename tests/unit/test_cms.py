from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import authorities
import handmade
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors.world import IMAGE_ID

from common import cms
from common.algorithms import GcmParameters, to_tlv
from common.enveloping import Cipher, encrypt, read_envelope
from common.errors import VerificationError
from common.signing import detach, sign, verify_signature

if TYPE_CHECKING:
    from collections.abc import Callable

ALICE, BOB = (authorities.default().member(user) for user in ("alice", "bob"))
SIGNED = sign(b"content", ALICE.key, ALICE.certificate, image_header='{"name":"a.png"}')
ENVELOPED = [
    encrypt(SIGNED, [BOB.certificate, ALICE.certificate], cipher, sender_hash=bytes(32), image_id=IMAGE_ID)
    for cipher in Cipher
]
SAMPLES = [
    (cms.SignedContentInfo, SIGNED),
    (cms.DetachedSignatureInfo, detach(SIGNED)),
    *((cms.EnvelopedContentInfo, enveloped) for enveloped in ENVELOPED),
]

every_sample = pytest.mark.parametrize(("kind", "der"), SAMPLES)
# Warnings, not errors, of cryptography about a certificate whose changed bytes RFC 5280 would not allow.
tolerating_odd_certificates = pytest.mark.filterwarnings("ignore:Parsed a serial number", "ignore:Attribute's length")


@st.composite
def changed(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes like the original, a few of them replaced, lost or new."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        lost = draw(st.integers(0, 2))
        data[start : start + lost] = draw(st.binary(max_size=2))
    return bytes(data)


@every_sample
def test_what_decodes_encodes_to_the_same_bytes(kind: type[object], der: bytes) -> None:
    assert cms.encode(cms.decode(kind, der)) == der


@every_sample
@tolerating_odd_certificates
@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_what_still_decodes_encodes_to_the_same_bytes(kind: type[object], der: bytes, data: st.DataObject) -> None:
    candidate = data.draw(changed(der))
    try:
        structure = cms.decode(kind, candidate)
    except VerificationError:
        return
    assert cms.encode(structure) == candidate


@pytest.mark.parametrize(
    ("read", "der"),
    [(lambda der: verify_signature(der, with_image_header=True), SIGNED), *((read_envelope, der) for der in ENVELOPED)],
)
@tolerating_odd_certificates
@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_whatever_comes_is_read_or_refused(read: Callable[[bytes], object], der: bytes, data: st.DataObject) -> None:
    candidate = data.draw(st.binary(max_size=100) | changed(der))
    with contextlib.suppress(VerificationError):
        read(candidate)


def test_attributes_are_those_of_one_profile_and_no_others() -> None:
    one, other = frozenset({cms.MESSAGE_DIGEST}), frozenset({cms.MESSAGE_DIGEST, cms.IMAGE_HEADER})
    attributes = cms.encode_attributes({cms.MESSAGE_DIGEST: bytes(32)})
    assert cms.decode_attributes(attributes, one).keys() == one
    assert cms.decode_attributes(attributes, other, one).keys() == one
    with pytest.raises(VerificationError):
        cms.decode_attributes(attributes, other)


def test_octets_have_the_size_that_is_asked_for() -> None:
    element = to_tlv(bytes(16))
    assert cms.parse_octets(element, 16) == bytes(16)
    for size in (15, 17):
        with pytest.raises(VerificationError):
            cms.parse_octets(element, size)


def test_an_element_whose_type_is_open_is_der_inside_as_well() -> None:
    nonce = b"twelve bytes"
    strict = handmade.sequence(handmade.octets(nonce), handmade.integer(16))
    indefinite = handmade.sequence(b"\x24\x80", handmade.octets(nonce), b"\0\0", handmade.integer(16))
    assert cms.decode(GcmParameters, strict).nonce == nonce
    with pytest.raises(VerificationError):
        cms.decode(GcmParameters, indefinite)
