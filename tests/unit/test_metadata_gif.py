"""Removing private metadata from GIF."""

from __future__ import annotations

import pictures
import pytest

from common.errors import ImageError
from common.metadata import strip_metadata

GIF = "image/gif"


def with_extension(*extensions: bytes) -> bytes:
    data = pictures.plain(GIF)
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:start] + b"".join(extensions) + data[start:]


@pytest.mark.parametrize(
    ("extension", "word"),
    [
        (pictures.extension(0xFE, pictures.COMMENT), "comment"),
        (pictures.extension(0xFE, *[bytes(255)] * 20), "comment"),
        (pictures.extension(0xFF, b"XMP DataXMP", pictures.XMP), "XMP"),
        (pictures.extension(0xFF, b"PRIVATE 1.0", pictures.CAMERA), "other data"),
        (pictures.extension(0xFF, b"NETSCAPE2.0", b"\1\0\0", pictures.CAMERA), "other data"),
        (pictures.extension(0xFF, b"NETSCAPE2.0", pictures.CAMERA), "other data"),
        (pictures.extension(0x01, bytes(12), pictures.CAMERA), "other data"),
        (pictures.extension(0xF9, b"\0\0\0\0", pictures.CAMERA), "other data"),
        (pictures.extension(0x77), "other data"),
    ],
)
def test_every_other_extension_goes_and_is_named(extension: bytes, word: str) -> None:
    stripped = strip_metadata(with_extension(extension), GIF)
    assert stripped.removed == (word,)
    assert stripped.data == pictures.plain(GIF)


@pytest.mark.parametrize(
    "extension",
    [
        pictures.extension(0xFF, b"NETSCAPE2.0", b"\1\3\0"),
        pictures.extension(0xFF, b"ANIMEXTS1.0", b"\1\0\0", b"\2\0\0\0\0"),
        pictures.extension(0xFF, b"ICCRGBG1012", bytes(255), bytes(100)),
        pictures.extension(0xF9, b"\4\0\0\0"),
    ],
)
def test_what_says_how_the_picture_looks_stays(extension: bytes) -> None:
    data = with_extension(extension, pictures.extension(0xFE, pictures.COMMENT))
    assert strip_metadata(data, GIF).data == with_extension(extension)


def test_a_frame_with_its_own_colours_stays() -> None:
    data = pictures.plain(GIF, frames=3)
    assert b"\x2c\0\0\0\0\x40\0\x30\0\x87" in data
    assert strip_metadata(data + pictures.ARCHIVE, GIF).data == data


@pytest.mark.parametrize("garbage", [b"\0", b"\x21", b"PK\x03\x04", b"\x21\xfe\5"])
def test_what_is_no_block_is_refused(garbage: bytes) -> None:
    with pytest.raises(ImageError):
        strip_metadata(pictures.plain(GIF)[:-1] + garbage, GIF)
