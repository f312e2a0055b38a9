"""Reads image files within limits, and names what is known of an image; only `common.decoding` decodes any."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from common.messages import MediaType

    Inspect: TypeAlias = Callable[[bytes], "ImageFacts"]  # as `common.decoder.Decoder.inspect` does
    Opener: TypeAlias = Callable[[str, int], int]  # as `open` takes one


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is: media type, and width and height in pixels before its orientation is applied."""

    media_type: MediaType
    width: int
    height: int


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO would wait for its other end


def read_image_file(path: Path, *, maximum_bytes: int, opener: Opener = _open_without_waiting) -> bytes:
    """Read a regular file of at most ``maximum_bytes`` bytes; one that is larger is not read at all.

    ``opener`` opens it, without waiting. Raises ImageError with the code ``unreadable``, ``empty`` or ``too_large``.
    """
    try:
        with open(path, "rb", buffering=0, opener=opener) as file:
            status = os.fstat(file.fileno())
            is_regular, is_too_large = stat.S_ISREG(status.st_mode), status.st_size > maximum_bytes
            data = file.read(maximum_bytes + 1) if is_regular and not is_too_large else b""
    except (OSError, ValueError) as error:  # ValueError: a zero in the path
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(
            f"the file cannot be read: {reason}",
            code="unreadable",
            hint="name image files, not folders, that exist and that you may read",
        ) from error
    if not is_regular:
        raise ImageError(
            "the file is not a regular one",
            code="unreadable",
            hint="save the image to a file first, and name that file",
        )
    if is_too_large or len(data) > maximum_bytes:
        raise ImageError(
            f"the file is larger than {maximum_bytes / 2**20:g} MiB",
            code="too_large",
            hint="save a smaller version of the image",
        )
    if not data:
        raise empty("the file")
    return data


def empty(name: str) -> ImageError:
    """Return the error for no bytes at all."""
    return ImageError(f"{name} is empty", code="empty", hint="copy it again from where it came from")
