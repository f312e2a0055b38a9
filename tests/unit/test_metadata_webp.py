"""Removing private metadata from WebP."""

from __future__ import annotations

import struct

import pictures
import pytest

from common.errors import ImageError
from common.metadata import strip_metadata

WEBP = "image/webp"
_FLAGS = 20  # where VP8X has them in a file


def container(*chunks: bytes) -> bytes:
    return pictures.riff(b"RIFF", b"WEBP" + b"".join(chunks))


def picture_chunk() -> bytes:
    data = pictures.plain(WEBP)
    assert data[12:16] == b"VP8 "
    return data[12:]


def vp8x(flags: int) -> bytes:
    return pictures.riff(b"VP8X", bytes([flags, 0, 0, 0, 63, 0, 0, 47, 0, 0]))


def test_the_flags_say_what_is_left() -> None:
    data = container(
        vp8x(0x0C), picture_chunk(), pictures.riff(b"EXIF", pictures.exif(1)), pictures.riff(b"XMP ", b"x")
    )
    stripped = strip_metadata(data, WEBP)
    assert stripped.data == container(vp8x(0), picture_chunk())
    assert stripped.removed == ("Exif", "GPS position", "embedded thumbnail", "XMP")


def test_an_orientation_stays_with_its_flag() -> None:
    data = container(vp8x(0x0C), picture_chunk(), pictures.riff(b"EXIF", b"Exif\0\0" + pictures.exif()))
    stripped = strip_metadata(data, WEBP)
    assert stripped.data[_FLAGS] == 0x08
    assert pictures.look(stripped.data).orientation == pictures.TURNED


def test_the_size_is_right_without_the_byte_that_pads_the_last_chunk() -> None:
    odd = pictures.riff(b"XMP ", b"odd")
    data = container(vp8x(0x04), picture_chunk(), odd)[:-1]
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    stripped = strip_metadata(data, WEBP)
    assert stripped.data == container(vp8x(0), picture_chunk())


def test_nothing_hides_in_a_frame() -> None:
    data = pictures.plain(WEBP, frames=2)
    start = data.index(b"ANMF")
    (length,) = struct.unpack_from("<I", data, start + 4)
    frame = data[start + 8 : start + 8 + length]
    planted = pictures.riff(b"ANMF", frame + pictures.riff(b"PRVT", pictures.CAMERA))
    stripped = strip_metadata(container(data[12:start], planted, data[start + 8 + length :]), WEBP)
    assert stripped.data == data
    assert stripped.removed == ("other data",)


@pytest.mark.parametrize("chunk", [b"VP8", b"VP8X\xff\xff\xff\xff", pictures.riff(b"VP8X", b""), b"ANMF\1\0\0\0\0\0"])
def test_a_chunk_that_is_too_short_or_too_long_is_refused_or_goes(chunk: bytes) -> None:
    data = pictures.riff(b"RIFF", b"WEBP" + chunk)
    try:
        assert strip_metadata(data, WEBP).data == data
    except ImageError as error:
        assert error.code == "truncated"  # noqa: PT017


def test_a_frame_without_a_picture_is_refused() -> None:
    """Fuzzing found that it was cut off, and that the rest could not be decoded any more."""
    data = pictures.plain(WEBP, frames=2)
    last = data.rindex(b"VP8 ")
    assert strip_metadata(data, WEBP).data == data
    with pytest.raises(ImageError, match="a frame has no picture"):
        strip_metadata(data[:last] + b"VP8\0" + data[last + 4 :], WEBP)
