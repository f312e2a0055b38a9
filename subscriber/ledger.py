"""What the reader has dealt with, so that nothing is saved twice; SQLite in the identity's folder.

The entry is written after the file and before the acknowledgement: a crash in between brings the image again, never
loses it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from common import messages
from common.local_database import LocalDatabase
from common.messages import ImageHeader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

LEDGER = "ledger.sqlite3"
SAVED = "saved"
_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    owner TEXT NOT NULL,
    image_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    outcome TEXT NOT NULL,  -- 'saved', or the code of the refusal
    path TEXT,  -- from the identity's folder on, where it is in there, so that the folder can be moved
    sha256 TEXT,
    at TEXT NOT NULL,
    name TEXT,  -- as the owner gave it
    message TEXT,  -- why it was refused
    header TEXT,  -- JSON: what the owner has signed about it
    fingerprint TEXT,  -- of the certificate that it was signed with
    PRIMARY KEY (owner, image_id)
);
CREATE TABLE IF NOT EXISTS signatures (
    owner TEXT NOT NULL,
    image_id TEXT NOT NULL,
    signature BLOB NOT NULL,  -- the owner's, detached: DER of a SignedData without its content
    PRIMARY KEY (owner, image_id)
);
CREATE INDEX IF NOT EXISTS images_by_path ON images (path);
CREATE INDEX IF NOT EXISTS images_by_outcome ON images (outcome);
CREATE INDEX IF NOT EXISTS images_by_channel ON images (outcome, channel);
CREATE INDEX IF NOT EXISTS images_by_owner ON images (outcome, owner);
CREATE TABLE IF NOT EXISTS owed_receipts (  -- which the registrar has not taken yet
    owner TEXT NOT NULL,
    image_id TEXT NOT NULL,
    PRIMARY KEY (owner, image_id)
);
CREATE TABLE IF NOT EXISTS subscriptions (filter TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS catalogue (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    mark TEXT NOT NULL,
    channels TEXT NOT NULL  -- JSON: the filters up to which images this mark was reached
);
-- Up to which image a command was run for each: there only while that is wanted.
CREATE TABLE IF NOT EXISTS executed (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    up_to INTEGER NOT NULL  -- rowid of images
);
-- The next image may get the rowid of one that was the last.
CREATE TRIGGER IF NOT EXISTS executed_of_forgotten AFTER DELETE ON images BEGIN
    UPDATE executed SET up_to = min(up_to, (SELECT coalesce(max(rowid), 0) FROM images));
END;
"""
_LATER_COLUMNS = ("name", "message", "header", "fingerprint")
_ALL_CHANNELS = "#"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image that was dealt with; ``outcome`` is ``saved`` or the code of the refusal, ``message`` its words."""

    owner: str
    image_id: uuid.UUID
    channel: str
    outcome: str
    at: dt.datetime
    path: Path | None = None
    sha256: str | None = None
    name: str | None = None
    message: str | None = None
    header: ImageHeader | None = None  # None where it is not saved, or was by a version that did not keep it
    fingerprint: str | None = None
    is_replaced: bool = False  # another image has the path by now, since the file was gone

    @property
    def is_here(self) -> bool:
        """Tell whether the image is saved, and its file still where it was saved."""
        # Not Path.is_file, which raises where a folder may not be looked into, or a disk does not answer.
        return self.path is not None and not self.is_replaced and os.path.isfile(self.path)  # noqa: PTH113


class Ledger:
    """The reader's ledger; a context manager. Each method raises ConfigurationError where the file fails.

    With ``read_only`` it can be read in a folder that is read-only, or full, as well, and nothing is made.
    """

    def __init__(self, home: Path, *, read_only: bool = False) -> None:
        self._home = home.absolute()
        self._database = LocalDatabase(home / LEDGER, _TABLES, code="ledger", read_only=read_only)
        if not read_only:
            self._bring_up_to_date()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Carry out all that happens inside or nothing; no other program notes anything meanwhile."""
        return self._database.transaction()

    def knows(self, owner: str, image_id: uuid.UUID) -> bool:
        """Tell whether this owner's image was dealt with before."""
        query = "SELECT 1 FROM images WHERE owner = ? AND image_id = ?"
        return bool(self._database.read(query, owner, str(image_id)))

    def add(self, entry: Entry, signature: bytes | None = None) -> None:
        """Note an image durably, with its owner's detached signature; what was noted of it before stands.

        Where there is a signature, this has to be inside a transaction.
        """
        if signature is not None:
            self.keep_signature(entry.owner, entry.image_id, signature)
        self._database.write(
            "INSERT OR IGNORE INTO images"
            " (owner, image_id, channel, outcome, path, sha256, at, name, message, header, fingerprint)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            entry.owner,
            str(entry.image_id),
            entry.channel,
            entry.outcome,
            entry.path and str(entry.path).removeprefix(f"{self._home}/"),
            entry.sha256,
            entry.at.isoformat(),
            entry.name,
            entry.message,
            entry.header.to_json().decode() if entry.header else None,
            entry.fingerprint,
        )

    def keep_signature(self, owner: str, image_id: uuid.UUID, signature: bytes) -> None:
        """Note the owner's detached signature of an image."""
        self._database.write("INSERT OR REPLACE INTO signatures VALUES (?, ?, ?)", owner, str(image_id), signature)

    def signature(self, owner: str, image_id: uuid.UUID) -> bytes | None:
        """Return the owner's detached signature of an image (DER), or None where it was not kept."""
        if not self._database.read("SELECT 1 FROM sqlite_schema WHERE name = 'signatures'"):
            return None  # a ledger of an earlier version is only read
        query = "SELECT signature FROM signatures WHERE owner = ? AND image_id = ?"
        return next((row["signature"] for row in self._database.read(query, owner, str(image_id))), None)

    def owe_receipt(self, entry: Entry) -> None:
        """Note that the owner is to be told of an entry."""
        self._database.write("INSERT OR IGNORE INTO owed_receipts VALUES (?, ?)", entry.owner, str(entry.image_id))

    def owed_receipts(self, limit: int) -> list[Entry]:
        """Return entries of which the owners are to be told, the oldest first."""
        rows = self._database.read(
            "SELECT images.*, 0 AS is_replaced FROM images JOIN owed_receipts USING (owner, image_id)"
            " ORDER BY images.rowid LIMIT ?",
            limit,
        )
        return [self._entry(dict(row)) for row in rows]

    def settle_receipts(self, entries: Iterable[Entry]) -> None:
        """Note durably that nothing is owed of these entries, but of one that has taken the place of one of them."""
        with self.transaction():
            for entry in entries:
                self._database.write(
                    "DELETE FROM owed_receipts WHERE owner = ?1 AND image_id = ?2 AND EXISTS (SELECT 1 FROM images"
                    " WHERE owner = ?1 AND image_id = ?2 AND outcome = ?3 AND at = ?4)",
                    entry.owner,
                    str(entry.image_id),
                    entry.outcome,
                    entry.at.isoformat(),
                )

    def forget(self, entry: Entry) -> None:
        """Take back an entry, unless another is there in its place by now."""
        self._database.write(
            "DELETE FROM images WHERE owner = ? AND image_id = ? AND outcome = ? AND at = ?",
            entry.owner,
            str(entry.image_id),
            entry.outcome,
            entry.at.isoformat(),
        )

    def entries(self, image_id: uuid.UUID | None = None) -> list[Entry]:
        """Return every entry, or those of one image id, in the order in which they were noted."""
        rows = self._rows("image_id = ?1 OR ?1 IS NULL ORDER BY rowid", str(image_id) if image_id else None)
        return [entry for _, entry in rows]

    def _rows(self, condition: str, *values: object) -> list[tuple[int, Entry]]:
        """Return the entries that fit a condition of ours, each with its row's number."""
        rows = self._database.read(
            "SELECT rowid AS row, *, EXISTS (SELECT 1 FROM images AS later WHERE later.path = images.path"  # noqa: S608 - no value is in it
            f" AND later.rowid > images.rowid) AS is_replaced FROM images WHERE {condition}",
            *values,
        )
        return [(row["row"], self._entry(dict(row))) for row in rows]

    def replace_subscriptions(self, filters: Iterable[str]) -> set[str]:
        """Note the filters that are subscribed to from now on; return those that no longer are."""
        new = set(filters)
        with self.transaction():
            old = {row["filter"] for row in self._database.read("SELECT filter FROM subscriptions")}
            for name in old - new:
                self._database.write("DELETE FROM subscriptions WHERE filter = ?", name)
            for name in new - old:
                self._database.write("INSERT INTO subscriptions VALUES (?)", name)
        return old - new

    def mark(self, channel_filters: Collection[str]) -> str | None:
        """Return the mark in the catalogue up to which everything on these channels was dealt with.

        None where there is none yet, or where a channel was not asked for when the mark was reached.
        """
        for row in self._database.read("SELECT mark, channels FROM catalogue"):
            reached_for = set(json.loads(row["channels"]))
            if _ALL_CHANNELS in reached_for or reached_for.issuperset(channel_filters):
                return str(row["mark"])
        return None

    def keep_mark(self, mark: str, channel_filters: Iterable[str]) -> None:
        """Note durably up to which mark everything on these channels was dealt with."""
        channels = json.dumps(sorted(channel_filters))
        self._database.write("INSERT OR REPLACE INTO catalogue VALUES (1, ?, ?)", mark, channels)

    def expect_execution(self, *, wanted: bool) -> None:
        """Begin to note for which images a command is to be run, unless that is so already; or note it no more."""
        if wanted:
            self._database.write("INSERT OR IGNORE INTO executed SELECT 1, coalesce(max(rowid), 0) FROM images")
        else:
            self._database.write("DELETE FROM executed")

    def next_to_execute(self) -> Entry | None:
        """Return the first saved image for which the command has not been run yet."""
        rows = self._database.read(
            "SELECT images.*, 0 AS is_replaced FROM images, executed"
            " WHERE images.rowid > up_to AND outcome = ? ORDER BY images.rowid LIMIT 1",
            SAVED,
        )
        return self._entry(dict(rows[0])) if rows else None

    def note_executed(self, entry: Entry) -> None:
        """Note durably that the command was run for an image, and before for all earlier ones."""
        self._database.write(
            "UPDATE executed SET up_to = max(up_to, rowid_of) FROM"
            " (SELECT rowid AS rowid_of FROM images WHERE owner = ? AND image_id = ?)",
            entry.owner,
            str(entry.image_id),
        )

    def _bring_up_to_date(self) -> None:
        """Add the columns that an earlier version had not, and shorten its paths, which were whole."""
        if self._missing_columns():
            with self.transaction():
                for column in self._missing_columns():
                    self._database.write(f"ALTER TABLE images ADD COLUMN {column} TEXT")
        ours = (f"{self._home}/", f"{self._home}0")  # 0 comes next to /
        if self._database.read("SELECT 1 FROM images WHERE path > ? AND path < ? LIMIT 1", *ours):
            self._database.write(
                "UPDATE images SET path = substr(path, length(?1) + 1) WHERE path > ?1 AND path < ?2", *ours
            )

    def _missing_columns(self) -> list[str]:
        there = {row["name"] for row in self._database.read("PRAGMA table_info(images)")}
        return [column for column in _LATER_COLUMNS if column not in there]

    def _entry(self, row: Mapping[str, Any]) -> Entry:
        return Entry(
            owner=row["owner"],
            image_id=uuid.UUID(row["image_id"]),
            channel=row["channel"],
            outcome=row["outcome"],
            at=dt.datetime.fromisoformat(row["at"]),
            path=self._home / row["path"] if row["path"] else None,
            sha256=row["sha256"],
            # Not there where a ledger of an earlier version is only read.
            name=row.get("name"),
            message=row.get("message"),
            header=messages.read(ImageHeader, row["header"]) if row.get("header") else None,
            fingerprint=row.get("fingerprint"),
            is_replaced=bool(row["is_replaced"]),
        )
