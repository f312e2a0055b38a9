"""GIF89a; NETSCAPE2.0 for loops; ICC.1 annex B.6 for the colour profile."""

from __future__ import annotations

import re

from common.metadata.container import AFTER_THE_IMAGE, COMMENT, OTHER, XMP, damaged

_HEADER, _IMAGE_DESCRIPTOR = 13, 10
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL, _COMMENT = 0xF9, 0xFE
_APPLICATION = b"\x21\xff\x0b"
_LOOP = re.compile(rb"\x21\xff\x0b(NETSCAPE2\.0|ANIMEXTS1\.0)\x03\x01..\x00", re.DOTALL)
_ICC_PROFILE = _APPLICATION + b"ICCRGBG1012"


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Copy the header, the images with their graphic control, the loop and the colour profile."""
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise damaged("no GIF at its start")
    position = _HEADER + _colour_table(data[10])
    kept, words = [data[:position]], []
    while data[position] != _TRAILER:
        start = position
        if data[position] == _IMAGE:
            table = _colour_table(data[position + 9])
            position = _after_blocks(data, position + _IMAGE_DESCRIPTOR + table + 1)  # 1: the LZW code size
            kept.append(data[start:position])
        elif data[position] == _EXTENSION:
            position = _after_blocks(data, position + 2)
            block = data[start:position]
            word = _private(block)
            if word is None: kept.append(block)
            else: words.append(word)
        else:
            raise damaged(f"GIF block at byte {position}")
    position += 1
    if position < len(data):
        words.append(AFTER_THE_IMAGE)
    return b"".join(kept) + bytes([_TRAILER]), words


def _private(extension: bytes) -> str | None:
    """Return the word for an extension that the picture does not need."""
    if extension[1] == _GRAPHIC_CONTROL and len(extension)==8 or _LOOP.fullmatch(extension) or extension.startswith(_ICC_PROFILE):
        return None
    if extension[1] == _COMMENT:
        return COMMENT
    return XMP if extension.startswith(_APPLICATION + b"XMP DataXMP") else OTHER


def _colour_table(flags: int) -> int:
    """Return the size in bytes of the colour table of which the flags of a header or an image tell."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Return the offset after a chain of sub-blocks, which an empty one ends."""
    while size := data[position]:
        position += size + 1
    return position + 1
