"""Thumbnails: made by the decoding process when they are asked for, and kept in the identity's folder.

They are named after what they were made of, and the oldest go where there are too many. A thumbnail goes when it is
asked for and its image is gone, and can always be made anew: nothing here has to be backed up.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from common.errors import ConfigurationError, ImageError
from common.files import make_private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from subscriber.ledger import Entry

FOLDER = "thumbnails"
_KEPT_SHARE = 0.9  # of what may be kept, so that not every new one has another removed
_log = logging.getLogger(__name__)


class Thumbnails:
    """A cache of at most ``maximum_bytes``; ``decode`` makes a thumbnail of an image, or raises ImageError."""

    def __init__(self, home: Path, decode: Callable[[bytes], bytes], *, maximum_bytes: int) -> None:
        self._folder = make_private_folder(home / FOLDER)
        self._decode = decode
        self._maximum = maximum_bytes
        self._lock = threading.Lock()
        self._size = sum(size for _, size, _ in self._kept())
        self._impossible: set[str] = set()

    def find(self, entry: Entry) -> bytes | None:
        """Return the thumbnail that was made before."""
        with contextlib.suppress(OSError):
            return self._path(entry).read_bytes()
        return None

    def forget(self, entry: Entry) -> None:
        """Remove the thumbnail of an image that is gone."""
        with contextlib.suppress(OSError):
            self._path(entry).unlink()

    def make(self, entry: Entry, image: bytes) -> bytes:
        """Return the thumbnail of an image and keep it; raises ImageError where there is none of it."""
        digest = str(entry.sha256)
        if digest in self._impossible:
            raise ImageError("there is no thumbnail of this image", hint="open the image itself")
        try:
            thumbnail = self._decode(image)
        except ImageError:
            self._impossible.add(digest)  # it would cost a process each time
            raise
        try:
            make_private_folder(self._folder)  # it may be deleted at any time
            write_private(self._path(entry), thumbnail)
        except ConfigurationError as error:
            _log.info("a thumbnail is not kept: %s", error.message)
        else:
            self._make_room(len(thumbnail))
        return thumbnail

    def _path(self, entry: Entry) -> Path:
        return self._folder / f"{entry.sha256}.webp"

    def _make_room(self, more: int) -> None:
        with self._lock:
            self._size += more
            if self._size <= self._maximum:
                return
            files = self._kept()
            self._size = sum(size for _, size, _ in files)
            for _, size, path in files:
                if self._size <= self._maximum * _KEPT_SHARE:
                    return
                path.unlink(missing_ok=True)
                self._size -= size

    def _kept(self) -> list[tuple[int, int, Path]]:
        """Return when each file was made, its size and its path, the oldest first; another gallery may remove some."""
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                found.append((facts.st_mtime_ns, facts.st_size, path))
        return sorted(found)
