"""What `subscriber list` shows: what is in the inbox, and what was refused and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from subscriber.ledger import SAVED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.console import Printer
    from subscriber.ledger import Entry


def show_entries(entries: Iterable[Entry], printer: Printer) -> None:
    """Print a line for each image that was dealt with."""
    for entry in entries:
        if entry.outcome == SAVED:
            _show_saved(entry, printer)
        else:
            _show_refused(entry, printer)


def _show_saved(entry: Entry, printer: Printer) -> None:
    line = f"{_date(entry)}  saved    {entry.path}  from {entry.owner} on {entry.channel}"
    if not entry.is_here:
        line += f"\n{'':18}gone from there; get it back with: subscriber fetch {entry.image_id}"
    printer.event(
        line,
        event="saved",
        image_id=entry.image_id,
        owner=entry.owner,
        channel=entry.channel,
        name=entry.name,
        path=entry.path,
        sha256=entry.sha256,
        at=entry.at.isoformat(),
        gone=not entry.is_here,
    )


def _show_refused(entry: Entry, printer: Printer) -> None:
    message = entry.message or entry.outcome
    printer.event(
        f"{_date(entry)}  refused  {entry.image_id}  from {entry.owner} on {entry.channel}: {message}",
        event="refused",
        image_id=entry.image_id,
        owner=entry.owner,
        channel=entry.channel,
        code=entry.outcome,
        message=message,
        at=entry.at.isoformat(),
    )


def _date(entry: Entry) -> str:
    return f"{entry.at.astimezone():%Y-%m-%d %H:%M}"
