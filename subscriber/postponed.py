"""Announced images that could not be saved yet: tried again and again, in memory and within bounds.

The announcements of the first stay unacknowledged, so that a crash loses none. The broker sends only so much that is
not acknowledged, so those behind are, or nothing else would come any more: the catalogue brings them again.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

    from common.arrivals import Message
    from common.topics import ImageTopic

MOST = 100
# Together with the images that wait for their announcement fewer than the broker keeps in flight.
MOST_UNACKNOWLEDGED = 8
_HERE = "here"  # the cause of every fault of this device
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wait:
    message: Message  # the announcement
    is_listed: bool  # it is from the signed catalogue
    cause: str
    held: Message | None  # the broker's, unacknowledged


class PostponedImages:
    """At most ``MOST`` announcements; ``release`` is called for those that need not, or cannot, stay unacknowledged."""

    def __init__(self, release: Callable[[Message], None]) -> None:
        self._release = release
        self._waits: OrderedDict[ImageTopic, _Wait] = OrderedDict()
        self._said: set[str] = set()
        self.is_hindered = False

    def __contains__(self, topic: object) -> bool:
        return topic in self._waits

    def __len__(self) -> int:
        return len(self._waits)

    def in_turn(self, first: uuid.UUID | None) -> list[tuple[ImageTopic, Message]]:
        """Return what waits, longest first, but ``first`` before all."""
        waits = [(topic, wait.message) for topic, wait in self._waits.items()]
        return sorted(waits, key=lambda wait: wait[0].image_id != first)

    def add(self, topic: ImageTopic, message: Message, error: SealcastError, *, is_listed: bool = False) -> None:
        """Put an image at the end, unless there are too many, and say what is in the way when that begins."""
        self.is_hindered = _is_common(error)
        cause = _cause(error)
        wait = self._waits.pop(topic, None)
        if wait is None and len(self) >= MOST:
            self._release(message)
            return
        if wait is None:
            # What the catalogue brought is no message of the broker's.
            held = message if not is_listed and self._may_hold() else None
            if held is None:
                self._release(message)
            wait = _Wait(message, is_listed, cause, held)
        self._waits[topic] = dataclasses.replace(wait, cause=cause)
        if cause not in self._said:
            self._said.add(cause)
            count = "1 image waits" if len(self) == 1 else f"{len(self)} images wait"
            way = "going on when that is mended" if cause == _HERE else "will try again"
            _log.warning("%s; %s, %s", error.message, count, way)

    def replace(self, topic: ImageTopic, message: Message) -> None:
        """Take a broker's announcement that has come again in place of the one at hand.

        It does not take the place of what the catalogue says: a broker may have made it up.
        """
        wait = self._waits[topic]
        self._release(message if wait.held is None else wait.held)
        self._waits[topic] = dataclasses.replace(
            wait,
            message=wait.message if wait.is_listed else message,
            held=None if wait.held is None else message,
        )

    def replace_by_listed(self, topic: ImageTopic, message: Message) -> None:
        """Take what the catalogue says in place of a broker's announcement, which stays to be acknowledged."""
        self._waits[topic] = dataclasses.replace(self._waits[topic], message=message, is_listed=True)

    def settle(self, topic: ImageTopic) -> None:
        """Let go of an image that is dealt with, and say so where something was in the way."""
        self.is_hindered = False
        wait = self._waits.pop(topic, None)
        if wait is None:
            return
        if wait.held is not None:
            self._release(wait.held)
        if wait.cause in self._said:
            self._said.discard(wait.cause)
            _log.warning("going on: what kept images from being saved is over")

    def _may_hold(self) -> bool:
        return sum(wait.held is not None for wait in self._waits.values()) < MOST_UNACKNOWLEDGED


def _cause(error: SealcastError) -> str:
    """Return what counts as one and the same fault: on this device whatever it is, elsewhere by its code."""
    return _HERE if isinstance(error, ConfigurationError) else error.code


def _is_common(error: SealcastError) -> bool:
    """Tell whether the next image would fail for the same reason."""
    if isinstance(error, RefusedError):
        return error.retry_after is not None
    return isinstance(error, ConfigurationError | SessionError)
