"""Slows attempts down: one name's exponentially, and all together to a rate (ADR 14).

In memory only: a restart forgets the counts, which takes longer than the guesses that it gives back are worth, and of
several replicas each counts for itself. Knows no MQTT, no SQL and no clock.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
from dataclasses import dataclass
from hashlib import sha256

from common.errors import RefusedError

_FORGOTTEN_AFTER = dt.timedelta(hours=1)
_MOST_DOUBLINGS = 62
_MINUTE = 60


@dataclass(slots=True)
class _Attempts:
    number: int
    latest: dt.datetime


class Throttle:
    """Counts attempts by name: ``free`` of them at once, then one after 1 s, 2 s, 4 s and so on up to ``longest``.

    Forgets a name an hour after its latest attempt. Keeps at most ``names``, however long: where there are more, the
    half with the fewest attempts goes, so that to have one forgotten takes as many attempts on thousands of others.
    """

    def __init__(self, *, free: int, longest: float, names: int = 10_000) -> None:
        self._free = free
        self._longest = longest
        self._most = names
        self._attempts: dict[bytes, _Attempts] = {}
        self._lock = threading.Lock()

    def wait(self, name: str, now: dt.datetime) -> float:
        """Return in how many seconds the next attempt may be made, 0 for at once."""
        with self._lock:
            attempts = self._attempts.get(_digest(name))
        if attempts is None or attempts.number < self._free or now - attempts.latest > _FORGOTTEN_AFTER:
            return 0.0
        # A clock that was set back makes nobody wait for longer.
        attempts.latest = min(attempts.latest, now)
        wait = min(self._longest, 2.0 ** min(attempts.number - self._free, _MOST_DOUBLINGS))
        return max(0.0, wait - (now - attempts.latest).total_seconds())

    def count(self, name: str, now: dt.datetime) -> None:
        """Note an attempt, before it is made: many at once are no way around."""
        with self._lock:
            attempts = self._attempts.get(_digest(name))
            if attempts is None or now - attempts.latest > _FORGOTTEN_AFTER:
                self._attempts[_digest(name)] = _Attempts(1, now)
                self._make_room(now)
            else:
                attempts.number, attempts.latest = attempts.number + 1, now

    def forgive(self, name: str) -> None:
        """Begin anew after an attempt that was right."""
        with self._lock:
            self._attempts.pop(_digest(name), None)

    def __len__(self) -> int:
        return len(self._attempts)

    def _make_room(self, now: dt.datetime) -> None:
        if len(self._attempts) <= self._most:
            return
        remembered = [(key, one) for key, one in self._attempts.items() if now - one.latest <= _FORGOTTEN_AFTER]
        remembered.sort(key=lambda item: (item[1].number, item[1].latest), reverse=True)
        self._attempts = dict(remembered[: self._most // 2])


class Budget:
    """Lets ``burst`` through at once, and in the long run ``rate`` a second."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._latest: dt.datetime | None = None

    def take(self, now: dt.datetime) -> bool:
        """Take one, if there is one."""
        elapsed = 0.0 if self._latest is None else max(0.0, (now - self._latest).total_seconds())
        self._left = min(self._burst, self._left + elapsed * self._rate)
        self._latest = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def demand_turn(attempts: Throttle, name: str, now: dt.datetime, *, hint: str = "") -> None:
    """Raise RefusedError, ``throttled``, where the next attempt comes too early; ``hint`` goes on after "in …"."""
    wait = attempts.wait(name, now)
    if wait > 0:
        raise RefusedError(
            "too many attempts with this user name",
            hint=f"try again in {in_words(wait)}{hint}",
            code="throttled",
            retry_after=math.ceil(wait),
        )


def in_words(seconds: float) -> str:
    """Return a wait for people, never too short: "1 second", "40 seconds", "5 minutes"."""
    number, unit = math.ceil(seconds), "second"
    if number > 2 * _MINUTE:
        number, unit = math.ceil(number / _MINUTE), "minute"
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogatepass")).digest()
