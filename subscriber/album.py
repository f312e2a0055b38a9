"""The ledger as a gallery looks at it: page by page, newest first, filtered and searched, and followed."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from subscriber.ledger import SAVED, Entry, Ledger

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping
    from pathlib import Path

_MOST_AT_ONCE = 100
_LONGEST_ROW = 18  # digits; SQLite's integers have 64 bits
# Version 0.1.0 noted neither; and SQLite has `->>` from 3.38 on only.
_MENTIONS = "instr(folded(ifnull(name, '') || char(10) || ifnull(json_extract(header, '$.caption'), '')), ?) > 0"


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, where the next page begins (None: nowhere), and how many there are on all pages."""

    entries: list[Entry]
    next: int | None
    total: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far the ledger was read: its last row, and when that was written.

    Both, since SQLite gives the number of a last row again that was taken back.
    """

    row: int
    at: str

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the position that ``str`` has made into this text; None where it is none."""
        row, _, at = text.partition("@")
        return cls(int(row), at) if row.isascii() and row.isdigit() and len(row) <= _LONGEST_ROW else None

    def __str__(self) -> str:
        return f"{self.row}@{self.at}"


class Album(Ledger):
    """The ledger in ``home``, for many threads; other programs may write to it meanwhile."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._database.add_function("folded", _fold)

    def saved(
        self,
        *,
        before: int | None = None,
        limit: int,
        channel: str | None = None,
        owner: str | None = None,
        search: str | None = None,
    ) -> Page:
        """Return saved images; ``search`` is for a part of name or caption, whether in small or large letters."""
        # No LIKE: % and _ in a name mean themselves.
        mention = None if search is None else _fold(search)
        asked = {"outcome = ?": SAVED, "channel = ?": channel, "owner = ?": owner, _MENTIONS: mention}
        return self._page({part: value for part, value in asked.items() if value is not None}, before, limit)

    def refused(self, *, before: int | None = None, limit: int) -> Page:
        """Return refused images."""
        return self._page({"outcome <> ?": SAVED}, before, limit)

    def filters(self) -> tuple[list[str], list[str]]:
        """Return the channels and the owners of what was saved."""
        query = "SELECT DISTINCT {0} AS name FROM images WHERE outcome = ? ORDER BY {0}"
        channels, owners = (self._database.read(query.format(column), SAVED) for column in ("channel", "owner"))
        return [row["name"] for row in channels], [row["name"] for row in owners]

    def find(self, owner: str, image_id: uuid.UUID) -> Entry | None:
        """Return a saved image of an owner."""
        rows = self._rows("owner = ? AND image_id = ? AND outcome = ?", owner, str(image_id), SAVED)
        return next((entry for _, entry in rows), None)

    def position(self) -> Position:
        """Return how far the ledger goes now."""
        rows = self._database.read("SELECT rowid AS row, at FROM images ORDER BY rowid DESC LIMIT 1")
        return next((Position(row["row"], row["at"]) for row in rows), Position(0, ""))

    def since(self, position: Position) -> list[tuple[Position, Entry]]:
        """Return the next entries behind a position, each with its own, in the order in which they were noted."""
        rows = self._rows(
            "rowid >= ?1 AND NOT (rowid = ?1 AND at = ?2) ORDER BY rowid LIMIT ?3",
            position.row,
            position.at,
            _MOST_AT_ONCE,
        )
        return [(Position(row, entry.at.isoformat()), entry) for row, entry in rows]

    def _page(self, asked: Mapping[str, str], before: int | None, limit: int) -> Page:
        wanted = " AND ".join(asked)
        # From a row on, never by OFFSET: a page costs the same wherever it is, and what is new moves none.
        rows = self._rows(
            f"{wanted} AND rowid < ifnull(?, 9e18) ORDER BY rowid DESC LIMIT ?", *asked.values(), before, limit + 1
        )
        ((total,),) = self._database.read(f"SELECT count(*) FROM images WHERE {wanted}", *asked.values())  # noqa: S608 - the conditions are ours
        has_more = len(rows) > limit
        return Page([entry for _, entry in rows[:limit]], rows[limit - 1][0] if has_more else None, total)


def _fold(text: str) -> str:
    """Return what texts have in common that differ in capitals, or in how their letters are put together, only."""
    return unicodedata.normalize("NFKC", text).casefold()
