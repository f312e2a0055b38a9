"""What is said about an image: by its owner in the header, by the registrar in NEW_IMAGE.

docs/protocol.md, "The sealed image", "Announcements".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from common.display import Caption, DisplayName
from common.messages.fields import Audience, Hex64, ImageId, MediaType, Message, Size, Time, UserName

if TYPE_CHECKING:
    import datetime as dt


class ImageHeader(Message):
    """What the owner signs about an image (docs/protocol.md, "The sealed image")."""

    version: Literal[1] = 1
    purpose: Literal["sealcast-image"] = "sealcast-image"
    image_id: ImageId
    owner: UserName
    audience: Audience
    recipients: tuple[Hex64, ...]
    topic: str
    name: DisplayName
    media_type: MediaType
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    size: Size
    sha256: Hex64
    sent_at: Time
    expires_at: Time | None = None
    caption: Caption | None = None


class Announcement(Message):
    """NEW_IMAGE: a notice to every subscriber, no evidence (docs/protocol.md, "Announcements")."""

    event: Literal["NEW_IMAGE"] = "NEW_IMAGE"
    image_id: ImageId
    name: DisplayName | None
    owner: UserName
    channel: str
    size: Size
    sealed_size: Size
    sha256_sealed: Hex64
    stored_at: Time
    expires_at: Time | None = None


def seconds_left(expires_at: dt.datetime | None, now: dt.datetime) -> int | None:
    """Return how long a broker may keep what expires then (MQTT 5, section 3.3.2.3.3), or None for ever."""
    return None if expires_at is None else max(1, int((expires_at - now).total_seconds()))
