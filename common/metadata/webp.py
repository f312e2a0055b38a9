"""WebP: RFC 9649 section 2."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from common.metadata import exif, words
from common.metadata.container import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIXELS = {b"VP8 ", b"VP8L"}
_BITSTREAM = {*_PIXELS, b"ALPH"}
_PICTURE = {*_BITSTREAM, b"VP8X", b"ANIM", b"ICCP"}
_FRAME_HEADER = 16
_EXIF_FLAG, _XMP_FLAG = 0x08, 0x04  # in the first byte of VP8X


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Copy the chunks that the picture needs, and correct what VP8X says about the others."""
    riff, size, form = struct.unpack_from("<4sI4s", data)
    if (riff, form) != (b"RIFF", b"WEBP") or 8 + size > len(data):
        raise damaged("its RIFF container")
    kept: list[tuple[bytes, bytes]] = []
    removed: list[str] = []
    for kind, content in _chunks(data[12 : 8 + size]):
        stays, gone = _reduce(kind, content)
        removed += gone
        if stays:
            kept.append((kind, stays))
    if 8 + size < len(data):
        removed.append(words.AFTER_THE_IMAGE)

    flags = _EXIF_FLAG if any(kind == b"EXIF" for kind, _ in kept) else 0
    for index, (kind, content) in enumerate(kept):
        if kind == b"VP8X":
            kept[index] = kind, bytes([content[0] & ~(_EXIF_FLAG | _XMP_FLAG) | flags]) + content[1:]
    return _chunk(b"RIFF", form + b"".join(_chunk(*chunk) for chunk in kept)), removed


def _reduce(kind: bytes, content: bytes) -> tuple[bytes, list[str]]:
    """Return what stays of a chunk, and words for what does not."""
    if kind in _PICTURE:
        return content, []
    if kind == b"EXIF":
        return exif.reduce(content.removeprefix(b"Exif\0\0"))
    if kind == b"ANMF":
        chunks = list(_chunks(content[_FRAME_HEADER:]))
        frame = [chunk for chunk in chunks if chunk[0] in _BITSTREAM]
        if not any(kind in _PIXELS for kind, _ in frame):  # libwebp passes over such a frame, but not over one cut off
            raise damaged("a frame has no picture")
        stays = content[:_FRAME_HEADER] + b"".join(_chunk(*chunk) for chunk in frame)
        return stays, [] if frame == chunks else [words.OTHER]
    return b"", [words.XMP if kind == b"XMP " else words.OTHER]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        start, position = position + 8, position + 8 + length
        if position > len(data):
            raise damaged("its RIFF container")
        yield kind, data[start:position]
        position += length % 2


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(content)) + content + bytes(len(content) % 2)
