"""Decodes images and makes thumbnails, within limits; only it knows Pillow, and only the decoding process runs it.

What arrives may be made to exhaust whoever opens it. Measured with Pillow 13: an 11 KB PNG opens as 90
megapixels, a progressive JPEG of 220 KB takes ten seconds for its thousand scans, and a TIFF of 400 KB takes
400 MB for the only tile of its only pixel.
"""

from __future__ import annotations

import importlib
import logging
import re
import warnings
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from PIL import AvifImagePlugin, Image, ImageFile, ImageOps

from common.errors import ImageError
from common.images import ImageFacts, empty
from common.metadata import jpeg
from common.metadata.container import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.messages import MediaType

MAXIMUM_FRAMES = 10_000  # measured: this many of one pixel each take half a second
MAXIMUM_SCANS = 100  # encoders write about ten; libtiff has the same limit for JPEG in TIFF
_QUALITY = 75
_LONGEST_PROFILE = 4096  # bytes: those of screens and cameras; what is larger is for printing
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323  # tags of TIFF


class _Format(NamedTuple):
    """How a format begins, and Pillow's name for it."""

    signature: re.Pattern[bytes]
    name: str


_FORMATS: dict[MediaType, _Format] = {
    "image/avif": _Format(re.compile(rb".{4}ftyp(avi[fs]|m[is]f1.{4,48}avi[fs])", re.DOTALL), "AVIF"),
    "image/bmp": _Format(re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "BMP"),
    "image/gif": _Format(re.compile(rb"GIF8[79]a"), "GIF"),
    "image/jpeg": _Format(re.compile(rb"\xff\xd8\xff"), "JPEG"),
    "image/png": _Format(re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    "image/tiff": _Format(re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF"),
    "image/webp": _Format(re.compile(rb"RIFF.{4}WEBPVP8[ LX]", re.DOTALL), "WEBP"),
}

# What Pillow logs about bytes that it cannot read, a person is told in our words.
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# The decoding process cannot import anything any more once it is confined, nor start threads.
Image.preinit()
for _plugin in ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP"):
    importlib.import_module(f"PIL.{_plugin}ImagePlugin")
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def inspect(data: bytes, *, maximum_pixels: int) -> ImageFacts:
    """Decode an image to its end, and tell what it is.

    ``maximum_pixels`` is for all its frames together, each as large as the whole image. Of a JPEG with
    further pictures behind it only the first counts. Raises ImageError with the code ``empty``,
    ``not_an_image``, ``truncated`` (which is also said of what is damaged) or ``too_many_pixels``; and
    MemoryError. Not for several threads: Pillow's limit and Python's warning filters are global.
    """
    media_type = _media_type(data)
    with _opened(data, media_type, maximum_pixels) as image:
        tags = getattr(image, "tag_v2", {})  # a TIFF's size is told turned already
        width, height = int(tags.get(_WIDTH, image.width)), int(tags.get(_HEIGHT, image.height))
        _decode(image, maximum_pixels)
    return ImageFacts(media_type, width, height)


def make_thumbnail(data: bytes, *, maximum_pixels: int, longest_side: int) -> bytes:
    """Return a WebP of the first frame, as it is to be shown: turned, and without what else the file holds.

    No side is longer than ``longest_side`` pixels. Raises as ``inspect`` does.
    """
    with _opened(data, _media_type(data), maximum_pixels) as image:
        _demand_few_pixels(image, 0, maximum_pixels)
        image.draft(None, (2 * longest_side, 2 * longest_side))  # of a JPEG no more is decoded than that needs
        profile = image.info.get("icc_profile") or b""
        picture = _in_colours(image)
        picture.thumbnail((longest_side, longest_side))
        ImageOps.exif_transpose(picture, in_place=True)
        file = BytesIO()
        is_kept = image.mode.startswith("RGB") and len(profile) <= _LONGEST_PROFILE
        picture.save(file, "WEBP", quality=_QUALITY, icc_profile=profile if is_kept else b"")
    return file.getvalue()


@contextmanager
def _opened(data: bytes, media_type: MediaType, maximum_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image to be decoded; whatever fails meanwhile is an ImageError or a MemoryError."""
    known = _FORMATS[media_type]
    if media_type == "image/jpeg":
        _limit_scans(data)
    try:
        with _limit(maximum_pixels), Image.open(BytesIO(data), formats=(known.name,)) as image:
            yield image
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_many_pixels(maximum_pixels) from error
    except Exception as error:  # whatever a decoder makes of hostile bytes
        raise damaged(f"its {known.name} cannot be decoded to the end") from error


def _in_colours(image: ImageFile.ImageFile) -> Image.Image:
    """Return an image as a browser and WebP know it: red, green, blue, and how opaque where it says so."""
    if image.mode.startswith("I"):  # 16 bits of grey, which would all be white
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _media_type(data: bytes) -> MediaType:
    if not data:
        raise empty("the image")
    for media_type, known in _FORMATS.items():
        if known.signature.match(data):
            return media_type
    raise ImageError(
        "this is no image of a known kind",
        code="not_an_image",
        hint="save it as PNG, JPEG, WebP, GIF, TIFF, AVIF or BMP first; other kinds, such as HEIC, are not known",
    )


@contextmanager
def _limit(maximum_pixels: int) -> Iterator[None]:
    """Make Pillow refuse larger images, and say nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, maximum_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _decode(image: ImageFile.ImageFile, maximum_pixels: int) -> None:
    """Decode every frame, one held at a time."""
    pixels = 0
    for frame in count():
        try:
            image.seek(frame)
        except EOFError:
            return
        pixels += image.width * image.height
        if frame >= MAXIMUM_FRAMES:
            raise _too_many_pixels(maximum_pixels)
        _demand_few_pixels(image, pixels, maximum_pixels)
        image.load()
        if image.format == "MPO":  # the pictures behind a JPEG
            return


def _demand_few_pixels(image: ImageFile.ImageFile, pixels: int, maximum_pixels: int) -> None:
    tags = getattr(image, "tag_v2", {})
    tile = int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_HEIGHT, 0))
    if max(pixels, tile) > maximum_pixels:
        raise _too_many_pixels(maximum_pixels)


def _limit_scans(data: bytes) -> None:
    """Refuse a progressive JPEG that refines its picture without end: each scan costs a pass over it."""
    scans = sum(segment.marker == jpeg.START_OF_SCAN for segment in jpeg.segments(data))
    if scans > MAXIMUM_SCANS:
        raise ImageError(
            f"the JPEG has {scans} scans, more than {MAXIMUM_SCANS}",
            code="too_many_pixels",
            hint="open it in an image program and save it again",
        )


def _too_many_pixels(maximum_pixels: int) -> ImageError:
    return ImageError(
        f"the image has more than {maximum_pixels / 1e6:g} megapixels in all, or {MAXIMUM_FRAMES} frames",
        code="too_many_pixels",
        hint="save a smaller version of the image",
    )
