"""Keeps sealed images: bytes that the registrar cannot change without its being noticed."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import secrets
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from common import topics
from common.errors import ConfigurationError, RefusedError
from common.files import flush_folder, make_private_folder, write_new

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator

_INCOMING, _ASIDE = "incoming", "set-aside"
_UNREADABLE = {errno.EIO, errno.EILSEQ, errno.EBADMSG}  # a bad sector, as different file systems put it
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RETRY_AFTER_SECONDS = 60.0
_ABANDONED_AFTER = dt.timedelta(days=1)


class Archive(Protocol):
    """Where sealed images are kept, by image id; raises RefusedError where that fails."""

    def put(self, image_id: uuid.UUID, sealed: bytes, *, mend: bool = False) -> None:
        """Keep an image durably.

        Codes: ``image_id_taken`` where other bytes have the id, ``archive_full``, ``unavailable``. To put the same
        bytes again is allowed; what fails leaves nothing. ``mend`` replaces what else is there: it is damaged.
        """
        ...

    def get(self, image_id: uuid.UUID) -> bytes:
        """Return an image; code ``unknown_image``."""
        ...

    def read(self, image_id: uuid.UUID, offset: int, length: int) -> bytes:
        """Return at most ``length`` bytes from ``offset`` on, none behind the end; code ``unknown_image``."""
        ...

    def contains(self, image_id: uuid.UUID) -> bool:
        """Tell whether the image is there."""
        ...

    def discard(self, image_id: uuid.UUID) -> None:
        """Remove an image durably, if it is there."""
        ...

    def stored(self) -> Iterator[tuple[uuid.UUID, dt.datetime]]:
        """Yield every image that is there, and when it was put there."""
        ...

    def set_aside(self, image_id: uuid.UUID) -> None:
        """Keep what is under this name where somebody may look at it, but no longer as this image."""
        ...


class FolderArchive:
    """An archive in a folder; images lie in 256 folders by the random end of their id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = make_private_folder(make_private_folder(folder) / _INCOMING)
        # All of them now, so that no image has to wait for the name of its folder to be flushed.
        for number in range(256):
            make_private_folder(folder / f"{number:02x}")
        with _refusing():
            flush_folder(folder)

    def put(self, image_id: uuid.UUID, sealed: bytes, *, mend: bool = False) -> None:
        """Keep an image: written aside, flushed, then linked to its name, which is never replaced."""
        place = self._place(image_id)
        temporary = self._incoming / f"{image_id}.{secrets.token_hex(8)}"
        with _refusing():
            try:
                write_new(temporary, sealed)
                os.link(temporary, place)
                flush_folder(place.parent)
            except FileExistsError as error:
                if mend and place.read_bytes() != sealed:
                    temporary.replace(place)
                elif place.read_bytes() != sealed:
                    raise RefusedError(
                        "another image has this id", hint="post the image again", code="image_id_taken"
                    ) from error
                # Whoever linked it may have been killed before this step.
                flush_folder(place.parent)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()

    def get(self, image_id: uuid.UUID) -> bytes:
        """Return an image."""
        with _refusing(reading=True), self._open(image_id) as file:
            return file.read()

    def read(self, image_id: uuid.UUID, offset: int, length: int) -> bytes:
        """Return a part of an image."""
        with _refusing(reading=True), self._open(image_id) as file:
            file.seek(offset)
            return file.read(length)

    def contains(self, image_id: uuid.UUID) -> bool:
        """Tell whether the image is there."""
        return self._place(image_id).exists()

    def discard(self, image_id: uuid.UUID) -> None:
        """Remove an image durably, if it is there."""
        place = self._place(image_id)
        with _refusing(), contextlib.suppress(FileNotFoundError):
            place.unlink()
            flush_folder(place.parent)

    def stored(self) -> Iterator[tuple[uuid.UUID, dt.datetime]]:
        """Yield every image; what has no name of an image is passed over."""
        with _refusing():
            for path in self._folder.glob("[0-9a-f][0-9a-f]/*.cms"):
                image_id = topics.parse_image_id(path.stem)
                if image_id is not None and path == self._place(image_id):
                    with contextlib.suppress(FileNotFoundError):
                        yield image_id, dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)

    def set_aside(self, image_id: uuid.UUID) -> None:
        """Move a file out of the way, into the folder ``set-aside``."""
        with _refusing(), contextlib.suppress(FileNotFoundError):
            aside = make_private_folder(self._folder / _ASIDE)
            self._place(image_id).replace(aside / f"{image_id}.{secrets.token_hex(4)}.cms")
            flush_folder(aside)
            flush_folder(self._place(image_id).parent)

    def sweep(self, now: dt.datetime) -> None:
        """Remove what writers that were killed have left; what is younger than a day may still be written."""
        with _refusing():
            for path in self._incoming.iterdir():
                if now.timestamp() - path.stat().st_mtime > _ABANDONED_AFTER.total_seconds():
                    path.unlink(missing_ok=True)

    def _place(self, image_id: uuid.UUID) -> Path:
        return self._folder / image_id.hex[-2:] / f"{image_id}.cms"

    def _open(self, image_id: uuid.UUID) -> BinaryIO:
        try:
            return self._place(image_id).open("rb")
        except FileNotFoundError as error:
            raise RefusedError("there is no such image", hint="check the image id", code="unknown_image") from error


@contextlib.contextmanager
def _refusing(*, reading: bool = False) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if reading and error.errno in _UNREADABLE:
            raise RefusedError(
                "a file of the registrar's archive cannot be read",
                hint="tell whoever runs the registrar: registrar verify",
                code="damaged",
            ) from error
        full = error.errno in _FULL
        raise RefusedError(
            "the registrar's archive is full" if full else "the registrar's archive does not work",
            hint="try again later, or tell whoever runs the registrar",
            code="archive_full" if full else "unavailable",
            retry_after=_RETRY_AFTER_SECONDS,
        ) from error


def open_archive(url: str, *, make: bool = True) -> FolderArchive:
    """Return the archive in a folder, given as a path or as a file:// URL; raises ConfigurationError.

    One that is not there is made, or, unless ``make``, refused: a folder that is not mounted is no empty archive.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        raise ConfigurationError(
            f"{url!r} is no archive that this registrar knows",
            hint="give a folder, as a path or as file:///…",
            code="unknown_archive",
        )
    folder = Path(urllib.parse.unquote(parts.path) if parts.scheme else url)
    if not make and not folder.is_dir():
        raise ConfigurationError(
            f"there is no archive in {folder}", hint="check --archive, and that its disk is mounted", code="no_archive"
        )
    return FolderArchive(folder)
