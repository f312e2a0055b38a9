"""Seals and opens the same small image, with whatever a test wants to be different."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

import authorities
from authorities import NOW
from vectors.world import IMAGE, IMAGE_ID

from common import sealing, topics
from common.certificates import fingerprint
from common.decoding.inspection import inspect
from common.enveloping import Cipher
from common.messages import ImageHeader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authorities import Holder

    from common.certificates import Trust

TOPIC = topics.ImageTopic("alice", "public", IMAGE_ID).image


def make_header(recipients: Sequence[Holder], **changes: Any) -> ImageHeader:  # noqa: ANN401 - any member of the header
    members = {
        "image_id": IMAGE_ID,
        "owner": "alice",
        "audience": "members",
        "recipients": tuple(sorted(fingerprint(holder.certificate) for holder in recipients)),
        "topic": TOPIC,
        "name": "two-pixels.png",
        "media_type": "image/png",
        "width": 2,
        "height": 1,
        "size": len(IMAGE),
        "sha256": hashlib.sha256(IMAGE).hexdigest(),
        "sent_at": NOW,
    }
    return ImageHeader(**{**members, **changes})


def seal(
    *recipients: Holder,
    cipher: Cipher = Cipher.AES_256_GCM,
    image: bytes = IMAGE,
    **changes: Any,  # noqa: ANN401 - any member of the header
) -> bytes:
    """Return an image that alice has sealed."""
    alice = authorities.default().member("alice")
    described = {"size": len(image), "sha256": hashlib.sha256(image).hexdigest()}
    return sealing.seal(
        image,
        make_header(recipients, **{**described, **changes}),
        key=alice.key,
        certificate=alice.certificate,
        recipients=[holder.certificate for holder in recipients],
        cipher=cipher,
    )


def reader_of(*holders: Holder) -> sealing.Reader:
    """Return the reader with the certificates of one key."""
    return sealing.Reader(holders[0].key, tuple(holder.certificate for holder in holders))


def open_sealed(sealed: bytes, *reader: Holder, **changes: Any) -> sealing.OpenedImage:  # noqa: ANN401 - any parameter
    parameters = {
        "topic": TOPIC,
        "reader": reader_of(*reader),
        "trust": _trust(),
        "at": NOW,
        "now": NOW,
        "maximum_size": 1 << 20,
        "inspect": functools.partial(inspect, maximum_pixels=2),
        "seen": lambda _owner, _image_id: False,
    }
    return sealing.open_sealed(sealed, **{**parameters, **changes})


@functools.cache
def _trust() -> Trust:
    return authorities.default().trust()
