"""Watching a folder: what is seen, what is due, what came of it (docs/watching.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import SealcastError
from publisher.courier import Outcome
from publisher.items import State
from publisher.watching.completeness import Sight
from publisher.watching.folder import File
from publisher.watching.posting import Changed, HeldUp, Known, Later, is_skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor
    from pathlib import PurePosixPath

    from common.settings import Settings
    from publisher.outbox import Outbox
    from publisher.watching.line import Line
    from publisher.watching.memory import Memory
    from publisher.watching.posting import Poster, Result
    from publisher.watching.reporting import WatchReport

_MOST_DOUBLINGS = 5
_DAY = 24 * 3600.0  # seconds
_BATCH = 8  # files in one turn, for each thread that posts


@dataclass(slots=True)
class _Candidate:
    """A file that is not dealt with yet, and when it gets its next turn."""

    sight: Sight
    due: float
    failures: int = 0


class Watch:
    """What a watched folder holds and is not dealt with yet; whoever runs it calls ``see`` and ``turn``."""

    def __init__(
        self,
        memory: Memory,
        outbox: Outbox,
        line: Line,
        poster: Poster,
        report: WatchReport,
        *,
        settings: Settings,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._memory = memory
        self._outbox = outbox
        self._line = line
        self._poster = poster
        self._report = report
        self._settings = settings
        self._monotonic = poster.clocks.monotonic
        self._stopping = stopping
        self._candidates: dict[PurePosixPath, _Candidate] = {}
        # What waits in the outbox from earlier is sent first.
        self._send_again_at = self._held_up_until = self._monotonic()
        self._failed_sendings = 0

    def see(self, files: Iterable[File]) -> None:
        """Take note of files as they are now; what was dealt with as it is needs nothing more."""
        now = self._monotonic()
        for file in files:
            candidate = self._candidates.get(file.path)
            if self._memory.knows(file):
                self._candidates.pop(file.path, None)
            elif candidate is None or candidate.sight.stamp != file.stamp:
                self._candidates[file.path] = _Candidate(Sight(file.stamp, now), now)
        try:
            self._memory.keep_names()
        except SealcastError as error:
            # They are kept when something is seen the next time.
            self._report.held_up(error)

    def seconds_left(self) -> float:
        """Return for how long there is nothing to do but to see what changes."""
        due = [max(one.due, self._held_up_until) for one in self._candidates.values()]
        return max(0.0, min([self._send_again_at, *due]) - self._monotonic())

    def turn(self, pool: Executor) -> None:
        """Send what waits in the outbox, and post what is due, the oldest first; as much as one turn may take."""
        now = self._monotonic()
        self._line.begin_turn()
        if self._send_again_at <= now:
            self._send_again(pool)
        if self._held_up_until > now:
            return
        due = [(path, one) for path, one in self._candidates.items() if one.due <= now]
        due.sort(key=lambda each: each[1].sight.stamp.mtime_ns)
        batch = due[: _BATCH * self._settings.posts_at_once]
        results = pool.map(self._post, *zip(*batch, strict=True)) if batch else ()
        for (path, candidate), result in zip(batch, results, strict=True):
            self._conclude(path, candidate, result)

    def _post(self, path: PurePosixPath, candidate: _Candidate) -> Result:
        return Later(0.0) if self._stopping() else self._poster.post(path, candidate.sight)

    def _conclude(self, path: PurePosixPath, candidate: _Candidate, result: Result) -> None:
        match result:
            case Later(seconds):
                candidate.due = self._monotonic() + seconds
            case HeldUp(error):
                self._hold_up(error)
            case Changed(stamp):
                del self._candidates[path]
                self.see([File(path, stamp)] if stamp else [])
            case SealcastError() if is_skipped(result):
                self._skip(path, candidate, result)
            case SealcastError():
                self._fail(path, candidate, result)
            case Known():
                del self._candidates[path]
            case Outcome():
                del self._candidates[path]
                self._report.posted(path, result)
                self._note(result)

    def _skip(self, path: PurePosixPath, candidate: _Candidate, error: SealcastError) -> None:
        try:
            self._memory.leave(File(path, candidate.sight.stamp), error.code)
        except SealcastError as failure:
            self._fail(path, candidate, failure)
        else:
            del self._candidates[path]
            self._report.skipped(path, error)

    def _fail(self, path: PurePosixPath, candidate: _Candidate, error: SealcastError) -> None:
        if candidate.failures == 0:
            self._report.failed(path, error)
        wait = self._settings.retry_seconds * 2 ** min(candidate.failures, _MOST_DOUBLINGS)
        candidate.due = self._monotonic() + wait
        candidate.failures += 1
        # It may be in the outbox all the same.
        self._send_again_soon()

    def _note(self, outcome: Outcome) -> None:
        if outcome.item.state is State.WAITING and outcome.error is not None:
            self._report.held_up(outcome.error)
            self._send_again_soon()
        elif outcome.item.state is State.STORED:
            self._report.goes_on()
            self._failed_sendings = 0

    def _hold_up(self, error: SealcastError) -> None:
        self._report.held_up(error)
        self._line.doubt()
        self._send_again_soon()
        self._held_up_until = self._send_again_at

    def _send_again(self, pool: Executor) -> None:
        """Send what waits, with a session at least once a day: it renews the certificate when that is due."""
        self._send_again_at = self._monotonic() + _DAY
        try:
            self._line.renew()
            for outcome in self._line.courier.deliver_waiting(pool):
                self._report.posted(None, outcome)
                self._note(outcome)
                if self._stopping():
                    return
        except SealcastError as error:
            self._hold_up(error)

    def _send_again_soon(self) -> None:
        """Send what waits a while from now, a longer one each time that it fails."""
        now, longest = self._monotonic(), self._settings.reconnect_longest_wait
        if self._send_again_at > now + longest:
            self._send_again_at = now + min(2.0**self._failed_sendings, longest)
            self._failed_sendings = min(self._failed_sendings + 1, _MOST_DOUBLINGS)
