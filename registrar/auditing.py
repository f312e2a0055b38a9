"""What a registrar that serves does about its audit log beside all else, since no request or command does it."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

from common.errors import SealcastError
from registrar.audit_head import sign_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from registrar.audit import Head
    from registrar.handlers import Handlers, Publication

# Whoever keeps heads can tell by their times that nobody holds new ones back.
_FRESH = dt.timedelta(hours=1)
_log = logging.getLogger(__name__)


class Auditing:
    """Writes the login failures, and publishes the head.

    One thread does all but ``publish_again``. What keeps it from being done is logged, and it is tried again.
    """

    def __init__(self, handlers: Handlers, clock: Callable[[], dt.datetime]) -> None:
        self._handlers = handlers
        self._log = handlers.audit
        self._clock = clock
        self._published: tuple[Head, dt.datetime] | None = None

    def look(self, publish: Callable[[Publication], object]) -> None:
        """Do what is due: at most one head each time."""
        now = self._clock()
        try:
            self._log.login_failures.write(now)
            head = self._log.head()
            if not self._is_published(head, now):
                publish(sign_head(head, self._handlers, now))
                self._published = head, now
        except SealcastError as error:
            _log.warning("could not write to the audit log, or not publish its head: %s", error.message)

    def publish_again(self) -> None:
        """Have the head published once more: the broker may have lost it."""
        self._published = None

    def close(self) -> None:
        """Write the rest."""
        try:
            self._log.login_failures.write(self._clock(), everything=True)
        except SealcastError as error:
            _log.warning("could not write the last login failures to the audit log: %s", error.message)

    def _is_published(self, head: Head, now: dt.datetime) -> bool:
        return self._published is not None and self._published[0] == head and now - self._published[1] < _FRESH
