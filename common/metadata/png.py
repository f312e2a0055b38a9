"""PNG: W3C PNG third edition, which covers APNG and eXIf."""

from __future__ import annotations

import struct
import zlib

from common.metadata import exif, words
from common.metadata.container import damaged

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = {
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"),
    *(b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI"),  # colour
    *(b"bKGD", b"pHYs"),
    *(b"acTL", b"fcTL", b"fdAT"),  # animation
}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
# What ImageMagick and exiftool write into text chunks; the keyword ends with a zero.
_KEYWORDS = {
    b"XML:com.adobe.xmp": words.XMP,
    b"Raw profile type xmp": words.XMP,
    b"Raw profile type exif": words.EXIF,
    b"Raw profile type APP1": words.EXIF,
    b"Raw profile type iptc": words.IPTC,
}


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Copy the chunks that the picture needs, with their CRCs."""
    if not data.startswith(_SIGNATURE):
        raise damaged("no PNG at its start")
    kept, removed = [_SIGNATURE], []
    position, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        start, position = position, position + length + 12
        if position > len(data) or (kind == b"IEND" and length):
            raise damaged(f"PNG chunk at byte {start}")
        content = data[start + 8 : position - 4]
        if kind in _PICTURE:
            kept.append(data[start:position])
        elif kind == b"eXIf":
            block, gone = exif.reduce(content)
            removed += gone
            if block:
                kept.append(_chunk(kind, block))
        elif kind in _TEXTS:
            removed.append(_KEYWORDS.get(content.partition(b"\0")[0], words.COMMENT))
        else:
            removed.append(words.TIME if kind == b"tIME" else words.OTHER)
    if position < len(data):
        removed.append(words.AFTER_THE_IMAGE)
    return b"".join(kept), removed


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
