"""Removing private metadata from BMP."""

from __future__ import annotations

import struct

import pictures
import pytest

from common.errors import ImageError
from common.metadata import strip_metadata

BMP = "image/bmp"


def bitmap(header: bytes, between: bytes, pixels: bytes, behind: bytes = b"") -> bytes:
    start = 14 + len(header) + len(between)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + between + pixels + behind


def info(bits: int = 24, compression: int = 0, size: int = 0, *, height: int = 2) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, 3, height, 1, bits, compression, size, 0, 0, 0, 0)


PIXELS = bytes(range(24))  # two rows of three pixels, each padded to twelve bytes


def test_the_size_is_right_and_pixels_stay_where_an_archive_goes() -> None:
    stripped = strip_metadata(bitmap(info(), b"", PIXELS, pictures.ARCHIVE), BMP)
    assert stripped.data == bitmap(info(), b"", PIXELS)
    assert struct.unpack_from("<I", stripped.data, 2) == (len(stripped.data),)


def test_nothing_hides_between_header_and_pixels() -> None:
    data = bitmap(info(), pictures.CAMERA, PIXELS)
    stripped = strip_metadata(data, BMP)
    assert stripped.data == bitmap(info(), bytes(len(pictures.CAMERA)), PIXELS)
    assert stripped.removed == ("unused data",)
    assert pictures.look(stripped.data) == pictures.look(data)


@pytest.mark.parametrize(
    ("header", "between", "pixels"),
    [
        (struct.pack("<IHHHH", 12, 3, 2, 1, 24), b"", PIXELS),
        (struct.pack("<IHHHH", 12, 3, 2, 1, 8), bytes(range(256)) * 3, PIXELS[:8]),
        (info(height=-2), b"", PIXELS),
        (info(bits=8), bytes(range(256)) * 4, PIXELS[:8]),
        (info(bits=8, compression=1, size=12), bytes(range(256)) * 4, b"\3\1\0\0\3\2\0\0\0\1\0\0"),
        (info(bits=16, compression=3), struct.pack("<III", 0xF800, 0x07E0, 0x001F), PIXELS[:16]),
    ],
)
def test_every_kind_of_bitmap_stays_as_it_is(header: bytes, between: bytes, pixels: bytes) -> None:
    data = bitmap(header, between, pixels)
    assert pictures.look(data).frames[0][1] == (3, 2)
    assert strip_metadata(data, BMP).data == data
    assert strip_metadata(data + pictures.ARCHIVE, BMP).data == data


def test_an_embedded_profile_stays() -> None:
    profile = pictures.icc_profile()
    header = info() + bytes(124 - 40)
    header = struct.pack("<I", 124) + header[4:56] + b"DEBM" + header[60:112]
    header += struct.pack("<III", 124 + len(PIXELS), len(profile), 0)
    data = bitmap(header, b"", PIXELS, profile)
    assert strip_metadata(data, BMP).data == data
    assert strip_metadata(data + pictures.ARCHIVE, BMP).data[:-4].endswith(profile[:-4])
    assert pictures.ARCHIVE not in strip_metadata(data + pictures.ARCHIVE, BMP).data


@pytest.mark.parametrize(
    "header",
    [info(bits=0), info(height=0), info(compression=4, size=24), info(compression=1), info(bits=1000), info()[:20]],
)
def test_a_bitmap_whose_end_cannot_be_told_is_refused(header: bytes) -> None:
    with pytest.raises(ImageError):
        strip_metadata(bitmap(header, b"", PIXELS, pictures.ARCHIVE), BMP)
