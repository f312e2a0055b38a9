"""What is fuzzed: one function for each, which takes any bytes, and raises where a promise is broken.

The people are those of tests/vectors, whose keys stay the same: bob and carol have theirs there.
"""

from __future__ import annotations

import contextlib
import functools
import json
from typing import TYPE_CHECKING, Any

from authorities import DAY, NOW
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from unit import test_sealing_vectors as vectors
from vectors.world import IMAGE, IMAGE_ID, TOPIC

from common import certificates, cms, decoder, invitation, messages, revocation_lists, sealing, signing, topics
from common.decoding import inspection
from common.display import is_displayable
from common.enveloping import Cipher, encrypt
from common.errors import ConfigurationError, ImageError, VerificationError
from common.metadata import strip_metadata
from registrar.connections import read_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.certificates import Trust

MAXIMUM_PIXELS = 100_000
MESSAGES = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, messages.Message) and kind.model_fields
]


@functools.cache
def reader(name: str) -> sealing.Reader:
    return vectors.reader(name)


@functools.cache
def trust() -> Trust:
    return vectors.trust()


def structures(data: bytes) -> None:
    """What decodes encodes to the same bytes."""
    for kind in (cms.SignedContentInfo, cms.EnvelopedContentInfo):
        try:
            structure = cms.decode(kind, data)
        except VerificationError:
            continue
        assert cms.encode(structure) == data


def sealed(data: bytes) -> None:
    """A sealed image opens with the bytes that were sealed, or not at all."""
    for released_key in (None, bytes(32)):
        with contextlib.suppress(VerificationError):
            assert _open(data, "bob", TOPIC, released_key=released_key).image == IMAGE


def signed(data: bytes) -> None:
    """The same, where a recipient has written the inside of the envelope anew."""
    (bob, *_) = reader("bob").certificates
    alice = _signer_of_the_vectors()
    sender_hash = bytes.fromhex(certificates.fingerprint(alice))
    envelope = encrypt(data, [bob], Cipher.AES_256_GCM, sender_hash=sender_hash, image_id=IMAGE_ID)
    with contextlib.suppress(VerificationError):
        assert _open(envelope, "bob", TOPIC).image == IMAGE


def header(data: bytes) -> None:
    """A member signs any header at all: it opens only when it says what is so."""
    bob, carol = reader("bob"), reader("carol")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    inside = signing.sign(IMAGE, bob.key, bob.certificates[0], image_header=text)
    sender_hash = bytes.fromhex(certificates.fingerprint(bob.certificates[0]))
    envelope = encrypt(inside, [carol.certificates[0]], Cipher.AES_256_GCM, sender_hash=sender_hash, image_id=IMAGE_ID)
    try:
        opened = _open(envelope, "carol", TOPIC.replace("alice", "bob"))
    except VerificationError:
        return
    said = json.loads(text)
    assert (said["owner"], said["image_id"], said["size"]) == ("bob", str(IMAGE_ID), len(IMAGE))
    assert opened.header == messages.read(messages.ImageHeader, opened.header.to_json())


def json_messages(data: bytes) -> None:
    """What is read is written, and read as the same."""
    readers = [functools.partial(messages.read, kind) for kind in MESSAGES]
    for read in (*readers, messages.read_request):
        try:
            message = read(data)
        except VerificationError:
            continue
        assert read(message.to_json()) == message


def topic_strings(data: bytes) -> None:
    """What is parsed is built as the same topic, and no part of it has a separator or a wildcard."""
    text = data.decode("utf-8", "surrogateescape")
    if image := topics.parse_image(text):
        assert image.image == text
        assert topics.parse_announcement(image.announcement) == image
        assert topics.check_channel(image.channel) == image.channel
        assert topics.is_among(image.channel, [image.channel, "#"])
    if announcement := topics.parse_announcement(text):
        assert announcement.announcement == text
    if request := topics.parse_request(text):
        built = (
            topics.enrolment(request.client_id)
            if request.user is None
            else topics.request(request.operation, request.user, request.client_id)
        )
        assert built == text
        assert not {"/", "+", "#"} & {*(request.user or ""), *request.client_id, *request.operation}
    if reply := topics.parse_reply(text):
        assert topics.reply(*reply) == text
    for check in (topics.check_user_name, topics.check_channel, topics.check_channel_filter):
        with contextlib.suppress(ConfigurationError):
            assert check(text) == text
    with contextlib.suppress(ConfigurationError):
        owner = topics.check_user_name(text)
        assert topics.parse_image(topics.ImageTopic(owner, "public", IMAGE_ID).image)


def image_files(data: bytes) -> None:
    """An image is refused, or it stays one of the same kind and size without its metadata, and is clean then."""
    try:
        facts = inspection.inspect(data, maximum_pixels=MAXIMUM_PIXELS)
        stripped = strip_metadata(data, facts.media_type)
    except ImageError:
        return
    assert inspection.inspect(stripped.data, maximum_pixels=MAXIMUM_PIXELS) == facts
    assert strip_metadata(stripped.data, facts.media_type).removed == ()


def certificate(data: bytes) -> None:
    """Of a member's certificate no bit can be another one; whatever else comes is refused."""
    (bob, *_) = reader("bob").certificates
    now = bob.not_valid_before_utc + DAY
    try:
        read = x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):  # common/cms.py reads certificates inside its structures
        read = None
    if read is not None:
        with contextlib.suppress(VerificationError):
            assert certificates.check_member(read, trust(), at=now, now=NOW) == "bob"
            assert data == bob.public_bytes(serialization.Encoding.DER)
    for read_pem in _PEM_READERS:
        with contextlib.suppress(VerificationError):
            read_pem(data)


def invitations(data: bytes) -> None:
    """What is read of a line, or of a code however it is typed, is written, and read as the same."""
    text = data.decode("utf-8", "surrogateescape")
    for read, write in (
        (invitation.Invitation.read, invitation.Invitation.line),
        (invitation.read_code, invitation.show_code),
    ):
        try:
            one = read(text)
        except ConfigurationError:
            continue
        assert read(write(one)) == one
        assert write(one).isascii()


def broker_log(data: bytes) -> None:
    """The user of a connection is the one in the broker's own part of the line, whatever a client calls itself."""
    text = data.decode(errors="replace")
    line = f"New client connected from 127.0.0.1:50538 as {text} (p5, c1, k60, u'mallory')."
    assert read_connection(line) == (text, "mallory")
    if connection := read_connection(text):
        client_id, user = connection
        assert text.endswith(f", u'{user}').")
        assert client_id in text


def answers(data: bytes) -> None:
    """What a decoding process says, which may have been taken over, is one of few things, and fit to be shown."""
    for kind in (decoder.Facts, decoder.Thumbnail):
        try:
            answer = decoder.read_answer(kind, data)
        except VerificationError:
            continue
        if isinstance(answer, ImageError):
            assert is_displayable(answer.message + (answer.hint or ""))
            assert answer.code in {"empty", "not_an_image", "truncated", "too_many_pixels"}
        elif isinstance(answer, decoder.Thumbnail):
            assert answer.thumbnail.startswith(b"RIFF")
        else:
            assert answer.media_type.startswith("image/")
            assert min(answer.width, answer.height) > 0


_PEM_READERS: tuple[Callable[[bytes], Any], ...] = (
    certificates.read_certificate,
    lambda pem: revocation_lists.read_crls(pem, issuing=trust().issuing, now=NOW),
    lambda pem: certificates.read_authorities(pem, pin=certificates.fingerprint(trust().root), now=NOW),
    lambda pem: certificates.check_csr(pem.decode("utf-8", "surrogateescape")),
)
TARGETS: dict[str, Callable[[bytes], None]] = {
    "cms": structures,
    "sealed": sealed,
    "signed": signed,
    "header": header,
    "messages": json_messages,
    "topics": topic_strings,
    "images": image_files,
    "certificates": certificate,
    "invitations": invitations,
    "broker_log": broker_log,
    "answers": answers,
}


def _open(data: bytes, name: str, topic: str, *, released_key: bytes | None = None) -> sealing.OpenedImage:
    return sealing.open_sealed(
        data,
        topic=topic,
        reader=reader(name),
        trust=trust(),
        at=NOW,
        now=NOW,
        maximum_size=1 << 20,
        inspect=functools.partial(inspection.inspect, maximum_pixels=2),
        seen=lambda _owner, _image_id: False,
        released_key=released_key,
    )


@functools.cache
def _signer_of_the_vectors() -> x509.Certificate:
    vector = vectors.generate.Vector.read(vectors.FOLDER / "sealed" / "named-aes-256-gcm.txt")
    return vectors.open_vector(vector).signer
