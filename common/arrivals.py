"""What arrives on a session: messages, and word that the connection stands; and where it goes."""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.errors import SessionError
from common.outcomes import fail, fulfil

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MOST_UNASKED = 20  # messages at QoS 0 that wait: as many as a broker sends at QoS 1 before one is acknowledged
REPLY_LOST_CODE = "reply_lost"  # the code of a session that was lost together with the reply to a request


@dataclass(frozen=True, slots=True)
class Message:
    """An arrived PUBLISH; ``connection`` counts the connections of its session, since each has packet ids anew.

    ``expiry`` is how many seconds the broker would keep it still, if it does not keep it for ever.
    """

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    user_properties: Mapping[str, str] = field(default_factory=dict)
    packet_id: int = 0
    connection: int = 0
    expiry: int | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection stands; ``again`` after it had been lost, ``resumed`` where the broker kept the session."""

    again: bool
    resumed: bool


class Arrivals:
    """Gives a reply to who waits for it, keeps the newest message of a followed topic, and queues the rest.

    ``replies`` is where the topics of replies begin. Filled by one thread, emptied by others.
    """

    def __init__(self, replies: str) -> None:
        self._replies_begin = replies
        self._queue: queue.SimpleQueue[Message | Connected] = queue.SimpleQueue()
        self._replies: dict[bytes, Future[Message]] = {}
        self._expected: set[bytes] = set()
        self._followed: dict[str, bytes | None] = {}
        self._news = threading.Condition()

    def put(self, arrived: Message | Connected) -> bool:
        """Take what has arrived; return whether it is dealt with, so that nobody else will acknowledge it."""
        if isinstance(arrived, Message) and arrived.topic in self._followed:
            with self._news:
                self._followed[arrived.topic] = arrived.payload
                self._news.notify_all()
            return True
        if isinstance(arrived, Message) and arrived.topic.startswith(self._replies_begin):
            waiting = self._replies.get(arrived.correlation or b"")
            if waiting is not None:
                fulfil(waiting, arrived)
            return True
        # Nothing but this holds back what is sent at QoS 0: it would fill the memory.
        if isinstance(arrived, Message) and not arrived.packet_id and self._queue.qsize() >= _MOST_UNASKED:
            return True
        self._queue.put(arrived)
        return False

    def next(self, timeout: float | None) -> Message | Connected | None:
        """Return what is queued next, or None when nothing comes for ``timeout`` seconds."""
        with contextlib.suppress(queue.Empty):
            return self._queue.get(timeout=timeout)
        return None

    def follow(self, topics: Iterable[str]) -> None:
        """Keep of these topics the newest message only."""
        self._followed |= dict.fromkeys(topics)

    def latest(self, topic: str, timeout: float) -> bytes | None:
        """Return the newest payload of a followed topic, or None when none comes for ``timeout`` seconds."""
        with self._news:
            self._news.wait_for(lambda: self._followed[topic] is not None, timeout)
            return self._followed[topic]

    @contextlib.contextmanager
    def reply(self, correlation: bytes) -> Iterator[Future[Message]]:
        """Yield the future of the reply with this correlation data; later ones are dropped."""
        expected = self._replies[correlation] = Future()
        try:
            yield expected
        finally:
            del self._replies[correlation]
            self._expected.discard(correlation)

    def expect(self, correlation: bytes) -> None:
        """Note that the request is delivered, so that a session that is lost from now on takes the reply with it."""
        self._expected.add(correlation)

    def lose_replies(self, message: str) -> None:
        """Tell those whose request was delivered that no reply will come: they can ask again at once."""
        for correlation in list(self._expected):
            waiting = self._replies.get(correlation)
            if waiting is not None:
                fail(waiting, SessionError(message, hint="try again", code=REPLY_LOST_CODE))
