"""What the outbox knows of each image, and its row in the database."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.topics import ImageTopic

if TYPE_CHECKING:
    import sqlite3

    from common import messages

TABLES = """
CREATE TABLE IF NOT EXISTS images (
    number INTEGER PRIMARY KEY,  -- the order in which they were posted
    image_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    channel TEXT NOT NULL,
    audience TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    sealed_size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    removed TEXT NOT NULL,  -- JSON: what was taken out of the image
    added_at TEXT NOT NULL,
    expires_at TEXT,
    attempted_at TEXT,  -- before this it cannot be at the registrar
    ended_at TEXT,
    state TEXT NOT NULL,
    code TEXT,
    message TEXT
);
CREATE INDEX IF NOT EXISTS images_by_state ON images (state);
"""


class State(enum.StrEnum):
    """What has become of an image."""

    WRITING = "writing"
    WAITING = "waiting"
    # By the registrar, long after its owner had posted it; kept for the owner to decide.
    REFUSED = "refused"
    STORED = "stored"
    FAILED = "failed"
    REMOVED = "removed"


PRESENT = frozenset({State.WAITING, State.REFUSED})


@dataclass(frozen=True, slots=True)
class Item:
    """What the outbox knows of an image; ``code`` and ``message`` say why it is where it is, if there is a reason.

    ``size`` and ``sha256`` are those of the image, ``sealed_size`` is that of the file.
    """

    topic: ImageTopic
    audience: messages.Audience
    name: str
    size: int
    sealed_size: int
    sha256: str
    removed: tuple[str, ...]
    added_at: dt.datetime
    expires_at: dt.datetime | None = None
    attempted_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    state: State = State.WRITING
    code: str | None = None
    message: str | None = None

    @property
    def is_present(self) -> bool:
        """Whether it is in the outbox."""
        return self.state in PRESENT


_TIMES = ("added_at", "expires_at", "attempted_at", "ended_at")
_AS_THEY_ARE = ("audience", "name", "size", "sealed_size", "sha256", "state", "code", "message")


def to_row(item: Item) -> dict[str, object]:
    """Return the columns of the item and their values."""
    return {
        "image_id": str(item.topic.image_id),
        "owner": item.topic.owner,
        "channel": item.topic.channel,
        "removed": json.dumps(item.removed),
        **{name: to_text(getattr(item, name)) for name in _TIMES},
        **{name: getattr(item, name) for name in _AS_THEY_ARE},
    }


def from_row(row: sqlite3.Row) -> Item:
    """Return the item of a row."""
    members = {name: row[name] for name in _AS_THEY_ARE}
    members |= {name: row[name] and dt.datetime.fromisoformat(row[name]) for name in _TIMES}
    members |= {"removed": tuple(json.loads(row["removed"])), "state": State(row["state"])}
    return Item(ImageTopic(row["owner"], row["channel"], uuid.UUID(row["image_id"])), **members)


def to_text(time: dt.datetime | None) -> str | None:
    """Return a time as the database has it."""
    return None if time is None else time.isoformat()
