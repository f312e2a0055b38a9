"""Where each target of the fuzzing starts: what is good, and what tests already know to be bad."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pictures
from authorities import NOW
from cryptography.hazmat.primitives import serialization
from fuzz import targets
from unit import test_sealing_vectors as vectors
from vectors.world import IMAGE_ID, TOPIC

from common import certificates, invitation, messages, revocation_lists, topics
from common.certificates import subject_key_identifier
from common.enveloping import read_envelope, unwrap_key
from common.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENT_ID = "0123456789abcdef" * 2 + "-publisher"
REQUEST = {"topic": topics.request("fetch", "alice", CLIENT_ID), "sent_at": NOW, "nonce": "0" * 32}


def _sealed() -> list[bytes]:
    return [vectors.generate.Vector.read(path).sealed for path in vectors.PATHS]


def _signed() -> Iterator[bytes]:
    """The insides of the vectors that bob's key opens."""
    bob = targets.reader("bob")
    for sealed in _sealed():
        try:
            envelope = read_envelope(sealed)
            encrypted_key = envelope.encrypted_key_for(subject_key_identifier(bob.certificates[0]))
            if encrypted_key is not None:
                yield envelope.decrypt(unwrap_key(encrypted_key, bob.key))
        except VerificationError:
            continue


def _header() -> messages.ImageHeader:
    carol, bob = (targets.reader(name).certificates[0] for name in ("carol", "bob"))
    assert certificates.user_of(bob) == "bob"
    opened = vectors.open_vector(vectors.generate.Vector.read(vectors.FOLDER / "sealed" / "named-aes-256-gcm.txt"))
    recipients = (certificates.fingerprint(carol),)
    changes = {"owner": "bob", "topic": TOPIC.replace("alice", "bob"), "recipients": recipients, "audience": "named"}
    return opened.header.model_copy(update=changes)


def _headers() -> Iterator[bytes]:
    good = json.loads(_header().to_json())
    yield json.dumps(good).encode()
    for name, value in {
        "caption": "a caption \u202e of two\nlines",
        "name": "../a/b.png",
        "expires_at": "2027-01-01T00:00:00Z",
        "audience": "members",
        "recipients": [],
        "width": 2**70,
        "size": -1,
        "version": 1.0,
        "more": {},
    }.items():
        yield json.dumps(good | {name: value}).encode()
    yield json.dumps({name: value for name, value in good.items() if name != "caption"}).encode()


def _messages() -> Iterator[bytes]:
    named = {**REQUEST, "csr": "a request"}
    made = [
        messages.EnrolRequest(**named, user="alice", password="a password"),
        messages.RenewRequest(**named),
        messages.MembersRequest(**REQUEST, users=("alice", "bob")),
        messages.MembersRequest(**REQUEST, users=None),
        messages.StoreRequest(**REQUEST, name="a.png", size=1, sha256_sealed="ab" * 32),
        messages.ReleaseRequest(**REQUEST, image_ids=(IMAGE_ID,)),
        messages.FetchRequest(**REQUEST, owner=None, image_id=IMAGE_ID, offset=0),
        messages.ListRequest(**REQUEST, order="oldest", mark=None, limit=10),
        messages.RemoveRequest(**REQUEST, image_id=IMAGE_ID),
        messages.Announcement(
            image_id=IMAGE_ID,
            name=None,
            owner="alice",
            channel="public",
            size=1,
            sealed_size=2,
            sha256_sealed="ab" * 32,
            stored_at=NOW,
        ),
    ]
    yield from (message.to_json() for message in made)
    yield from _headers()
    yield b'{"version":1,"purpose":"sealcast-reply","request_sha256":"' + b"ab" * 32 + b'"}'


def _topics() -> Iterator[bytes]:
    image = topics.ImageTopic("alice", "site-7/gate", uuid.UUID(int=7 << 76 | 2 << 62))
    for topic in (
        *(image.image, image.announcement, topics.member("alice", "ab" * 32), topics.enrolment(CLIENT_ID)),
        *(topics.request("fetch", "alice", CLIENT_ID), topics.reply(CLIENT_ID, "fetch"), topics.TRUST_CRL),
        *(topics.images("site-7/#"), topics.all_requests("fetch"), "alice", "registrar", "+/#", "a\0b", "\u00e9"),
    ):
        yield topic.encode()


def _images() -> Iterator[bytes]:
    small = pictures.still((16, 12))
    for media_type in pictures.FORMATS:
        yield pictures.plain(media_type, small)
        yield pictures.private(media_type, picture=small)
        if media_type not in {"image/bmp", "image/jpeg"}:
            yield pictures.plain(media_type, small, frames=2)
    yield pictures.plain("image/jpeg", small, progressive=True)
    yield pictures.plain("image/tiff", small, compression="tiff_lzw")
    yield pictures.plain("image/tiff", small, compression="jpeg")
    yield pictures.plain("image/png", pictures.still((16, 12), "P"))
    yield pictures.plain("image/webp", small, lossless=True)
    yield from (pictures.multi_picture_jpeg(), pictures.jpeg_with_scans(5), pictures.tiff_with_tile(64))


def _certificates() -> Iterator[bytes]:
    trust, bob = targets.trust(), targets.reader("bob")
    for one in (bob.certificates[0], *trust.issuing):
        yield one.public_bytes(serialization.Encoding.DER)
        yield certificates.to_pem(one)
    yield certificates.to_pem(trust.root, *trust.issuing)
    yield revocation_lists.to_pem(trust.crls)
    yield certificates.make_csr(bob.key, "bob").encode()


def _invitations() -> Iterator[bytes]:
    code = invitation.show_code("0123456789abcdefghjkmnpq")
    for broker in ("localhost", "images.example.org", "fe80::1%eth0"):
        one = invitation.Invitation(broker, 8883, 8884, "ab" * 32, "0" * 24)
        yield one.line().encode()
    yield from (code.encode(), code.upper().replace("-", " ").encode(), b"sealcast-invite:", b"0O1l" * 6)


def _broker_log() -> Iterator[bytes]:
    yield b"1795944939: New client connected from 127.0.0.1:39262 as short (p5, c1, k60, u'bob')."
    yield b"New client connected from ::1 as x (p5, c1, k60, u'bob'). (p2, c0, k0, u'alice')."
    yield from (b"New client connected from ", b" as y", b"x (p5, c1, k60, u'bob').", b"'), u'", b"a\nb")


def _answers() -> Iterator[bytes]:
    yield b'{"media_type":"image/png","width":64,"height":48}\n'
    yield b'{"media_type":"image/svg","width":0,"height":-1}\n'
    yield b'{"code":"truncated","message":"damaged","hint":"copy it again"}\n'
    yield b'{"code":"other","message":"\\u001b[2J","hint":null}\n'
    yield b"{}\n"


_SEEDS: dict[str, Callable[[], Iterator[bytes] | list[bytes]]] = {
    "cms": lambda: [*_sealed(), *_signed()],
    "sealed": _sealed,
    "signed": _signed,
    "header": _headers,
    "messages": _messages,
    "topics": _topics,
    "images": _images,
    "certificates": _certificates,
    "invitations": _invitations,
    "broker_log": _broker_log,
    "answers": _answers,
}


def seeds(target: str) -> list[bytes]:
    """Return the inputs that a target starts from, each once."""
    return sorted(set(_SEEDS[target]()))
