"""The inbox: safe names, and files that are whole or not there (docs/protocol.md, "Receiving").

An image becomes ``<inbox>/<owner>/<name>``. Its bytes are first written under a name made from the image id, flushed,
then linked to a free final name; the first name goes when the ledger knows the image (``settle``). So a reader that is
killed in between finds, when the image comes again, that it has it already.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import re
from typing import TYPE_CHECKING

from common.errors import ConfigurationError
from common.files import INBOX_MARK, flush_folder, make_private_folder, reason, write_new
from common.topics import parse_image_id

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable
    from pathlib import Path

    from common.messages import ImageHeader

_SUFFIXES = {
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/tiff": (".tiff", ".tif"),
    "image/avif": (".avif",),
    "image/bmp": (".bmp",),
}
# What some file system, shell or person stumbles over; a name is display text, not a path.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]')
# What link() answers on FAT, and on network file systems that do not know it.
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
_MARK = b"Images of others are saved here: `publisher watch` passes this folder over.\n"
_LONGEST_NAME = 200  # bytes; file systems take 255, and a number and a suffix may follow


class Inbox:
    """A folder with one folder for each owner; raises ConfigurationError where it cannot be made."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_private_folder(folder)

    def prepare(self, is_known: Callable[[str, uuid.UUID], bool]) -> None:
        """Make sure that images can be saved here, and tidy up after a program that was killed.

        Nobody else may save meanwhile; ``is_known`` tells whether an owner's image is in the ledger. Raises
        ConfigurationError.
        """
        trials = [self.folder / name for name in (".trial", ".trial-link")]
        try:
            for trial in trials:
                trial.unlink(missing_ok=True)
            write_new(trials[0], b"")
            try:
                trials[1].hardlink_to(trials[0])
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                raise ConfigurationError(
                    f"the inbox {self.folder} is on a file system without hard links",
                    hint="choose a folder on another one with --inbox: FAT, as on memory cards, has none",
                    code="inbox",
                ) from error
            finally:
                for trial in trials:
                    trial.unlink(missing_ok=True)
            self._mark()
            for part in self.folder.glob("*/.*.part"):
                image_id = parse_image_id(part.name[1:].removesuffix(".part"))
                if image_id is not None and is_known(part.parent.name, image_id):
                    part.unlink()
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to the inbox {self.folder}: {reason(error)}",
                hint="choose another folder with --inbox, or mend its permissions",
                code="inbox",
            ) from error

    def save(self, image: bytes, header: ImageHeader) -> Path:
        """Save an image under a free name (0600) and return its path; raises ConfigurationError: it is not lost."""
        folder = self.folder / header.owner
        part = _part(folder, header.image_id)
        try:
            if not folder.is_dir():
                # The whole inbox may be gone since it was prepared: nothing is ever in one without its mark.
                make_private_folder(self.folder)
                self._mark()
                make_private_folder(folder)
                flush_folder(self.folder)
            path = _already_linked(folder, part)
            if path is None:
                part.unlink(missing_ok=True)
                path = _write_and_link(part, image, safe_name(header.name, header.media_type))
            flush_folder(folder)
        except OSError as error:
            raise ConfigurationError(
                f"cannot save to {folder}: {reason(error)}",
                hint="make room, or mend the folder's permissions",
                code="inbox",
            ) from error
        return path

    def find_saved(self, owner: str, image_id: uuid.UUID) -> tuple[Path, bytes] | None:
        """Return path and bytes of an image that was saved and is not settled yet; raises ConfigurationError."""
        folder = self.folder / owner
        try:
            path = _already_linked(folder, _part(folder, image_id))
            return None if path is None else (path, path.read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"cannot read {folder}: {reason(error)}", hint="mend the folder's permissions", code="inbox"
            ) from error

    def settle(self, owner: str, image_id: uuid.UUID) -> None:
        """Forget how the image was written, now that the ledger knows it."""
        with contextlib.suppress(OSError):
            _part(self.folder / owner, image_id).unlink()

    def _mark(self) -> None:
        with contextlib.suppress(FileExistsError):
            write_new(self.folder / INBOX_MARK, _MARK)


def safe_name(name: str, media_type: str) -> str:
    """Return a file name for display name and type: no path, not hidden, not too long, with the type's suffix."""
    stem = _UNSAFE.sub("_", name).strip(". ") or "image"
    suffixes = _SUFFIXES[media_type]
    suffix = next((known for known in suffixes if stem.lower().endswith(known)), None)
    if suffix is None:
        stem, suffix = stem.encode()[:_LONGEST_NAME].decode(errors="ignore"), suffixes[0]
        return stem + suffix
    written, stem = stem[-len(suffix) :], stem[: -len(suffix)]
    return (stem.encode()[:_LONGEST_NAME].decode(errors="ignore") or "image") + written


def _write_and_link(part: Path, image: bytes, name: str) -> Path:
    try:
        write_new(part, image)
        return _link_to_free_name(part, name)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _link_to_free_name(part: Path, name: str) -> Path:
    stem, _, suffix = name.rpartition(".")
    for number in itertools.count(1):
        path = part.with_name(name if number == 1 else f"{stem}-{number}.{suffix}")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(part)
            return path
    raise AssertionError  # the count has no end


def _part(folder: Path, image_id: uuid.UUID) -> Path:
    return folder / f".{image_id}.part"


def _already_linked(folder: Path, part: Path) -> Path | None:
    """Return the final name of a part that was linked before a crash."""
    try:
        inode = part.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if inode.st_nlink == 1:
        return None
    return next((path for path in folder.iterdir() if path != part and path.samefile(part)), None)
