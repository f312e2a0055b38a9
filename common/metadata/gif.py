"""GIF89a; NETSCAPE2.0 for loops; ICC.1 annex B.6 for the colour profile."""

from __future__ import annotations

import re

from common.metadata import words
from common.metadata.container import damaged

_HEADER, _IMAGE_DESCRIPTOR = 13, 10
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_COMMENT = 0xFE
# The extensions that say how the picture looks: graphic control, loop (with its buffer), colour profile.
_PICTURE = re.compile(
    rb"\x21(\xf9\x04....\x00"
    rb"|\xff\x0b(NETSCAPE2\.0|ANIMEXTS1\.0)\x03\x01..(\x05\x02....)?\x00"
    rb"|\xff\x0bICCRGBG1012.*)",
    re.DOTALL,
)


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Copy the header, the images with their graphic control, the loop and the colour profile."""
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise damaged("no GIF at its start")
    position = _HEADER + _colour_table(data[10])
    kept, removed = [data[:position]], []
    while data[position] != _TRAILER:
        start = position
        if data[position] == _IMAGE:
            code_size = position + _IMAGE_DESCRIPTOR + _colour_table(data[position + 9])
            position = _after_blocks(data, code_size + 1)
            kept.append(data[start:position])
        elif data[position] == _EXTENSION:
            position = _after_blocks(data, position + 2)
            extension = data[start:position]
            if _PICTURE.fullmatch(extension):
                kept.append(extension)
            else:
                removed.append(_word(extension))
        else:
            raise damaged(f"GIF block at byte {position}")
    if position + 1 < len(data):
        removed.append(words.AFTER_THE_IMAGE)
    return b"".join(kept) + bytes([_TRAILER]), removed


def _word(extension: bytes) -> str:
    if extension[1] == _COMMENT:
        return words.COMMENT
    return words.XMP if extension[3:].startswith(b"XMP DataXMP") else words.OTHER


def _colour_table(flags: int) -> int:
    """Return the size in bytes of the colour table of which the flags of a header or an image tell."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Return the offset after a chain of sub-blocks, which an empty one ends."""
    while size := data[position]:
        position += size + 1
    return position + 1
