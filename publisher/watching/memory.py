"""What is remembered of a watched folder: which files were dealt with, and what was posted of it.

``<home>/watched.sqlite3`` has all folders that are watched from one identity. Before an image goes into the outbox, the
SHA-256 of its file and the image id that it will have are noted; afterwards, that it is there. Where a kill comes in
between, the outbox knows the image id or does not: so each image is posted once.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, Self

from common.local_database import LocalDatabase
from publisher.watching.folder import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from publisher.watching.folder import File

DATABASE = "watched.sqlite3"
LEFT_ALONE = "left_alone"  # why a file is not posted that was there before the folder was watched
_TABLES = """
CREATE TABLE IF NOT EXISTS folders (
    number INTEGER PRIMARY KEY,
    path BLOB NOT NULL,
    is_mount INTEGER NOT NULL,  -- a disk, and the folder that is there without it, are two
    UNIQUE (path, is_mount)
);
CREATE TABLE IF NOT EXISTS files (
    folder INTEGER NOT NULL,
    path BLOB NOT NULL,  -- below the folder
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    sha256 TEXT,  -- of its bytes, where they are posted
    code TEXT,  -- why they are not
    PRIMARY KEY (folder, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS posted (
    folder INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    image_id TEXT NOT NULL,
    in_outbox INTEGER NOT NULL,  -- 0: that is not certain, and the outbox knows
    PRIMARY KEY (folder, sha256)
) WITHOUT ROWID;
"""


class Posted(NamedTuple):
    """Under which image id some bytes were posted, or were about to be."""

    image_id: uuid.UUID
    in_outbox: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: Stamp
    code: str | None


class Memory:
    """What is remembered of one folder; a context manager, for every thread of this program.

    Each method raises ConfigurationError, code ``watch_memory``, where the disk fails.
    """

    def __init__(self, home: Path, root: Path, *, is_mount: bool = False) -> None:
        self._database = LocalDatabase(home / DATABASE, _TABLES, code="watch_memory")
        self._root = os.fsencode(root), is_mount
        found = self._database.read("SELECT number FROM folders WHERE path = ? AND is_mount = ?", *self._root)
        self._folder: int | None = found[0]["number"] if found else None
        rows = self._database.read("SELECT * FROM files WHERE folder = ?", self._folder)
        self._files = {
            PurePosixPath(os.fsdecode(row["path"])): _Kept(
                Stamp(row["size"], row["mtime_ns"], row["inode"]), row["code"]
            )
            for row in rows
        }
        self._left_alone = {kept.stamp for kept in self._files.values() if kept.code == LEFT_ALONE}
        self._renamed: dict[PurePosixPath, File] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    @property
    def is_new(self) -> bool:
        """Whether the folder was never watched before."""
        return self._folder is None

    def begin(self, left_alone: Iterable[File]) -> None:
        """Begin with a folder, and with what is in it and is not to be posted: all is remembered, or nothing."""
        with self._database.transaction():
            self._database.write("INSERT INTO folders (path, is_mount) VALUES (?, ?)", *self._root)
            (row,) = self._database.read("SELECT number FROM folders WHERE path = ? AND is_mount = ?", *self._root)
            self._folder = row["number"]
            for file in left_alone:
                self.leave(file, LEFT_ALONE)

    def count(self, code: str) -> int:
        """Return how many files are not posted for this reason."""
        # One that was renamed is remembered under both names.
        return len({kept.stamp for kept in self._files.values() if kept.code == code})

    def knows(self, file: File) -> bool:
        """Tell whether the file was dealt with as it is; also one that was left alone and has another name now.

        ``keep_names`` remembers that name, which matters when another file gets the earlier one.
        """
        kept = self._files.get(file.path)
        if kept is not None and kept.stamp[:2] == file.stamp[:2]:
            return True
        if file.stamp not in self._left_alone:
            return False
        self._renamed[file.path] = file
        return True

    def keep_names(self) -> None:
        """Remember the names that files have now which were left alone, all at once: a whole folder may be renamed."""
        if not self._renamed:
            return
        with self._database.transaction():
            for file in self._renamed.values():
                self.leave(file, LEFT_ALONE)
        self._renamed.clear()

    def leave(self, file: File, code: str) -> None:
        """Remember that the file is not posted as it is, and why."""
        self._keep(file, None, code)

    def forget(self, code: str) -> None:
        """Let the files that were not posted for this reason be as new."""
        self._database.write("DELETE FROM files WHERE folder = ? AND code = ?", self._folder, code)
        if code == LEFT_ALONE:
            self._left_alone.clear()
        self._files = {path: kept for path, kept in self._files.items() if kept.code != code}

    def _keep(self, file: File, sha256: str | None, code: str | None) -> None:
        self._database.write(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._folder,
            os.fsencode(str(file.path)),
            *file.stamp,
            sha256,
            code,
        )
        self._files[file.path] = _Kept(file.stamp, code)
        if code == LEFT_ALONE:
            self._left_alone.add(file.stamp)

    def find(self, sha256: str) -> Posted | None:
        """Return what is known of bytes that were posted, or were about to be."""
        rows = self._database.read(
            "SELECT image_id, in_outbox FROM posted WHERE folder = ? AND sha256 = ?", self._folder, sha256
        )
        return Posted(uuid.UUID(rows[0]["image_id"]), bool(rows[0]["in_outbox"])) if rows else None

    def intend(self, sha256: str, image_id: uuid.UUID) -> None:
        """Note under which image id bytes are about to be posted."""
        self._note(sha256, image_id, in_outbox=False)

    def finish(self, file: File, sha256: str, image_id: uuid.UUID) -> None:
        """Remember that the file's bytes are in the outbox, or have been."""
        with self._database.transaction():
            self._note(sha256, image_id, in_outbox=True)
            self._keep(file, sha256, None)

    def _note(self, sha256: str, image_id: uuid.UUID, *, in_outbox: bool) -> None:
        self._database.write(
            "INSERT OR REPLACE INTO posted VALUES (?, ?, ?, ?)", self._folder, sha256, str(image_id), in_outbox
        )
