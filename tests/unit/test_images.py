"""Reading and decoding images within limits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pictures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.decoding.inspection import MAXIMUM_FRAMES, MAXIMUM_SCANS, inspect
from common.errors import ImageError
from common.images import ImageFacts, read_image_file

LIMIT = 1_000_000
SMALL = {media_type: pictures.plain(media_type, pictures.still((16, 12))) for media_type in pictures.FORMATS}
ANIMATED = ["image/avif", "image/gif", "image/png", "image/tiff", "image/webp"]


def refused(data: bytes, maximum_pixels: int = LIMIT) -> ImageError:
    with pytest.raises(ImageError) as caught:
        inspect(data, maximum_pixels=maximum_pixels)
    assert caught.value.hint
    assert caught.value.message[0].islower() or caught.value.message.startswith("JPEG")
    assert not caught.value.message.endswith(".")
    return caught.value


@pytest.mark.parametrize("media_type", pictures.FORMATS)
def test_every_format_is_told_with_its_size(media_type: str) -> None:
    assert inspect(pictures.plain(media_type), maximum_pixels=LIMIT) == ImageFacts(media_type, 64, 48)


@pytest.mark.parametrize("media_type", pictures.FORMATS)
def test_metadata_and_an_archive_behind_an_image_do_not_matter_and_orientation_is_not_applied(media_type: str) -> None:
    assert inspect(pictures.private(media_type), maximum_pixels=LIMIT) == ImageFacts(media_type, 64, 48)


def test_pictures_behind_a_jpeg_do_not_matter() -> None:
    data = pictures.plain("image/jpeg") + pictures.plain("image/png")
    assert inspect(data, maximum_pixels=64 * 48).media_type == "image/jpeg"
    assert inspect(pictures.multi_picture_jpeg(), maximum_pixels=64 * 48) == ImageFacts("image/jpeg", 64, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"BM is no bitmap but the beginning of a sentence",
        b"%PDF-1.7",
        b"PK\x03\x04 an archive",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        pictures.box(b"ftyp", b"heic\0\0\0\0mif1heic") + bytes(100),
        b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0",  # an icon, which Pillow could read
        b"P6 1 1 255 abc",  # a pixmap, which Pillow could read
    ],
)
def test_what_is_no_image_of_a_known_format_is_refused(data: bytes) -> None:
    assert refused(data).code == "not_an_image"


def test_nothing_is_refused_as_empty() -> None:
    assert refused(b"").code == "empty"


@pytest.mark.parametrize("media_type", pictures.FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_an_image_that_is_cut_short_is_refused(media_type: str, kept: float) -> None:
    data = pictures.plain(media_type)
    assert refused(data[: int(len(data) * kept)]).code == "truncated"


@pytest.mark.parametrize("media_type", pictures.FORMATS)
def test_only_the_beginning_of_a_format_is_refused_as_cut_short(media_type: str) -> None:
    assert refused(pictures.plain(media_type)[:30]).code == "truncated"


def test_a_jpeg_without_its_end_is_refused() -> None:
    assert refused(pictures.plain("image/jpeg")[:-2]).code == "truncated"


def test_a_decompression_bomb_is_refused() -> None:
    bomb = pictures.png_bomb()
    assert len(bomb) < 12_000
    assert refused(bomb, maximum_pixels=80_000_000).code == "too_many_pixels"


@pytest.mark.parametrize("media_type", pictures.FORMATS)
def test_the_limit_is_exact(media_type: str) -> None:
    data = pictures.plain(media_type)
    assert inspect(data, maximum_pixels=64 * 48).width == 64
    assert refused(data, maximum_pixels=64 * 48 - 1).code == "too_many_pixels"


@pytest.mark.parametrize("media_type", ANIMATED)
def test_the_limit_is_for_all_frames_together(media_type: str) -> None:
    data = pictures.plain(media_type, frames=3)
    assert inspect(data, maximum_pixels=3 * 64 * 48) == ImageFacts(media_type, 64, 48)
    assert refused(data, maximum_pixels=3 * 64 * 48 - 1).code == "too_many_pixels"


def test_frames_without_end_are_refused() -> None:
    pixel = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    start = b"GIF89a\1\0\1\0\x80\0\0" + bytes(6)
    assert inspect(start + pixel * 100 + b";", maximum_pixels=LIMIT).width == 1
    assert refused(start + pixel * (MAXIMUM_FRAMES + 1) + b";").code == "too_many_pixels"


def test_scans_without_end_are_refused() -> None:
    assert inspect(pictures.jpeg_with_scans(MAXIMUM_SCANS), maximum_pixels=LIMIT).width == 64
    assert refused(pictures.jpeg_with_scans(MAXIMUM_SCANS + 1)).code == "too_many_pixels"


def test_a_tile_larger_than_the_limit_is_refused() -> None:
    assert inspect(pictures.tiff_with_tile(1_008), maximum_pixels=1_008**2) == ImageFacts("image/tiff", 1, 1)
    assert refused(pictures.tiff_with_tile(1_008), maximum_pixels=1_008**2 - 1).code == "too_many_pixels"


def test_no_limit_stays_behind() -> None:
    before = Image.MAX_IMAGE_PIXELS
    inspect(pictures.plain("image/png"), maximum_pixels=LIMIT)
    refused(pictures.plain("image/png"), maximum_pixels=1)
    assert before == Image.MAX_IMAGE_PIXELS


def test_no_plugin_but_those_of_the_allowed_formats_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(pictures.plain("image/webp"))
    code = (
        "import sys; from pathlib import Path; from common.decoding.inspection import inspect; "
        f"inspect(Path({str(tmp_path / 'image')!r}).read_bytes(), maximum_pixels=10_000); "
        "print([name for name in sys.modules if name.endswith('EpsImagePlugin')])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("media_type", pictures.FORMATS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_does_not_matter(media_type: str, data: st.DataObject) -> None:
    damaged = data.draw(pictures.mutations(SMALL[media_type]))
    try:
        assert inspect(damaged, maximum_pixels=100_000).width > 0
    except ImageError as error:
        assert error.code in {"empty", "not_an_image", "truncated", "too_many_pixels"}  # noqa: PT017 - either is right


def unread(path: Path, maximum_bytes: int = 100) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image_file(path, maximum_bytes=maximum_bytes)
    assert caught.value.hint
    assert caught.value.message.startswith("the file ")  # who read it names it
    return caught.value


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(bytes(100))
    assert read_image_file(path, maximum_bytes=100) == bytes(100)
    assert unread(path, 99).code == "too_large"


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert unread(path).code == "too_large"


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"image")
    (tmp_path / "link.png").symlink_to(tmp_path / "image.png")
    assert read_image_file(tmp_path / "link.png", maximum_bytes=100) == b"image"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.png").touch()
    assert unread(tmp_path / "image.png").code == "empty"


def test_what_is_no_readable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind("socket")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "fifo", tmp_path / "socket", tmp_path / "loop"):
        assert unread(path).code == "unreadable"
    for path in (Path("/dev/null"), Path("/dev/zero"), Path("a zero\0in it"), Path("long" * 2_000)):
        assert unread(path).code == "unreadable"


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path, _flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", deny)  # tests may run as root, who may read everything
    error = unread(tmp_path / "image.png")
    assert (error.code, error.message) == ("unreadable", "the file cannot be read: permission denied")
