"""Removing private metadata: what holds for every format."""

from __future__ import annotations

import pictures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ImageError
from common.metadata import strip_metadata

KINDS = [
    ("image/avif", {}),
    ("image/avif", {"frames": 3}),
    ("image/avif", {"picture": pictures.still(mode="RGBA")}),
    ("image/bmp", {}),
    ("image/bmp", {"picture": pictures.still(mode="P")}),
    ("image/bmp", {"picture": pictures.still(mode="1")}),
    ("image/gif", {}),
    ("image/gif", {"frames": 3, "duration": 70, "loop": 4}),
    ("image/jpeg", {}),
    ("image/jpeg", {"progressive": True}),
    ("image/jpeg", {"restart_marker_blocks": 1}),
    ("image/jpeg", {"picture": pictures.still(mode="L")}),
    ("image/jpeg", {"picture": pictures.still(mode="CMYK")}),
    ("image/png", {}),
    ("image/png", {"frames": 3, "duration": 70, "loop": 4}),
    ("image/png", {"picture": pictures.still(mode="P"), "transparency": 3}),
    ("image/tiff", {}),
    ("image/tiff", {"frames": 3}),
    ("image/tiff", {"picture": pictures.still(mode="1"), "compression": "group4"}),
    ("image/tiff", {"compression": "jpeg"}),
    ("image/tiff", {"compression": "tiff_lzw"}),
    ("image/tiff", {"picture": pictures.still(mode="I;16")}),
    ("image/webp", {}),
    ("image/webp", {"frames": 3, "duration": 70, "loop": 4}),
    ("image/webp", {"lossless": True, "picture": pictures.still(mode="RGBA")}),
]
SMALL = {media_type: pictures.private(media_type, picture=pictures.still((16, 12))) for media_type in pictures.FORMATS}


@pytest.mark.parametrize(("media_type", "options"), KINDS)
def test_no_secret_stays_and_the_picture_looks_the_same(media_type: str, options: dict[str, object]) -> None:
    data = pictures.private(media_type, **options)
    planted = [secret for secret in pictures.SECRETS if secret in data]
    assert len(planted) >= (1 if media_type in {"image/bmp", "image/gif"} else 2)  # these have no place for a position

    stripped = strip_metadata(data, media_type)

    assert [secret for secret in pictures.SECRETS if secret in stripped.data] == []
    assert pictures.look(stripped.data) == pictures.look(data)
    assert "data after the image" in stripped.removed
    if media_type in pictures.CARRY_EXIF:
        assert {"Exif", "GPS position", "XMP"} <= set(stripped.removed)
        assert pictures.look(data).icc_profile == pictures.icc_profile()
        assert pictures.look(data).orientation == (1 if options.get("frames") and media_type == "image/avif" else 6)


@pytest.mark.parametrize(("media_type", "options"), KINDS)
def test_what_was_stripped_stays_as_it_is(media_type: str, options: dict[str, object]) -> None:
    once = strip_metadata(pictures.private(media_type, **options), media_type)
    again = strip_metadata(once.data, media_type)
    assert again.removed == ()
    assert again.data == once.data


@pytest.mark.parametrize("media_type", pictures.FORMATS)
def test_an_image_without_metadata_stays_as_it_is(media_type: str) -> None:
    data = pictures.plain(media_type)
    assert strip_metadata(data, media_type).removed == ()
    assert strip_metadata(data, media_type).data == data


@pytest.mark.parametrize("media_type", pictures.FORMATS)
def test_an_archive_behind_the_image_goes(media_type: str) -> None:
    data = pictures.plain(media_type)
    stripped = strip_metadata(data + pictures.ARCHIVE, media_type)
    assert stripped.removed == ("data after the image",)
    assert stripped.data == data


@pytest.mark.parametrize("media_type", pictures.FORMATS)
def test_an_image_cut_short_anywhere_is_refused(media_type: str) -> None:
    data = pictures.plain(media_type, pictures.still((16, 12)))
    for length in range(len(data)):
        with pytest.raises(ImageError) as caught:
            strip_metadata(data[:length], media_type)
        assert caught.value.code == "truncated"
        assert caught.value.hint


@pytest.mark.parametrize("media_type", pictures.FORMATS)
@pytest.mark.parametrize("data", [b"", b"hello", bytes(1000), b"\xff" * 1000])
def test_what_is_no_such_image_is_refused(media_type: str, data: bytes) -> None:
    with pytest.raises(ImageError):
        strip_metadata(data, media_type)


def test_another_media_type_is_refused() -> None:
    with pytest.raises(ImageError, match="image/svg"):
        strip_metadata(b"<svg/>", "image/svg+xml")


@pytest.mark.parametrize("media_type", pictures.FORMATS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_read_as_far_as_it_matters(media_type: str, data: st.DataObject) -> None:
    damaged = data.draw(pictures.mutations(SMALL[media_type]))
    try:
        stripped = strip_metadata(damaged, media_type)
    except ImageError as error:
        assert error.hint  # noqa: PT017 - either is right
    else:
        assert (stripped.data == damaged) or stripped.removed
