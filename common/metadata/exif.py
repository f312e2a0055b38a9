"""Exif (CIPA DC-008): a TIFF without a picture, which most formats can carry."""

from __future__ import annotations

import struct
from contextlib import suppress

from common.errors import ImageError
from common.metadata import words
from common.metadata.container import TOO_SHORT
from common.metadata.ifd import Tiff

_ORIENTATION, _GPS_POINTER = 274, 34853
_UPRIGHT = 1
_ORIENTATIONS = range(2, 9)  # the turned and mirrored ones


def reduce(block: bytes) -> tuple[bytes, list[str]]:
    """Reduce an Exif block to its orientation, and to nothing where the picture is upright.

    ``block`` begins with the TIFF header, not with "Exif". Returns the block that is left and words for what
    was removed. A damaged block is read as far as it goes: what cannot be read is removed like the rest.
    """
    orientation, removed = _UPRIGHT, [words.EXIF]
    with suppress(ImageError, *TOO_SHORT):
        tiff = Tiff.open(block)
        for entry in tiff.entries(tiff.first):
            if entry.tag == _ORIENTATION:
                orientation = tiff.integers(entry)[0]
            elif entry.tag == _GPS_POINTER:
                removed.append(words.GPS)
        if tiff.following(tiff.first):
            removed.append(words.THUMBNAIL)
    left = _only_orientation(orientation) if orientation in _ORIENTATIONS else b""
    return left, [] if left and left == block else removed


def _only_orientation(orientation: int) -> bytes:
    """Return an Exif block of one directory with one entry, a SHORT."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
