"""Removing private metadata from JPEG."""

from __future__ import annotations

import pictures
import pytest

from common.errors import ImageError
from common.metadata import strip_metadata
from common.metadata.jpeg import START_OF_SCAN, segments

JPEG = "image/jpeg"


def scans(data: bytes) -> list[bytes]:
    return [data[found.start : found.end] for found in segments(data) if found.marker == START_OF_SCAN]


def with_segment(marker: int, content: bytes) -> bytes:
    data = pictures.plain(JPEG)
    return data[:2] + pictures.segment(marker, content) + data[2:]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_the_compressed_picture_stays_byte_for_byte(options: dict[str, object]) -> None:
    data = pictures.private(JPEG, quality=100, **options)
    assert b"\xff\x00" in b"".join(scans(data))
    assert len(scans(data)) == (10 if "progressive" in options else 1)
    assert scans(strip_metadata(data, JPEG).data) == scans(data)


def test_restarts_are_part_of_a_scan() -> None:
    data = pictures.plain(JPEG, restart_marker_blocks=1)
    assert b"\xff\xd0" in scans(data)[0]
    assert b"\xff\xd7" in scans(data)[0]


def test_everything_removed_is_named() -> None:
    assert strip_metadata(pictures.private(JPEG), JPEG).removed == (
        "embedded thumbnail",
        "Exif",
        "GPS position",
        "XMP",
        "IPTC",
        "other data",
        "comment",
        "data after the image",
    )


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("order", "<>")
def test_only_an_orientation_stays_of_exif(orientation: int, order: str) -> None:
    data = with_segment(0xE1, b"Exif\0\0" + pictures.exif(orientation, order=order))
    stripped = strip_metadata(data, JPEG)
    assert stripped.removed == ("Exif", "GPS position", "embedded thumbnail")
    turned = 2 <= orientation <= 8
    assert pictures.look(stripped.data).orientation == (orientation if turned else 1)
    assert (b"Exif" in stripped.data) == turned
    assert len(stripped.data) == len(pictures.plain(JPEG)) + (4 + 6 + 26 if turned else 0)


@pytest.mark.parametrize(
    "block",
    [b"", b"II", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", b"no header at all", pictures.exif()[:40]],
)
def test_damaged_exif_goes_like_any_other(block: bytes) -> None:
    stripped = strip_metadata(with_segment(0xE1, b"Exif\0\0" + block), JPEG)
    assert stripped.removed[0] == "Exif"
    assert stripped.data == pictures.plain(JPEG)


def test_the_orientation_of_exif_that_is_damaged_behind_it_stays() -> None:
    block = pictures.exif()
    data = with_segment(0xE1, b"Exif\0\0" + block[:60])
    stripped = strip_metadata(data, JPEG)
    assert pictures.look(stripped.data).orientation == pictures.TURNED


def test_a_profile_in_several_segments_stays() -> None:
    profile = pictures.icc_profile() + bytes(100_000)
    data = pictures.private(JPEG, icc_profile=profile)
    assert pictures.look(strip_metadata(data, JPEG).data).icc_profile == profile


def test_further_pictures_behind_the_first_go() -> None:
    stripped = strip_metadata(pictures.multi_picture_jpeg(), JPEG)
    assert stripped.removed == ("list of further pictures", "data after the image")
    assert stripped.data.count(b"\xff\xd8\xff") == 1
    assert pictures.look(stripped.data).frames == pictures.look(pictures.multi_picture_jpeg()).frames[:1]


@pytest.mark.parametrize("marker", [*range(0xE0, 0xF0), 0xFE, 0xDC, 0xDE, 0xDF, 0xF0, 0xFD, 0x02, 0xBF])
def test_no_segment_of_an_unknown_kind_stays(marker: int) -> None:
    data = with_segment(marker, pictures.CAMERA)
    stripped = strip_metadata(data, JPEG)
    assert len(stripped.removed) == 1
    assert stripped.data == pictures.plain(JPEG)


def test_nothing_hides_behind_the_fixed_part_of_a_segment_that_stays() -> None:
    adobe = b"Adobe\0\x64\0\0\0\0\1"
    stripped = strip_metadata(with_segment(0xEE, adobe + pictures.CAMERA), JPEG)
    assert stripped.data == with_segment(0xEE, adobe)
    assert stripped.removed == ("other data",)


def test_fill_bytes_before_a_marker_do_not_matter() -> None:
    data = with_segment(0xFE, pictures.COMMENT).replace(b"\xff\xfe", b"\xff" * 1000 + b"\xfe")
    data = data.replace(b"\xff\xda", b"\xff\xff\xff\xda")[:-2] + b"\xff\xff\xd9"
    stripped = strip_metadata(data, JPEG)
    assert stripped.removed == ("comment",)
    assert pictures.look(stripped.data) == pictures.look(pictures.plain(JPEG))


@pytest.mark.parametrize(
    "garbage", [b"\0", b"\xff\xd8", b"\xff\xd0", b"\xff\x01", b"\xff\xe1\0\0", b"\xff\xe1\xff\xff"]
)
def test_what_is_no_segment_is_refused(garbage: bytes) -> None:
    data = pictures.plain(JPEG)
    with pytest.raises(ImageError) as caught:
        strip_metadata(data[:2] + garbage + data[2:], JPEG)
    assert caught.value.code == "truncated"
