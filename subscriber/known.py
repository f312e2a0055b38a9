"""What the shell may offer for the commands of a subscriber, from the identity's own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from subscriber.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from common.completion import Known
    from subscriber.ledger import Entry


def _images(home: Path) -> Iterator[tuple[str, str]]:
    entries = _entries(home)
    return ((str(entry.image_id), f"{entry.outcome} {entry.name or ''} from {entry.owner}") for entry in entries)


def _channels(home: Path) -> Iterator[tuple[str, str]]:
    return ((entry.channel, f"last from {entry.owner}") for entry in _entries(home))


def _people(home: Path) -> Iterator[tuple[str, str]]:
    return ((entry.owner, f"last on {entry.channel}") for entry in _entries(home))


def _entries(home: Path) -> Iterator[Entry]:
    with Ledger(home, read_only=True) as ledger:
        return reversed(ledger.entries())


KNOWN: Known = {"images": _images, "channels": _channels, "people": _people}
