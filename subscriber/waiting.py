"""Sealed images that have arrived and wait for their announcement, in memory and within bounds.

They stay unacknowledged, so a crash loses none. What falls out of the bounds is acknowledged all the same: it would
otherwise keep the broker from sending the announcement itself, and it can be fetched from the registrar's archive.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.arrivals import Message
    from common.topics import ImageTopic


class WaitingImages:
    """At most ``most`` images and ``most_bytes`` bytes; ``release`` is called for what falls out."""

    def __init__(self, most: int, most_bytes: int, release: Callable[[Message], None]) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._release = release
        self._messages: OrderedDict[ImageTopic, Message] = OrderedDict()

    def add(self, topic: ImageTopic, message: Message) -> None:
        """Keep an image; the oldest fall out where there are too many."""
        self.drop(topic)
        self._messages[topic] = message
        while self._messages and (len(self._messages) > self._most or self._bytes() > self._most_bytes):
            _, oldest = self._messages.popitem(last=False)
            self._release(oldest)

    def get(self, topic: ImageTopic) -> Message | None:
        """Return the image if it is here; it stays."""
        return self._messages.get(topic)

    def drop(self, topic: ImageTopic) -> None:
        """Let go of an image that has been dealt with, or has come again."""
        message = self._messages.pop(topic, None)
        if message is not None:
            self._release(message)

    def _bytes(self) -> int:
        return sum(len(message.payload) for message in self._messages.values())
