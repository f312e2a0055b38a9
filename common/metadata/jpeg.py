"""JPEG: ISO/IEC 10918-1 annex B; JFIF 1.02; Exif (CIPA DC-008); ICC.1 annex B.4; Adobe's APP14."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from common.metadata import exif, words
from common.metadata.container import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_OF_IMAGE = b"\xff\xd8"
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_END_OF_IMAGE, START_OF_SCAN, _COMMENT = 0xD9, 0xDA, 0xFE
# Frame headers, the tables of Huffman and of arithmetic coding among them; quantisation; restart interval.
_PICTURE = {*range(0xC0, 0xD0), START_OF_SCAN, 0xDB, 0xDD, _END_OF_IMAGE}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}

# Any number of fill bytes may come before a marker.
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
# Within entropy-coded data FF 00 is a stuffed zero and FF D0 to FF D7 are restarts: neither ends the scan.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)

_JFIF, _ADOBE = 14, 12  # the sizes of their fixed parts
_EXIF = b"Exif\0\0"
_WORDS = (
    (b"http://ns.adobe.com/xap/1.0/\0", words.XMP),
    (b"http://ns.adobe.com/xmp/extension/\0", words.XMP),
    (b"Photoshop 3.0\0", words.IPTC),
    (b"JFXX\0", words.THUMBNAIL),
    (b"MPF\0", "list of further pictures"),
)


class Segment(NamedTuple):
    """A marker and the offsets of its segment in bytes: the marker itself, its content, its end."""

    marker: int
    start: int
    content: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """Yield each segment from after the start to the end of the image, a scan with its entropy-coded data.

    Raises ImageError where a segment or the end of the image is missing.
    """
    if not data.startswith(_START_OF_IMAGE):
        raise damaged("no JPEG at its start")
    position = len(_START_OF_IMAGE)
    while found := _MARKER.match(data, position):
        marker, start = found[1][0], found.end() - 2
        if marker == _END_OF_IMAGE:
            yield Segment(marker, start, found.end(), found.end())
            return
        if marker in _STANDALONE:
            break
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
        if marker == START_OF_SCAN:
            end_of_scan = _END_OF_SCAN.search(data, position)
            if end_of_scan is None:
                raise damaged("the end of the JPEG is missing")
            position = end_of_scan.start()
        yield Segment(marker, start, found.end() + 2, position)
    raise damaged(f"no JPEG segment at byte {position}")


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Copy the segments that the picture needs; entropy-coded data is copied as it is."""
    kept, removed, end = [_START_OF_IMAGE], [], 0
    for marker, start, content, end in segments(data):
        if marker in _PICTURE:
            kept.append(data[start:end])
            continue
        stays, gone = _reduce(marker, data[content:end])
        removed += gone
        if stays:
            kept.append(struct.pack(">BBH", 0xFF, marker, 2 + len(stays)) + stays)
    if end < len(data):
        removed.append(words.AFTER_THE_IMAGE)
    return b"".join(kept), removed


def _reduce(marker: int, content: bytes) -> tuple[bytes, list[str]]:
    """Return what stays of a segment that is not the picture itself, and words for what does not."""
    if marker == _COMMENT:
        return b"", [words.COMMENT]
    if marker == _APP2 and content.startswith(b"ICC_PROFILE\0"):
        return content, []
    if marker == _APP1 and content.startswith(_EXIF):
        block, removed = exif.reduce(content.removeprefix(_EXIF))
        return _EXIF + block if block else b"", removed
    # Both tell a decoder how to read the colours. Whatever follows their fixed part is not theirs.
    if marker == _APP0 and content.startswith(b"JFIF\0") and len(content) >= _JFIF:
        stays = content[: _JFIF - 2] + b"\0\0"  # a thumbnail of 0 by 0 pixels
        return stays, [] if content == stays else [words.THUMBNAIL]
    if marker == _APP14 and content.startswith(b"Adobe") and len(content) >= _ADOBE:
        return content[:_ADOBE], [] if len(content) == _ADOBE else [words.OTHER]
    return b"", [next((word for start, word in _WORDS if content.startswith(start)), words.OTHER)]
