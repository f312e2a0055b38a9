"""How long a session waits before it tries to connect again, and what it says meanwhile.

Waits double up to a limit, each shortened by a random part, so that a thousand clients do not come back at once.
"""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.connection import Address

_SHORTEST_SHARE = 0.5
_FIRST_REMINDER_SECONDS, _LONGEST_REMINDER_SECONDS = 5.0, 300.0
_random = secrets.SystemRandom()
_log = logging.getLogger(__name__)


class Patience:
    """Counts the tries since the connection was lost; times are seconds.

    With ``quiet`` what it says is only for those who want the whole log: another session to the same broker says it.
    """

    def __init__(self, address: Address, longest_wait: float, *, quiet: bool = False) -> None:
        self._address = address
        self._longest_wait = longest_wait
        self._level = logging.INFO if quiet else logging.WARNING
        self._tries = 0
        # By a clock that nobody sets, since it is for how long; the time of day is for a person to read.
        self._lost_at: float | None = None
        self._lost_at_time_of_day = ""
        self._reminder = _FIRST_REMINDER_SECONDS

    def wait_after_loss(self, reason: str) -> float:
        """Note that the connection is lost, or ended before it stood, and return how long to wait.

        With TLS 1.3 a certificate that is refused shows only so.
        """
        if self._lost_at is None:
            self._lost_at, self._lost_at_time_of_day = time.monotonic(), time.strftime("%H:%M:%S")
            _log.log(self._level, "lost the connection to the broker at %s, trying again: %s", self._address, reason)
        self._remind(
            "the broker at %s has closed each connection since %s: "
            "the certificate may be expired (see `whoami`) or revoked (ask whoever runs the registrar)"
        )
        return self._next_wait()

    def wait_after_failure(self) -> float:
        """Note that nobody answers, remind of it now and then, and return how long to wait."""
        self._remind("waiting for the broker at %s since %s")
        return self._next_wait()

    def end(self, *, resumed: bool) -> None:
        """Note that the connection stands."""
        if self._lost_at is not None:
            kept = "it kept what came meanwhile" if resumed else "a new session"
            away = time.monotonic() - self._lost_at
            _log.log(self._level, "connected to the broker at %s again after %.0f s: %s", self._address, away, kept)
        self._lost_at, self._tries, self._reminder = None, 0, _FIRST_REMINDER_SECONDS

    def _remind(self, text: str) -> None:
        if self._lost_at is not None and time.monotonic() - self._lost_at >= self._reminder:
            _log.log(self._level, text, self._address, self._lost_at_time_of_day)
            self._reminder = min(2 * self._reminder, _LONGEST_REMINDER_SECONDS)

    def _next_wait(self) -> float:
        longest = min(self._longest_wait, 2.0**self._tries)
        self._tries = min(self._tries + 1, 32)
        return longest * _random.uniform(_SHORTEST_SHARE, 1)
