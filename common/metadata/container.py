"""What the formats share: the words for what is removed, the error for damage, and one tool."""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import ImageError

AFTER_THE_IMAGE = "data after the image"
COMMENT = "comment"
EXIF = "Exif"
GPS = "GPS position"
IPTC = "IPTC"
OTHER = "other data"
THUMBNAIL = "embedded thumbnail"
TIME = "creation time"
UNUSED = "unused data"
XMP = "XMP"


def damaged(what: str) -> ImageError:
    """Return the error for a container that cannot be read to its end."""
    return ImageError(
        f"the image is damaged or cut short: {what}",
        code="truncated",
        hint="copy it again from where it came from, or open it in an image program and save it again",
    )


def blank_outside(picture: bytearray, within: tuple[int, int], kept: Iterable[tuple[int, int]]) -> bool:
    """Overwrite with zeros what lies within a span but in none of the kept ones; no offset moves.

    Spans are ``(start, end)`` in bytes, in any order, and may overlap. Returns whether anything but zeros
    was overwritten.
    """
    position, stop = within
    changed = False
    for start, end in [*sorted(span for span in kept if span[0] < span[1]), (stop, stop)]:
        gap = min(start, stop) - position
        if gap > 0 and picture[position : position + gap] != bytes(gap):
            picture[position : position + gap] = bytes(gap)
            changed = True
        position = max(position, end)
    return changed
