"""What the commands say of images: a line for people, or one JSON object a line."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from common import console, display
from common.certificates import key_fingerprint, user_of
from common.errors import SealcastError
from common.verified import Standing, Verified
from common.words import spoken
from publisher.items import State

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cryptography import x509

    from common.console import Printer
    from publisher.courier import Outcome
    from publisher.items import Item
    from publisher.removal import Removal

_LARGE = 4 * 1024 * 1024  # bytes; below it, a bar would be gone before it is seen
SHOWN_DIGITS = 16  # of a fingerprint, where there is no room for all
_AFTER_REFUSAL = "publisher flush sends it once more, publisher remove gives it up"
_LATER = "publisher flush sends what waits, and so does every later post"


class Report:
    """Says what becomes of each image of one command, and counts those that it is about.

    A post is about its files: of what waited from earlier (``file`` is None) it says only what has changed. With
    ``flushing`` it is about all.
    """

    def __init__(self, printer: Printer, *, flushing: bool = False) -> None:
        self._printer = printer
        self._flushing = flushing
        self._reasons: dict[str, SealcastError] = {}
        self._hints: set[str | None] = {None}
        self.failed = 0
        self.waiting = 0

    def tell(self, file: Path | None, outcome: Outcome | SealcastError) -> None:
        """Say that an image is stored, that it waits, or that it cannot be posted."""
        counts = self._flushing or file is not None
        if isinstance(outcome, SealcastError):
            self.failed += counts
            self._tell_failed(_shown(file), outcome, file=file)
            return
        item, error = outcome.item, outcome.error
        shown = _shown(file or item.name)
        if error is None:
            self._tell_stored(shown, item)
        elif item.state is not State.WAITING:
            self.failed += counts
            self._tell_failed(shown, error, file=file, image_id=item.topic.image_id, name=item.name)
        elif counts:
            self.waiting += 1
            self._reasons[error.code] = error
            self._tell_waiting(shown, item, error, file=file)

    def explain_waiting(self) -> None:
        """Say once for each reason why images wait, and what to do."""
        for error in self._reasons.values():
            hint = f"{error.hint}; {_LATER}" if error.hint else _LATER
            console.fail(SealcastError(error.message, hint=hint))

    def _tell_stored(self, shown: str, item: Item) -> None:
        audience = "every member" if item.audience == "members" else "the named people"
        line = f"stored     {shown}  for {audience} on {item.topic.channel}, as {item.topic.image_id}{_until(item)}"
        if item.removed:
            line += f"\n           removed: {', '.join(item.removed)}"
        self._printer.event(
            line,
            event="stored",
            image_id=item.topic.image_id,
            owner=item.topic.owner,
            channel=item.topic.channel,
            name=item.name,
            topic=item.topic.image,
            size=item.size,
            sealed_size=item.sealed_size,
            sha256=item.sha256,
            removed=item.removed,
        )

    def _tell_waiting(self, shown: str, item: Item, error: SealcastError, *, file: Path | None) -> None:
        since = local_time(item.added_at)
        self._printer.event(
            f"waiting    {shown}  in the outbox since {since}, as {item.topic.image_id}{_until(item)}",
            event="waiting",
            image_id=item.topic.image_id,
            owner=item.topic.owner,
            channel=item.topic.channel,
            name=item.name,
            file=file,
            since=item.added_at.isoformat(),
            code=error.code,
            message=error.message,
        )

    def _tell_failed(self, shown: str, error: SealcastError, **members: Any) -> None:  # noqa: ANN401 - JSON
        self._printer.event(None, event="failed", **members, code=error.code, message=error.message)
        hint = None if error.hint in self._hints else error.hint
        self._hints.add(hint)
        console.fail(SealcastError(f"{shown}: {error.message}", hint=hint))


def show_item(printer: Printer, item: Item) -> None:
    """Say where an image of the outbox is."""
    since = local_time(item.added_at)
    line = (
        f"{item.state:<10} {item.name}  on {item.topic.channel} since {since}, as {item.topic.image_id}{_until(item)}"
    )
    if item.message:
        line += f"\n           {item.message}"
    if item.state is State.REFUSED:
        line += f"\n           {_AFTER_REFUSAL}"
    printer.event(
        line,
        event=item.state,
        image_id=item.topic.image_id,
        channel=item.topic.channel,
        name=item.name,
        size=item.size,
        sealed_size=item.sealed_size,
        since=item.added_at.isoformat(),
        expires_at=item.expires_at and item.expires_at.isoformat(),
        ended_at=item.ended_at and item.ended_at.isoformat(),
        code=item.code,
        message=item.message,
    )


def show_removal(printer: Printer, image_id: uuid.UUID, removal: Removal) -> None:
    """Say that an image is removed, and whether anybody has ever heard of it: the id may be mistyped."""
    line = f"removed    {image_id}"
    if not (removal.was_stored or removal.was_in_outbox):
        line += "  (unknown to the registrar; it will be refused if it comes)"
    printer.event(line, event="removed", image_id=image_id, was_stored=removal.was_stored)


def warn_of_changed_devices(home: Path, certificates: Iterable[x509.Certificate]) -> None:
    """Say on stderr which of these devices are not verified, though others of the same user are."""
    with Verified(home, read_only=True) as verified:
        changed = [one for one in certificates if verified.standing(one) is Standing.CHANGED]
    for certificate in changed:
        user, words = user_of(certificate), spoken(key_fingerprint(certificate))
        hint = f"ask {user} whether it is theirs, then: publisher verify {user}"
        warning = SealcastError(f"{user} has a device that you have not verified: {words}", hint=hint)
        console.fail(warning, kind="warning")


@contextlib.contextmanager
def progress(files: list[Path], *, wanted: bool) -> Iterator[Callable[[Path | None], None]]:
    """Show a bar on a terminal for many or large files; yields what to call after each."""
    sizes = {file: _size(file) for file in files}
    worth_it = len(files) > 1 or sum(sizes.values()) >= _LARGE
    if not (wanted and worth_it and sys.stderr.isatty()):
        yield lambda _file: None
        return
    from rich.console import Console  # noqa: PLC0415 - 100 ms that a single small image need not wait for
    from rich.progress import Progress  # noqa: PLC0415 - the same

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("posting", total=sum(sizes.values()) or 1)
        yield lambda file: bar.advance(task, sizes[file] if file else 0)


def _shown(file: Path | str | None) -> str:
    # In a folder that others write to, they choose the names.
    return display.make_displayable(str(file))


def _size(file: Path) -> int:
    # What cannot be read is told when its turn comes.
    with contextlib.suppress(OSError):
        return file.stat().st_size if file.is_file() else 0
    return 0


def _until(item: Item) -> str:
    return "" if item.expires_at is None else f", until {local_time(item.expires_at)}"


def local_time(time: dt.datetime) -> str:
    """Return a time as people read it here."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"
