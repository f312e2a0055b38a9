"""The small databases of one device: SQLite files for their owner only, durable at each commit.

The reader's ledger, the owner's outbox, what is remembered of watched folders, and who is verified are such files.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

from common.errors import ConfigurationError
from common.files import PRIVATE_FILE, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BUSY_SECONDS = 60.0  # another program of the same folder may be writing


class LocalDatabase:
    """A database in ``path`` with the tables of ``schema``, for every thread of this program.

    Each method raises ConfigurationError with ``code`` where the file fails. With ``read_only`` nothing is made, and a
    file that is not there reads as one without rows; that works in a folder that is read-only, or full, as well.
    """

    def __init__(self, path: Path, schema: str, *, code: str, read_only: bool = False) -> None:
        self._path = path
        self._code = code
        self._lock = threading.RLock()
        with self._explaining():
            self._connection = _open_to_read(path, schema) if read_only else _open(path, schema)
            self._connection.row_factory = sqlite3.Row

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def add_function(self, name: str, function: Callable[[str], str]) -> None:
        """Let queries use a function of one text."""
        with self._explaining():
            self._connection.create_function(name, 1, function, deterministic=True)

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        with self._lock, self._explaining(), contextlib.closing(self._connection.execute(query, values)) as rows:
            return rows.fetchall()

    def write(self, statement: str, *values: object) -> int:
        """Carry out one statement, durably; return how many rows it has changed."""
        with self._lock, self._explaining(), contextlib.closing(self._connection.execute(statement, values)) as done:
            return done.rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Carry out all that happens inside or nothing; no other thread or program writes meanwhile."""
        with self._lock:
            with self._explaining():
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                with self._explaining():
                    self._connection.execute("COMMIT")
            except BaseException:
                # Where SQLite has given up the transaction by itself, as on a full disk, there is none any more.
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            cause = reason(error) if isinstance(error, OSError) else error
            raise ConfigurationError(
                f"cannot use {self._path}: {cause}",
                hint="mend the folder's permissions, make room, or move a damaged file away",
                code=self._code,
            ) from error


def _open(path: Path, schema: str) -> sqlite3.Connection:
    # Made by us, so that it and the files beside it are for nobody else, whatever the folder's mode is.
    path.touch(PRIVATE_FILE)
    connection = _connect(path.absolute().as_uri())
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(schema)
    return connection


def _open_to_read(path: Path, schema: str) -> sqlite3.Connection:
    if path.exists():
        connection = _connect_to_read(path)
        if connection.execute("SELECT name FROM sqlite_schema").fetchone():
            return connection
        connection.close()
    # It is not there, or was never more than begun.
    connection = _connect("file::memory:")
    connection.executescript(schema)
    return connection


def _connect_to_read(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = _connect(uri)
    try:
        connection.execute("SELECT name FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # Readers of a write-ahead log need a file to share, which this folder has no room for, or lets nobody make
        # (https://sqlite.org/wal.html, "Read-Only Databases"). Where the log is empty the database is whole without.
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size > 0:
            raise
        return _connect(f"{uri}&immutable=1")
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
