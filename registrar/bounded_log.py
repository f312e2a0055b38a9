"""A log that strangers cannot fill."""

from __future__ import annotations

import collections
import datetime as dt
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

_WINDOW = dt.timedelta(minutes=1)


class BoundedLog:
    """Writes at most ``most`` lines of one kind a minute, and after it how many more there were."""

    def __init__(self, log: logging.Logger, most: int = 20) -> None:
        self._log = log
        self._most = most
        self._counts = collections.Counter[str]()
        self._begin: dt.datetime | None = None
        self._lock = threading.Lock()

    def warning(self, kind: str, *details: object, now: dt.datetime, exc_info: bool = False) -> None:
        """Write a line, unless there are enough of its ``kind``: the line without its details."""
        self.tell_the_rest(now)
        with self._lock:
            self._counts[kind] += 1
            is_enough = self._counts[kind] > self._most
        if not is_enough:
            self._log.warning(kind, *details, exc_info=exc_info)

    def tell_the_rest(self, now: dt.datetime) -> None:
        """Say what was left out, once a minute; to be called now and then."""
        with self._lock:
            # What has waited for its hash comes with an earlier time: that begins no new minute.
            if self._begin is not None and abs(now - self._begin) < _WINDOW:
                return
            counts, self._counts, self._begin = self._counts, collections.Counter(), now
        for kind, count in counts.items():
            if count > self._most:
                self._log.warning("… and %s more like it: %s", f"{count - self._most:,}", kind)
