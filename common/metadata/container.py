"""What the formats share: the error for damage, and a way to blank what is in place."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from common.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Span = tuple[int, int]  # where something starts and where it ends, in bytes

# What reading raises where a length or an offset points past the end.
TOO_SHORT = (struct.error, LookupError, OverflowError)


def damaged(what: str) -> ImageError:
    """Return the error for a container that cannot be read to its end."""
    return ImageError(
        f"the image is damaged or cut short: {what}",
        code="truncated",
        hint="copy it again from where it came from, or open it in an image program and save it again",
    )


def blank_outside(picture: bytearray, within: Span, kept: Iterable[Span]) -> bool:
    """Overwrite with zeros what lies within a span but in none of the kept ones; no offset moves.

    The kept spans come in any order, and may overlap. Returns whether anything but zeros was overwritten.
    """
    position, stop = within[0], min(within[1], len(picture))
    changed = False
    for start, end in [*sorted(span for span in kept if span[0] < span[1]), (stop, stop)]:
        gap = min(start, stop) - position
        if gap > 0 and picture[position : position + gap] != bytes(gap):
            picture[position : position + gap] = bytes(gap)
            changed = True
        position = max(position, end)
    return changed
