"""The small databases of one device: SQLite files for their owner only, durable at each commit.

The reader's ledger and the owner's outbox are kept in such files.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

from common.errors import ConfigurationError
from common.files import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUSY_SECONDS = 60.0  # another program of the same folder may be writing


class LocalDatabase:
    """A database in ``path`` with the tables of ``schema``, for every thread of this program.

    Each method raises ConfigurationError with ``code`` where the file fails.
    """

    def __init__(self, path: Path, schema: str, *, code: str) -> None:
        self._path = path
        self._code = code
        self._lock = threading.RLock()
        with self._explaining():
            # Made by us, so that it and the files beside it are for nobody else, whatever the folder's mode is.
            path.touch(PRIVATE_FILE)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(schema)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

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
            raise ConfigurationError(
                f"cannot use {self._path}: {error}",
                hint="mend the folder's permissions, make room, or move a damaged file away",
                code=self._code,
            ) from error
