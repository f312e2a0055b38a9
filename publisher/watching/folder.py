"""The folder that is watched: which files in it count, and how they are opened; nothing in it is ever changed."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from common import display
from common.errors import ConfigurationError
from common.files import INBOX_MARK, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

# What browsers, download managers and copying programs call a file that they have not finished.
_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", "~")
# Folders of network storage and Windows with thumbnails and with what was deleted: nobody means to post these.
_FOREIGN = frozenset({"@eadir", "#recycle", "@recycle", "$recycle.bin", "system volume information", "lost+found"})
_NO_LINK = os.O_NOFOLLOW  # somebody may put one there in the instant between seeing and opening
# Of SQLite; some network file systems have larger inode numbers, and a clock may be set to after 2262.
_LARGEST_INTEGER = 2**63 - 1
_log = logging.getLogger(__name__)


class Stamp(NamedTuple):
    """What changes with a file's bytes: size and time; ``inode`` stays when it is renamed."""

    size: int
    mtime_ns: int
    inode: int


class File(NamedTuple):
    """A file, by its path below the watched folder, as it is at this moment."""

    path: PurePosixPath
    stamp: Stamp


class Folder:
    """The watched folder; ``shown`` is how its owner has named it.

    ``home`` and inboxes are passed over where they are inside: what others have sent is not posted again by accident.
    """

    def __init__(self, shown: Path, home: Path) -> None:
        self.shown = shown
        self.root = shown.resolve()
        self._home = home.resolve()
        self._is_said: set[PurePosixPath] = set()
        # Where the folder is a disk, an empty one takes its place while the disk is away.
        self.is_mount = self.root.is_mount()

    def demand(self) -> tuple[int, int]:
        """Return which folder stands there, device and inode; raises ConfigurationError where there is none."""
        try:
            status = self.root.stat()
            os.close(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY))
        except OSError as error:
            raise ConfigurationError(
                f"cannot watch {self.shown}: {reason(error)}",
                hint="name a folder that exists and that you may read",
                code="no_folder",
            ) from error
        if self.root.is_mount() != self.is_mount:
            raise ConfigurationError(
                f"cannot watch {self.shown}: {'its disk is not there' if self.is_mount else 'it is a disk now'}",
                hint="mount the disk again"
                if self.is_mount
                else "stop this watch and start it again to watch the disk",
                code="no_folder",
            )
        return status.st_dev, status.st_ino

    def files(self) -> Iterator[File]:
        """Yield every file that counts, in every sub-folder; symbolic links are not followed."""
        yield from self._walk(PurePosixPath())

    def folders(self) -> Iterator[Path]:
        """Yield the folder itself and every sub-folder that counts."""
        waiting = [PurePosixPath()]
        while waiting:
            below = waiting.pop()
            yield self.root / below
            waiting += [path for path, entry in self._entries(below) if entry.is_dir(follow_symlinks=False)]

    def look(self, path: str) -> Iterator[File]:
        """Yield the file at an absolute path, or all in the folder there, as far as they count."""
        with suppress(ValueError):
            below = PurePosixPath(path).relative_to(self.root)
            if not (any(map(is_ignored, below.parts)) or any(map(self._is_received, (below, *below.parents)))):
                yield from self._at(below)

    def stamp(self, path: PurePosixPath) -> Stamp | None:
        """Return what the file is like now, or None where there is no such file."""
        return next((file.stamp for file in self._at(path) if file.path == path), None)

    def open(self, path: PurePosixPath, flags: int = os.O_RDONLY) -> int:
        """Open a file below the folder, where neither it nor a folder on the way is a symbolic link; raises OSError."""
        at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in path.parts[:-1]:
                deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK, dir_fd=at)
                os.close(at)
                at = deeper
            return os.open(path.name, flags | _NO_LINK | os.O_NONBLOCK, dir_fd=at)
        finally:
            os.close(at)

    def show(self, path: PurePosixPath) -> Path:
        """Return a file's path as its owner would write it."""
        return self.shown / path

    def _at(self, below: PurePosixPath) -> Iterator[File]:
        """Yield what is there; a symbolic link on the way leads nowhere."""
        with suppress(OSError):
            for folder in below.parents:
                if folder.parts and stat.S_ISLNK((self.root / folder).lstat().st_mode):
                    return
            status = (self.root / below).lstat()
            if stat.S_ISDIR(status.st_mode):
                yield from self._walk(below)
            elif stat.S_ISREG(status.st_mode):
                yield File(below, _stamp(status))

    def _walk(self, below: PurePosixPath) -> Iterator[File]:
        # Not by recursion: who writes to the folder may nest others deeper than that goes.
        waiting = [below]
        while waiting:
            for path, entry in self._entries(waiting.pop()):
                # What goes away meanwhile is gone.
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
                    elif entry.is_file(follow_symlinks=False):
                        yield File(path, _stamp(entry.stat(follow_symlinks=False)))

    def _entries(self, below: PurePosixPath) -> Iterator[tuple[PurePosixPath, os.DirEntry[str]]]:
        """Yield what is in a folder and counts, with its path below the watched one."""
        try:
            with os.scandir(self.root / below) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._say_closed(below, error)
            return
        for entry in found:
            path = below / entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if not (is_ignored(entry.name) or (is_folder and self._is_received(path))):
                yield path, entry

    def _is_received(self, below: PurePosixPath) -> bool:
        """Tell whether a folder inside is for what others have sent; whoever names one to be watched means it."""
        folder = self.root / below
        return below.parts != () and (folder == self._home or os.path.lexists(folder / INBOX_MARK))

    def _say_closed(self, below: PurePosixPath, error: OSError) -> None:
        """Say once that a folder cannot be looked into; it is tried again at each rescan."""
        if below not in self._is_said and not isinstance(error, FileNotFoundError):
            self._is_said.add(below)
            _log.warning("cannot look into %s: %s", display.make_displayable(str(self.show(below))), reason(error))


def is_ignored(name: str) -> bool:
    """Tell whether a file or folder of this name is passed over without a word."""
    small = name.lower()
    return small.startswith((".", "~$")) or small.endswith(_UNFINISHED) or small in _FOREIGN


def _stamp(status: os.stat_result) -> Stamp:
    mtime_ns = max(-_LARGEST_INTEGER, min(status.st_mtime_ns, _LARGEST_INTEGER))
    return Stamp(status.st_size, mtime_ns, status.st_ino & _LARGEST_INTEGER)
