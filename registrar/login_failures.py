"""Sums login failures up for the audit log, so that no flood of them fills it, nor takes a transaction for each.

What is written tells of accounts only: another name may be anything that somebody has typed there, a password too.
"""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registrar.audit import AuditLog

_APART = dt.timedelta(minutes=1)


@dataclass(slots=True)
class _Failures:
    since: dt.datetime
    count: int = 0


class LoginFailures:
    """Counts failures, by account, until they are written: at most one entry a minute for each."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._failures: dict[str | None, _Failures] = {}
        self._written: dict[str | None, dt.datetime] = {}
        self._lock = threading.Lock()

    def note(self, account: str | None, now: dt.datetime) -> None:
        """Count a failure; ``account`` is None where there is none of the name."""
        with self._lock:
            self._failures.setdefault(account, _Failures(now)).count += 1

    def write(self, now: dt.datetime, *, everything: bool = False) -> None:
        """Write what is due, or ``everything`` before the end; one thread does this, any may note meanwhile.

        Raises RefusedError where it cannot be written; then it is due again.
        """
        self._written = {account: at for account, at in self._written.items() if now - at < _APART}
        with self._lock:
            due = [account for account in self._failures if everything or account not in self._written]
        for account in due:
            with self._lock:
                failures = self._failures.pop(account)
            try:
                since = failures.since.isoformat()
                self._log.add("login-failed", account, now, count=failures.count, since=since)
            except BaseException:
                with self._lock:
                    later = self._failures.setdefault(account, failures)
                    if later is not failures:
                        later.count, later.since = later.count + failures.count, failures.since
                raise
            self._written[account] = now
