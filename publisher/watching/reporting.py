"""What a watch says: of the folder, of each image once, and of what holds all of them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import console, display
from common.errors import SealcastError
from publisher.reporting import Report
from publisher.watching.memory import LEFT_ALONE

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from common.console import Printer
    from common.readiness import Readiness
    from publisher.courier import Outcome
    from publisher.post import Wishes
    from publisher.watching.folder import Folder
    from publisher.watching.memory import Memory

_BY_ITSELF = "this is tried again by itself, and nothing is lost meanwhile"


def name_readers(wishes: Wishes) -> str:
    """Return for whom images are."""
    return ", ".join(wishes.to) or "every member"


def count_files(number: int) -> str:
    """Return how many files there are, in words."""
    return "1 file" if number == 1 else f"{number:,} files"


class WatchReport:
    """Says what becomes of a watched folder's files."""

    def __init__(self, printer: Printer, folder: Folder, readiness: Readiness) -> None:
        self._printer = printer
        self._readiness = readiness
        self._folder = folder
        self._report = Report(printer)
        self._trouble: str | None = None
        self._is_gone = False

    def ready(self, user: str, wishes: Wishes, memory: Memory) -> None:
        """Say that the folder is watched from now on, or is again."""
        self._is_gone = False
        line = f"ready: watching {self._folder.shown}; as {user}, new images are posted for {name_readers(wishes)}"
        if left_alone := memory.count(LEFT_ALONE):
            before = f"{count_files(left_alone)} from before"
            line += f"\n       left alone: {before}; --include-existing posts what was there, too"
        self._readiness.announce(self._printer, line, folder=self._folder.root, left_alone=left_alone)

    def gone(self, error: SealcastError) -> None:
        """Say once that there is no folder."""
        if not self._is_gone:
            self._is_gone = True
            again = SealcastError(
                error.message,
                hint=f"{error.hint}; when the folder is back, watching goes on by itself",
                code=error.code,
            )
            self._report.tell(self._folder.shown, again)

    def posted(self, path: PurePosixPath | None, outcome: Outcome) -> None:
        """Say where an image is; ``path`` is None where it waited from earlier."""
        self._report.tell(None if path is None else self._folder.show(path), outcome)

    def failed(self, path: PurePosixPath, error: SealcastError) -> None:
        """Say that a file cannot be posted at the moment."""
        self._report.tell(self._folder.show(path), error)

    def skipped(self, path: PurePosixPath, error: SealcastError) -> None:
        """Say why a file is not posted."""
        shown = self._folder.show(path)
        self._printer.event(
            f"skipped    {display.make_displayable(str(shown))}  {error.message}",
            event="skipped",
            file=shown,
            code=error.code,
            message=error.message,
        )

    def held_up(self, error: SealcastError) -> None:
        """Say once why nothing can be sent, until something is."""
        if self._trouble != error.code:
            self._trouble = error.code
            console.fail(SealcastError(error.message, hint=f"{error.hint}; {_BY_ITSELF}" if error.hint else _BY_ITSELF))

    def goes_on(self) -> None:
        """Note that something was sent."""
        self._trouble = None
