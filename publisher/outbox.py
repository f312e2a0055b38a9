"""The owner's outbox: every image from its sealing until it is known to be stored, and what became of all of them.

``<home>/outbox/<image-id>.cms`` is a sealed image, and ``<home>/outbox.sqlite3`` has a row for each. The row comes
first and says ``writing``; then the file, flushed; then the row says ``waiting``, and only now the image is in the
outbox. It leaves when its row says what became of it, and then its file goes. What a kill leaves in between is cleared
up at the next opening, unless another process has the outbox open, since that may be writing. A file that no row
knows stays as it is: then the database was lost, or put back from a backup.

Who sends an image holds a lock on its file (flock), so that one process does so at a time; a kill lets go of it.
"""

from __future__ import annotations

import contextlib
import fcntl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Self

from common import topics
from common.errors import ConfigurationError, SealcastError
from common.files import flush_folder, make_private_folder, reason, write_new
from common.local_database import LocalDatabase
from publisher.items import TABLES, Item, State, from_row, to_row, to_text

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterator
    from pathlib import Path

FOLDER, DATABASE, LOCK = "outbox", "outbox.sqlite3", "lock"
CODE = "outbox"
INTERRUPTED_CODE = "interrupted"


@dataclass(slots=True)
class Claim:
    """An image that nobody else sends or settles meanwhile; a context manager."""

    item: Item
    _file: BinaryIO

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def read(self) -> bytes:
        """Return the sealed image; raises ConfigurationError."""
        with _explaining():
            self._file.seek(0)
            return self._file.read()


class Outbox:
    """The outbox of the identity in ``home``; a context manager, for every thread of this program.

    Each method raises ConfigurationError, code ``outbox``, where the disk fails. With ``read_only`` nothing is changed,
    and it can only be asked what is in it.
    """

    def __init__(self, home: Path, *, read_only: bool = False) -> None:
        self._folder = home / FOLDER
        self._read_only = read_only
        if not read_only:
            make_private_folder(self._folder)
        self._database = LocalDatabase(home / DATABASE, TABLES, code=CODE, read_only=read_only)
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            if not self._read_only:
                self._share()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.close()
        self._database.close()

    def _share(self) -> None:
        with _explaining():
            lock = self._lock.enter_context((self._folder / LOCK).open("w"))
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._clear_up()
            # Whoever clears up at this moment is waited for.
            fcntl.flock(lock, fcntl.LOCK_SH)

    def _clear_up(self) -> None:
        interrupted = SealcastError(
            "the command was interrupted before the image was sealed", hint="post it again", code=INTERRUPTED_CODE
        )
        for item in self.items(State.WRITING):
            self._path(item.topic.image_id).unlink(missing_ok=True)
            self.settle(item, State.FAILED, item.added_at, interrupted)
        for path in self._folder.glob("*.cms"):
            image_id = topics.parse_image_id(path.stem)
            known = self.get(image_id) if image_id else None
            if known is not None and not known.is_present:
                path.unlink(missing_ok=True)

    def add(self, item: Item, sealed: bytes) -> Claim:
        """Take in an image; once this returns, it is not lost any more."""
        path = self._path(item.topic.image_id)
        row = to_row(item)
        self._database.write(
            f"INSERT INTO images ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608 - our own names
            *row.values(),
        )
        try:
            with _explaining(), contextlib.ExitStack() as stack:
                write_new(path, sealed)
                flush_folder(self._folder)
                file = stack.enter_context(path.open("rb"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                waiting = self.settle(item, State.WAITING, item.added_at)
                stack.pop_all()
                return Claim(waiting, file)
        except SealcastError as error:
            # On a full disk this makes room for the row.
            with contextlib.suppress(OSError, SealcastError):
                path.unlink(missing_ok=True)
                self.settle(item, State.FAILED, item.added_at, error)
            raise

    def items(self, *states: State) -> Iterator[Item]:
        """Yield what is in one of these states, or everything, the oldest first."""
        chosen = states or tuple(State)
        places = ", ".join("?" * len(chosen))
        rows = self._database.read(
            f"SELECT * FROM images WHERE state IN ({places}) ORDER BY number",  # noqa: S608 - question marks
            *chosen,
        )
        return map(from_row, rows)

    def latest(self, limit: int) -> list[Item]:
        """Return what was stored of late, the latest first."""
        query = "SELECT * FROM images WHERE state = ? ORDER BY number DESC LIMIT ?"
        return list(map(from_row, self._database.read(query, State.STORED, limit)))

    def get(self, image_id: uuid.UUID) -> Item | None:
        """Return what is known of an image, or None where it was not posted from this folder."""
        rows = self._database.read("SELECT * FROM images WHERE image_id = ?", str(image_id))
        return from_row(rows[0]) if rows else None

    def has_taken(self, image_id: uuid.UUID) -> bool:
        """Tell whether an image was ever in the outbox, whatever has become of it since."""
        item = self.get(image_id)
        return not (
            item is None
            or item.state is State.WRITING
            or (item.state is State.FAILED and item.code in {INTERRUPTED_CODE, CODE})
        )

    def claim(self, image_id: uuid.UUID) -> Claim | None:
        """Claim an image that is in the outbox, or return None where it has left, or another process has it."""
        with contextlib.ExitStack() as stack:
            try:
                with _explaining():
                    file = stack.enter_context(self._path(image_id).open("rb"))
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ConfigurationError as error:
                if isinstance(error.__cause__, BlockingIOError):
                    return None
                if isinstance(error.__cause__, FileNotFoundError):
                    self._give_up(image_id, error)
                    return None
                raise
            # Read now: whoever had it before may have sent it.
            item = self.get(image_id)
            if item is None or not item.is_present:
                return None
            stack.pop_all()
            return Claim(item, file)

    def _give_up(self, image_id: uuid.UUID, error: ConfigurationError) -> None:
        """Settle an image whose file is gone although its row says that it is here."""
        item = self.get(image_id)
        if item is not None and item.is_present:
            gone = ConfigurationError("the sealed image is gone from the outbox", hint="post it again", code=CODE)
            self.settle(item, State.FAILED, item.added_at, gone)
            raise gone from error

    def note_attempt(self, claim: Claim, at: dt.datetime) -> None:
        """Note, before an image is published for the first time, that it may be at the registrar from now on."""
        if claim.item.attempted_at is None:
            claim.item = self._write(replace(claim.item, attempted_at=at))

    def settle(self, item: Item, state: State, at: dt.datetime, error: SealcastError | None = None) -> Item:
        """Note durably what has become of an image, and why; what is not in the outbox any more loses its file."""
        code, message = (error.code, error.message) if error else (None, None)
        settled = replace(item, state=state, code=code, message=message)
        if settled.is_present:
            return settled if settled == item else self._write(settled)
        settled = self._write(replace(settled, ended_at=at))
        # A file that stays because of this goes at the next opening.
        with contextlib.suppress(OSError):
            self._path(item.topic.image_id).unlink(missing_ok=True)
        return settled

    def retry_refused(self) -> None:
        """Let what was refused wait once more."""
        self._database.write("UPDATE images SET state = ? WHERE state = ?", State.WAITING, State.REFUSED)

    def _write(self, item: Item) -> Item:
        self._database.write(
            "UPDATE images SET attempted_at = ?, ended_at = ?, state = ?, code = ?, message = ? WHERE image_id = ?",
            *map(to_text, (item.attempted_at, item.ended_at)),
            item.state,
            item.code,
            item.message,
            str(item.topic.image_id),
        )
        return item

    def _path(self, image_id: uuid.UUID) -> Path:
        return self._folder / f"{image_id}.cms"


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the outbox: {reason(error)}", hint="make room, or mend the folder's permissions", code=CODE
        ) from error
