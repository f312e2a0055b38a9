"""Removes private metadata from image files without touching the compressed picture.

Each format has a module with one function, ``strip(data) -> (data, words)``, which rewrites the container
from an allowlist: what the picture needs to look the same (its pixels, colour profile, orientation,
animation) is copied as it is, and everything else, known or unknown, is left out. What a lenient decoder
would not notice, such as an archive behind the end of the image, is left out too. Data hidden inside the
compressed pixels is part of the picture and stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import ImageError
from common.metadata import avif, bmp, gif, jpeg, png, tiff, webp
from common.metadata.container import TOO_SHORT, damaged

_STRIP = {
    "image/avif": avif.strip,
    "image/bmp": bmp.strip,
    "image/gif": gif.strip,
    "image/jpeg": jpeg.strip,
    "image/png": png.strip,
    "image/tiff": tiff.strip,
    "image/webp": webp.strip,
}


@dataclass(frozen=True, slots=True)
class Stripped:
    """An image without its private metadata, and words for what was removed.

    Where nothing was removed, ``removed`` is empty and ``data`` is the input, byte for byte.
    """

    data: bytes
    removed: tuple[str, ...]


def strip_metadata(data: bytes, media_type: str) -> Stripped:
    """Remove private metadata from an image; pixels, colour profile and orientation stay as they are.

    ``media_type`` is what ``common.decoder`` found. Raises ImageError for a container that cannot be
    read to its end, and for the few kinds of file (said in the format's module) whose metadata cannot be
    told from the picture. Stripping what was stripped removes nothing.
    """
    strip = _STRIP.get(media_type)
    if strip is None:
        raise ImageError(f"metadata cannot be removed from {media_type}", hint="save it as PNG or JPEG first")
    try:
        stripped, removed = strip(data)
    except TOO_SHORT as error:
        raise damaged("it says that there is more than there is") from error
    if not removed:
        return Stripped(data, ())
    return Stripped(stripped, tuple(dict.fromkeys(removed)))
