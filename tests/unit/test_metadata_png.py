"""Removing private metadata from PNG."""

from __future__ import annotations

import struct
import zlib

import pictures
import pytest

from common.errors import ImageError
from common.metadata import strip_metadata

PNG = "image/png"
AFTER_HEADER = 33


def with_chunk(kind: bytes, content: bytes) -> bytes:
    data = pictures.plain(PNG)
    return data[:AFTER_HEADER] + pictures.chunk(kind, content) + data[AFTER_HEADER:]


def kinds(data: bytes) -> list[bytes]:
    found, position = [], 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        content = data[position + 4 : position + 8 + length]
        assert data[position + 8 + length : position + 12 + length] == struct.pack(">I", zlib.crc32(content))
        found.append(content[:4])
        position += 12 + length
    return found


def test_only_chunks_of_the_picture_stay_and_have_their_checksums() -> None:
    stripped = strip_metadata(pictures.private(PNG, frames=2), PNG)
    found = [b"IHDR", b"eXIf", b"acTL", b"iCCP", b"fcTL", b"IDAT", b"fcTL", b"fdAT", b"IEND"]
    assert sorted(kinds(stripped.data)) == sorted(found)


@pytest.mark.parametrize(
    ("kind", "content", "word"),
    [
        (b"tEXt", b"Comment\0" + pictures.COMMENT, "comment"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(pictures.COMMENT), "comment"),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + pictures.XMP, "XMP"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n"), "Exif"),
        (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(b"\niptc\n"), "IPTC"),
        (b"tEXt", b"", "comment"),
        (b"tIME", bytes(7), "creation time"),
        (b"caBX", pictures.CAMERA, "other data"),
        (b"ABCD", pictures.CAMERA, "other data"),
        (b"\0\n\xff!", pictures.CAMERA, "other data"),
    ],
)
def test_every_other_chunk_goes_and_is_named(kind: bytes, content: bytes, word: str) -> None:
    stripped = strip_metadata(with_chunk(kind, content), PNG)
    assert stripped.removed == (word,)
    assert stripped.data == pictures.plain(PNG)


@pytest.mark.parametrize(
    ("kind", "content"),
    [(b"gAMA", struct.pack(">I", 45455)), (b"sRGB", b"\0"), (b"pHYs", bytes(9)), (b"cICP", b"\1\x0d\0\1")],
)
def test_what_says_how_the_picture_looks_stays(kind: bytes, content: bytes) -> None:
    data = with_chunk(kind, content)
    assert strip_metadata(data, PNG).data == data


def test_nothing_hides_in_the_end() -> None:
    data = pictures.plain(PNG)[:-12] + pictures.chunk(b"IEND", pictures.CAMERA)
    with pytest.raises(ImageError):
        strip_metadata(data, PNG)
