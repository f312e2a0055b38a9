"""Announced images that could not be saved yet: tried again and again, in memory and within bounds.

The announcements of the first stay unacknowledged, so that a crash loses none. The broker sends only so much that is
not acknowledged, so those behind are, or nothing else would come any more: the catalogue brings them again.
"""

from __future__ import annotations

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
    message: Message
    cause: str
    is_held: bool


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

    @property
    def is_full(self) -> bool:
        """Tell whether one more would be let go."""
        return len(self._waits) >= MOST

    def in_turn(self, first: uuid.UUID | None) -> list[tuple[ImageTopic, Message]]:
        """Return what waits, longest first, but ``first`` before all."""
        waits = [(topic, wait.message) for topic, wait in self._waits.items()]
        return sorted(waits, key=lambda wait: wait[0].image_id != first)

    def add(self, topic: ImageTopic, message: Message, error: SealcastError) -> None:
        """Put an image at the end, and say what is in the way when that begins."""
        self.is_hindered = _is_common(error)
        earlier = self._waits.pop(topic, None)
        if earlier is None and self.is_full:
            self._release(message)
            return
        is_held = earlier.is_held if earlier else self._may_hold(message)
        if not is_held:
            self._release(message)
        cause = _cause(error)
        self._waits[topic] = _Wait(message, cause, is_held)
        if cause not in self._said:
            self._said.add(cause)
            count = "1 image waits" if len(self) == 1 else f"{len(self)} images wait"
            way = "going on when that is mended" if cause == _HERE else "will try again"
            _log.warning("%s; %s, %s", error.message, count, way)

    def replace(self, topic: ImageTopic, message: Message) -> None:
        """Take an announcement that has come again in place of the one at hand."""
        wait = self._waits[topic]
        self._release(wait.message if wait.is_held else message)
        self._waits[topic] = _Wait(message, wait.cause, wait.is_held)

    def settle(self, topic: ImageTopic) -> None:
        """Let go of an image that is dealt with, and say so where something was in the way."""
        self.is_hindered = False
        wait = self._waits.pop(topic, None)
        if wait is not None and wait.cause in self._said:
            self._said.discard(wait.cause)
            _log.warning("going on: what kept images from being saved is over")

    def _may_hold(self, message: Message) -> bool:
        # What the catalogue brought is no message of the broker's.
        return bool(message.packet_id) and sum(wait.is_held for wait in self._waits.values()) < MOST_UNACKNOWLEDGED


def _cause(error: SealcastError) -> str:
    """Return what counts as one and the same fault: on this device whatever it is, elsewhere by its code."""
    return _HERE if isinstance(error, ConfigurationError) else error.code


def _is_common(error: SealcastError) -> bool:
    """Tell whether the next image would fail for the same reason."""
    if isinstance(error, RefusedError):
        return error.retry_after is not None
    return isinstance(error, ConfigurationError | SessionError)
