"""Removing private metadata from TIFF."""

from __future__ import annotations

import struct

import pictures
import pytest
from PIL import Image

from common.errors import ImageError
from common.metadata import strip_metadata

TIFF = "image/tiff"


def page(
    order: str = "<", *more: tuple[int, int, bytes], behind: bytes = b"", length: int = 6, start: int = 8
) -> bytes:
    """A page of three by two grey pixels, then its directory, then what is behind it."""
    pixels = b"\1\2\3\4\5\6" + bytes(start - 8)
    short, long = f"{order}H", f"{order}I"
    entries = [
        (256, 3, struct.pack(short, 3)),
        (257, 3, struct.pack(short, 2)),
        (258, 3, struct.pack(short, 8)),
        (259, 3, struct.pack(short, 1)),
        (262, 3, struct.pack(short, 1)),
        (273, 4, struct.pack(long, 8)),
        (277, 3, struct.pack(short, 1)),
        (279, 4, struct.pack(long, length)),
        *more,
    ]
    at = 8 + len(pixels)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return head + struct.pack(long, at) + pixels + pictures.directory(order, at, sorted(entries)) + behind


@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders_are_read(order: str) -> None:
    data = page(order, (270, 2, pictures.COMMENT))
    stripped = strip_metadata(data, TIFF)
    assert stripped.removed == ("comment",)
    assert pictures.COMMENT not in stripped.data
    assert pictures.look(stripped.data) == pictures.look(data)
    assert len(pictures.look(data).frames[0][2]) == 6


def test_a_big_tiff_is_read() -> None:
    data = pictures.plain(TIFF, big_tiff=True, description=pictures.COMMENT.decode(), software="planted 7f3a")
    assert data[2] == 43
    stripped = strip_metadata(data + pictures.ARCHIVE, TIFF)
    assert stripped.removed == ("comment", "other data", "data after the image")
    assert b"7f3a" not in stripped.data
    assert pictures.look(stripped.data) == pictures.look(data)
    assert strip_metadata(stripped.data, TIFF).removed == ()


def test_tiles_stay() -> None:
    data = pictures.tiff_with_tile(64)
    assert strip_metadata(data, TIFF).data == data
    assert strip_metadata(data + pictures.ARCHIVE, TIFF).data == data


@pytest.mark.parametrize("compression", ["jpeg", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd"])
def test_compressed_strips_stay_byte_for_byte(compression: str) -> None:
    data = pictures.private(TIFF, picture=pictures.still((640, 480)), compression=compression)
    stripped = strip_metadata(data, TIFF)
    with Image.open(pictures.BytesIO(data)) as image:
        spans = list(zip(image.tag_v2[273], image.tag_v2[279], strict=True))
    assert len(spans) > 1
    for start, length in spans:
        assert stripped.data[start : start + length] == data[start : start + length]


def test_a_preview_behind_a_pointer_goes_with_its_pixels() -> None:
    at = len(page("<", (330, 4, bytes(4))))
    preview = pictures.directory("<", at, [(273, 4, struct.pack("<I", at + 30)), (279, 4, struct.pack("<I", 22))])
    data = page("<", (330, 4, struct.pack("<I", at)), behind=preview + pictures.THUMBNAIL)
    assert data[at + 30 :] == pictures.THUMBNAIL
    stripped = strip_metadata(data, TIFF)
    assert stripped.removed == ("embedded thumbnail",)
    assert pictures.THUMBNAIL not in stripped.data
    assert pictures.look(stripped.data) == pictures.look(data)


def test_nothing_hides_in_gaps() -> None:
    data = page(start=8 + len(pictures.CAMERA))
    data = data[:14] + pictures.CAMERA + data[14 + len(pictures.CAMERA) :]
    stripped = strip_metadata(data, TIFF)
    assert stripped.removed == ("unused data",)
    assert pictures.CAMERA not in stripped.data
    assert pictures.look(stripped.data) == pictures.look(data)


def test_a_value_that_a_tag_which_stays_shares_with_one_that_goes_stays() -> None:
    resolution = struct.pack("<II", 300, 1)
    data = page("<", (282, 5, resolution), (33432, 5, resolution))
    (kept,) = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 282, 5, 1)) + 8)
    shared = data.index(struct.pack("<HHI", 33432, 5, 1)) + 8
    data = data[:shared] + struct.pack("<I", kept) + data[shared + 4 :]
    assert strip_metadata(data, TIFF).data[kept : kept + 8] == resolution


def test_a_tag_that_claims_gigabytes_goes_like_any_other() -> None:
    data = page("<", (270, 2, pictures.COMMENT))
    claim = data.index(struct.pack("<HH", 270, 2)) + 4
    data = data[:claim] + struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0) + data[claim + 8 :]
    stripped = strip_metadata(data, TIFF)
    assert stripped.removed[0] == "comment"
    assert len(stripped.data) < len(data)


def test_pages_in_a_circle_are_refused() -> None:
    data = page()
    (first,) = struct.unpack_from("<I", data, 4)
    with pytest.raises(ImageError, match="circle"):
        strip_metadata(data[:-4] + struct.pack("<I", first), TIFF)


def test_strips_shorter_than_the_picture_are_refused() -> None:
    assert pictures.look(page(length=1)) == pictures.look(page())  # Pillow does not look at the length
    with pytest.raises(ImageError, match="shorter"):
        strip_metadata(page(length=1), TIFF)


def test_strips_that_end_after_the_file_are_refused() -> None:
    with pytest.raises(ImageError, match="after the file"):
        strip_metadata(page(length=1_000), TIFF)


def test_strips_in_a_directory_are_refused() -> None:
    data = page("<", (270, 2, pictures.COMMENT))
    place = data.index(struct.pack("<HHI", 273, 4, 1)) + 8
    (directory,) = struct.unpack_from("<I", data, 4)
    with pytest.raises(ImageError, match="directory"):
        strip_metadata(data[:place] + struct.pack("<I", directory) + data[place + 4 :], TIFF)


def test_old_style_jpeg_is_refused() -> None:
    data = page().replace(struct.pack("<HHIH", 259, 3, 1, 1), struct.pack("<HHIH", 259, 3, 1, 6))
    with pytest.raises(ImageError, match="old-style") as caught:
        strip_metadata(data, TIFF)
    assert caught.value.hint


@pytest.mark.parametrize("tag", [256, 257, 273, 279])
def test_a_page_without_what_it_needs_is_refused(tag: int) -> None:
    data = (
        page()
        .replace(struct.pack("<H", tag) + b"\3\0", b"\xff\xff\3\0")
        .replace(struct.pack("<H", tag) + b"\4\0", b"\xff\xff\4\0")
    )
    with pytest.raises(ImageError):
        strip_metadata(data, TIFF)
