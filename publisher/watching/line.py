"""The line to the registrar: a session is opened when there is something to send, as each post does, and not for long.

So the certificate is renewed when it is due, and trust is brought up to date, each time.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

from common.errors import SealcastError
from publisher.post import find_recipients

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from cryptography import x509

    from publisher.courier import Courier
    from publisher.post import Wishes

_IDLE_SECONDS, _LONGEST_SECONDS = 10.0, 3600.0


class Line:
    """Gives the courier of the moment to every thread; a context manager.

    ``reach`` opens a session. Where the registrar cannot be reached, the courier lets images wait until ``close``.
    """

    def __init__(
        self, reach: Callable[[], AbstractContextManager[Courier]], wishes: Wishes, clock: Callable[[], float]
    ) -> None:
        self._reach = reach
        self._wishes = wishes
        self._clock = clock
        self._lock = threading.RLock()
        self._stack = contextlib.ExitStack()
        self._courier: Courier | None = None
        self._recipients: list[x509.Certificate] | SealcastError | None = None
        self._is_doubted = False
        self._opened_at = self._used_at = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def courier(self) -> Courier:
        """The courier, who has a session or knows why there is none; raises SealcastError where none may be opened."""
        with self._lock:
            self._used_at = self._clock()
            if self._courier is None:
                self._opened_at = self._used_at
                self._courier = self._stack.enter_context(self._reach())
            return self._courier

    @property
    def recipients(self) -> list[x509.Certificate]:
        """For whom the key is wrapped, asked for once in each turn; raises SealcastError, the same for each in it."""
        with self._lock:
            if self._recipients is None:
                try:
                    self._recipients = find_recipients(self._wishes, self.courier)
                except SealcastError as error:
                    self._recipients = error
            if isinstance(self._recipients, SealcastError):
                raise self._recipients
            return self._recipients

    def begin_turn(self) -> None:
        """Have the recipients asked for anew, and close a session that nobody uses or that is old."""
        self._recipients = None
        now = self._clock()
        if now - self._used_at > _IDLE_SECONDS or now - self._opened_at > _LONGEST_SECONDS:
            self.close()

    def doubt(self) -> None:
        """Have the session closed when nobody uses it: something was wrong, and another one may be better."""
        self._is_doubted = True

    def renew(self) -> None:
        """Close a session that is no good any more."""
        if self._is_doubted or (self._courier is not None and self._courier.unreachable is not None):
            self.close()

    def close(self) -> None:
        """Close the session; the next use opens another."""
        self._courier, self._is_doubted = None, False
        self._stack.close()
