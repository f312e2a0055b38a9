"""Thumbnails: what they are made of, what the decoding process may say, and how they are kept."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import uuid
from typing import TYPE_CHECKING

import pictures
import pytest
from galleries import FINGERPRINT, NOW
from PIL import Image

from common import decoder as asking
from common.decoder import LONGEST_SIDE, Decoder, Thumbnail, read_answer
from common.decoding.inspection import make_thumbnail
from common.errors import ImageError, VerificationError
from common.settings import MEBIBYTE, Settings
from subscriber.gallery.thumbnails import FOLDER, Thumbnails
from subscriber.ledger import SAVED, Entry

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 2_000_000


def small(data: bytes, *, longest_side: int = 120) -> Image.Image:
    with Image.open(io.BytesIO(make_thumbnail(data, maximum_pixels=LIMIT, longest_side=longest_side))) as image:
        assert image.format == "WEBP"
        image.load()
        return image.copy()


def entry(number: int) -> Entry:
    return Entry("alice", uuid.UUID(int=number), "public", SAVED, NOW, sha256=f"{number:064x}", fingerprint=FINGERPRINT)


@pytest.mark.parametrize("media_type", pictures.FORMATS)
@pytest.mark.filterwarnings("ignore::Warning")
def test_every_format_is_turned_and_without_what_else_it_holds(media_type: str) -> None:
    data = pictures.private(media_type, picture=pictures.still((300, 150)))
    thumbnail = make_thumbnail(data, maximum_pixels=LIMIT, longest_side=120)
    assert not [secret for secret in pictures.SECRETS if secret in thumbnail]
    is_turned = media_type in pictures.CARRY_EXIF
    assert small(data).size == ((60, 120) if is_turned else (120, 60))


def test_a_small_image_is_not_made_larger() -> None:
    assert small(pictures.plain("image/png")).size == (64, 48)
    assert small(pictures.plain("image/png", pictures.still((1000, 2)))).size == (120, 1)


MODES = {
    "RGB": (200, 100, 50, 255), "RGBA": (200, 100, 50, 0), "L": (90, 90, 90, 255), "LA": (90, 90, 90, 0),
    "P": (200, 100, 50, 255), "1": (255, 255, 255, 255), "I;16": (128, 128, 128, 255), "CMYK": (55, 155, 205, 255),
}  # fmt: skip
COLOURS = {"RGB": (200, 100, 50), "RGBA": (200, 100, 50, 0), "L": 90, "LA": (90, 0), "1": 1, "I;16": 0x8080}


@pytest.mark.parametrize(("mode", "expected"), MODES.items())
def test_every_mode_keeps_its_colours(mode: str, expected: tuple[int, ...]) -> None:
    if mode == "P":
        picture = Image.new("RGB", (200, 100), (200, 100, 50)).convert("P", palette=Image.Palette.ADAPTIVE)
    else:
        picture = Image.new(mode, (200, 100), COLOURS.get(mode, (200, 100, 50, 0)))
    data = pictures.plain("image/tiff" if mode == "CMYK" else "image/png", picture)
    pixel = small(data).convert("RGBA").getpixel((60, 30))
    assert isinstance(pixel, tuple)
    assert pixel[3] == expected[3]
    if expected[3]:
        assert all(abs(one - other) < 12 for one, other in zip(pixel, expected, strict=True))


def test_a_screens_colours_are_kept_and_a_printers_are_not() -> None:
    profile = pictures.icc_profile()
    assert small(pictures.plain("image/jpeg", icc_profile=profile)).info.get("icc_profile") == profile
    large = profile + bytes(MEBIBYTE // 4)
    assert not small(pictures.plain("image/jpeg", icc_profile=large)).info.get("icc_profile")


BAD = {
    "too_many_pixels": pictures.png_bomb(), "truncated": pictures.plain("image/png")[:400],
    "not_an_image": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "empty": b"",
}  # fmt: skip


@pytest.mark.parametrize(("code", "data"), BAD.items())
@pytest.mark.parametrize("is_apart", [False, True])
def test_there_is_none_of_what_is_no_image(code: str, data: bytes, *, is_apart: bool) -> None:
    with Decoder(Settings(maximum_pixels=LIMIT)) as decoder, pytest.raises(ImageError) as caught:
        decoder.thumbnail(data) if is_apart else make_thumbnail(data, maximum_pixels=LIMIT, longest_side=LONGEST_SIDE)
    assert caught.value.code == code


def test_the_decoding_process_makes_them() -> None:
    data = pictures.plain("image/jpeg", pictures.still((900, 600)))
    with Decoder(Settings()) as decoder:
        thumbnail = decoder.thumbnail(data)
        assert thumbnail == make_thumbnail(data, maximum_pixels=LIMIT, longest_side=LONGEST_SIDE)
        assert decoder.inspect(data).width == 900


def test_the_worst_that_can_be_asked_for_fits() -> None:
    noise = Image.frombytes("RGBA", (LONGEST_SIDE, LONGEST_SIDE), os.urandom(LONGEST_SIDE**2 * 4))
    with Decoder(Settings()) as decoder:
        assert len(decoder.thumbnail(pictures.plain("image/png", noise))) < asking._LONGEST_THUMBNAIL  # noqa: SLF001


def says(thumbnail: bytes) -> bytes:
    return json.dumps({"thumbnail": base64.urlsafe_b64encode(thumbnail).decode()}).encode()


WEBP = pictures.plain("image/webp")
LIES = {
    "a page": b"<html><script>alert(1)</script>",
    "a PNG": pictures.plain("image/png"),
    "more behind it": WEBP + b"<html>",
    "less": WEBP[:-1],
    "another kind of RIFF": WEBP[:8] + b"WAVE" + WEBP[12:],
    "nothing": b"",
    "too much": b"RIFF" + MEBIBYTE.to_bytes(4, "little") + b"WEBP" + bytes(MEBIBYTE - 4),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_process_that_was_taken_over_cannot_say_that_anything_else_is_a_thumbnail(lie: bytes) -> None:
    with pytest.raises(VerificationError):
        read_answer(Thumbnail, says(lie))
    assert read_answer(Thumbnail, says(WEBP)) == Thumbnail(thumbnail=WEBP)


def test_it_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    made = []
    thumbnails = Thumbnails(tmp_path, lambda image: made.append(image) or WEBP, maximum_bytes=MEBIBYTE)
    assert thumbnails.find(entry(1)) is None
    assert thumbnails.make(entry(1), b"image") == WEBP
    again = Thumbnails(tmp_path, lambda _: b"", maximum_bytes=MEBIBYTE)
    assert again.find(entry(1)) == WEBP
    assert made == [b"image"]
    (path,) = (tmp_path / FOLDER).iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    again.forget(entry(1))
    assert again.find(entry(1)) is None
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path, lambda _: bytes(100), maximum_bytes=1000)
    for number in range(25):
        thumbnails.make(entry(number), b"")
        path = tmp_path / FOLDER / f"{number:064x}.webp"
        os.utime(path, (number, number))
        assert sum(one.stat().st_size for one in path.parent.iterdir()) <= 1000
    assert thumbnails.find(entry(24)) is not None
    assert thumbnails.find(entry(0)) is None
    assert len(list((tmp_path / FOLDER).iterdir())) >= 9


def test_where_it_cannot_be_kept_it_is_made_again(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path, lambda _: WEBP, maximum_bytes=MEBIBYTE)
    (tmp_path / FOLDER).rmdir()
    (tmp_path / FOLDER).write_bytes(b"in the way")
    assert [thumbnails.make(entry(1), b"") for _ in range(2)] == [WEBP, WEBP]


def test_the_folder_may_be_deleted_and_another_gallery_may_use_it(tmp_path: Path) -> None:
    one, other = (Thumbnails(tmp_path, lambda _: bytes(100), maximum_bytes=1000) for _ in range(2))
    one.make(entry(1), b"")
    shutil.rmtree(tmp_path / FOLDER)
    one.make(entry(2), b"")
    assert other.find(entry(2)) == bytes(100)
    os.utime(tmp_path / FOLDER / f"{2:064x}.webp", (2, 2))
    (tmp_path / FOLDER / "being-written").symlink_to(tmp_path / "gone")  # what is there in one moment, and not the next
    for number in range(3, 30):
        for thumbnails, which in ((other, number), (one, number + 100)):
            thumbnails.make(entry(which), b"")
            os.utime(tmp_path / FOLDER / f"{which:064x}.webp", (number, number))
    assert one.find(entry(2)) is None
    assert one.find(entry(29)) == other.find(entry(129)) == bytes(100)


def test_what_has_none_is_tried_once(tmp_path: Path) -> None:
    tried = []

    def fail(image: bytes) -> bytes:
        tried.append(image)
        raise ImageError("broken")

    thumbnails = Thumbnails(tmp_path, fail, maximum_bytes=MEBIBYTE)
    for _ in range(2):
        with pytest.raises(ImageError):
            thumbnails.make(entry(1), b"image")
    assert tried == [b"image"]
