"""What the reader has dealt with, so that nothing is opened twice; SQLite in the identity's folder.

The entry is written after the file and before the acknowledgement: a crash in between brings the image again, never
loses it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from common.errors import ConfigurationError
from common.files import PRIVATE_FILE

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LEDGER = "ledger.sqlite3"
_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    owner TEXT NOT NULL,
    image_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    outcome TEXT NOT NULL,  -- 'saved', or the code of the refusal
    path TEXT,
    sha256 TEXT,
    at TEXT NOT NULL,
    PRIMARY KEY (owner, image_id)
);
CREATE TABLE IF NOT EXISTS subscriptions (filter TEXT PRIMARY KEY);
"""
SAVED = "saved"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that was dealt with; ``outcome`` is ``saved`` or the code of the refusal."""

    owner: str
    image_id: uuid.UUID
    channel: str
    outcome: str
    path: Path | None = None
    sha256: str | None = None


class Ledger:
    """The reader's ledger; a context manager. Each method raises ConfigurationError where the file fails."""

    def __init__(self, home: Path) -> None:
        self._path = home / LEDGER
        with self._explaining():
            # Made by us, so that it and the files beside it are for nobody else, whatever the folder's mode is.
            self._path.touch(PRIVATE_FILE)
            self._database = sqlite3.connect(self._path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    def knows(self, owner: str, image_id: uuid.UUID) -> bool:
        """Tell whether this owner's image was dealt with before."""
        with self._explaining():
            row = self._database.execute(
                "SELECT 1 FROM images WHERE owner = ? AND image_id = ?", (owner, str(image_id))
            ).fetchone()
        return row is not None

    def add(self, entry: Entry, at: dt.datetime) -> None:
        """Note an image durably."""
        path = str(entry.path) if entry.path else None
        with self._explaining():
            self._database.execute(
                "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.owner, str(entry.image_id), entry.channel, entry.outcome, path, entry.sha256, at.isoformat()),
            )

    def replace_subscriptions(self, filters: Iterable[str]) -> set[str]:
        """Note the filters that are subscribed to from now on; return those that no longer are."""
        new = set(filters)
        with self._explaining():
            with contextlib.closing(self._database.execute("SELECT filter FROM subscriptions")) as rows:
                old = {row[0] for row in rows}
            self._database.executemany("DELETE FROM subscriptions WHERE filter = ?", [(name,) for name in old - new])
            self._database.executemany("INSERT INTO subscriptions VALUES (?)", [(name,) for name in new - old])
        return old - new

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"cannot use the ledger {self._path}: {error}",
                hint="mend the folder's permissions, make room, or move a damaged ledger away",
                code="ledger",
            ) from error
