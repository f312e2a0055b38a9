"""An MQTT broker in memory, and sessions on it: in place of the network, as exact as the flows need it.

``SimulatedSession`` does what common.session.Session does on the real broker; tests/unit/test_session.py holds both to
it. Everything happens in the thread that publishes, so when a call returns, its messages have arrived.
"""

from __future__ import annotations

import itertools
import queue
import secrets
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from paho.mqtt.client import topic_matches_sub

from common import topics
from common.arrivals import Connected, Message
from common.connection import SessionOptions
from common.errors import SessionError
from common.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


@dataclass
class Client:
    """What the broker keeps of a client id: its subscriptions, and what it has not acknowledged."""

    filters: set[str] = field(default_factory=set)
    unacknowledged: dict[int, Message] = field(default_factory=dict)
    session: SimulatedSession | None = None
    packet_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def deliver(self, message: Message) -> None:
        packet_id = next(self.packet_ids)
        self.unacknowledged[packet_id] = message
        if self.session is not None:
            self.session.arrive(replace(message, packet_id=packet_id))


class Broker:
    """Retains, fans out, and keeps what a client has not acknowledged.

    ``carry`` is what a hostile broker does to a message on its way to a client id: it returns none, others, or several.
    """

    def __init__(self) -> None:
        self.retained: dict[str, Message] = {}
        self.carry: Callable[[str, Message], Iterable[Message]] = lambda _client_id, message: [message]
        self.lock = threading.RLock()
        self._clients: dict[str, Client] = {}

    def session(self, client_id: str, options: SessionOptions | None = None) -> SimulatedSession:
        return SimulatedSession(self, client_id, options or SessionOptions())

    def publish(self, message: Message) -> int:
        """Carry a message and return how many arrive; whether it is to be retained says its own flag."""
        with self.lock:
            if message.retained:
                self.retained[message.topic] = message
                if not message.payload:
                    del self.retained[message.topic]
            return sum(
                self._deliver(client_id, message)
                for client_id, client in self._clients.items()
                if any(topic_matches_sub(one, message.topic) for one in client.filters)
            )

    def tell(self, client_id: str, message: Message) -> None:
        """Bring a message to one client alone, wherever it is from."""
        with self.lock:
            self._clients[client_id].deliver(message)

    def subscribe(self, client_id: str, topic_filter: str, *, retained_once: bool) -> None:
        with self.lock:
            client = self._clients[client_id]
            is_new = topic_filter not in client.filters
            client.filters.add(topic_filter)
            if is_new or not retained_once:
                for topic, message in self.retained.items():
                    if topic_matches_sub(topic_filter, topic):
                        self._deliver(client_id, message)

    def _deliver(self, client_id: str, message: Message) -> int:
        carried = list(self.carry(client_id, message))
        for one in carried:
            self._clients[client_id].deliver(one)
        return len(carried)

    def attach(self, session: SimulatedSession, *, clean: bool) -> bool:
        """Connect a session, and return whether the broker knew it; ``clean`` forgets what there was."""
        with self.lock:
            resumed = session.client_id in self._clients and not clean
            if not resumed:
                self._clients[session.client_id] = Client()
            self._clients[session.client_id].session = session
            return resumed

    def detach(self, session: SimulatedSession) -> None:
        with self.lock:
            client = self._clients[session.client_id]
            if client.session is session:
                client.session = None

    def client(self, client_id: str) -> Client:
        return self._clients[client_id]


class SimulatedSession(Session):
    """A session on a simulated broker; it waits for nobody, as whoever could answer has done so already."""

    def __init__(self, broker: Broker, client_id: str, options: SessionOptions) -> None:
        # Not that of Session, which prepares a client of paho.
        self.client_id = client_id
        self._broker = broker
        self._options = options
        self._queue: queue.SimpleQueue[Message | Connected | None] = queue.SimpleQueue()
        self._wanted: dict[str, bool] = {}
        self._latest: dict[str, bytes | None] = {}
        self._asked: dict[bytes, Future[Message]] = {}
        self._number = 0
        self.shown: tuple[bytes, bytes] | None = None

    def __enter__(self) -> Self:
        self._connect(clean=self._options.expiry == 0)
        return self

    def __exit__(self, *exception: object) -> None:
        self._broker.detach(self)
        self._queue.put(None)

    def reconnect(self, *, forgotten: bool = False) -> None:
        """Lose the connection and get it back; ``forgotten`` where the broker has lost the session meanwhile."""
        self._broker.detach(self)
        self._connect(clean=forgotten or self._options.expiry == 0)

    def _connect(self, *, clean: bool) -> None:
        with self._broker.lock:
            resumed = self._broker.attach(self, clean=clean)
            self._number += 1
            self._queue.put(Connected(again=self._number > 1, resumed=resumed))
            for packet_id, message in list(self._client_memory.unacknowledged.items()):
                self.arrive(replace(message, packet_id=packet_id))
            for topic_filter, retained_once in self._wanted.items():
                self._broker.subscribe(self.client_id, topic_filter, retained_once=retained_once)

    def show_certificate(self, certificate: Path, key: Path) -> None:
        self.shown = certificate.read_bytes(), key.read_bytes()

    def subscribe(self, *filters: str, retained_once: bool = False) -> None:
        for topic_filter in filters:
            self._wanted[topic_filter] = retained_once
            self._broker.subscribe(self.client_id, topic_filter, retained_once=retained_once)

    def unsubscribe(self, *filters: str) -> None:
        for topic_filter in filters:
            self._wanted.pop(topic_filter, None)
            self._client_memory.filters.discard(topic_filter)

    def follow(self, *topics_: str) -> None:
        self._latest |= dict.fromkeys(topics_)
        self.subscribe(*topics_)

    def latest(self, topic: str) -> bytes:
        payload = self._latest[topic]
        if payload is None:
            raise _no_registrar()
        return payload

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        content_type: str | None = None,  # noqa: ARG002 - nobody here looks at it
        response_topic: str | None = None,
        correlation: bytes | None = None,
        user_properties: Mapping[str, str] | None = None,
    ) -> Future[None]:
        self._broker.publish(Message(topic, payload, retain, response_topic, correlation, user_properties or {}))
        delivered: Future[None] = Future()
        delivered.set_result(None)
        return delivered

    def request(
        self,
        topic: str,
        payload: bytes,
        *,
        operation: str,
        content_type: str = "application/cms",  # noqa: ARG002 - nobody here looks at it
        user_properties: Mapping[str, str] | None = None,
    ) -> Message:
        correlation = secrets.token_bytes(16)
        response_topic = topics.reply(self.client_id, operation)
        reply = self._asked[correlation] = Future()
        message = Message(topic, payload, False, response_topic, correlation, user_properties or {})  # noqa: FBT003 - a dataclass' member
        try:
            if not self._broker.publish(message):
                raise _no_registrar()
            return reply.result(self._options.reply_timeout)
        except TimeoutError:
            raise _no_registrar() from None
        finally:
            del self._asked[correlation]

    def receive(self, timeout: float | None = None) -> Message | Connected | None:
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def acknowledge(self, message: Message) -> None:
        if message.connection == self._number:
            self._client_memory.unacknowledged.pop(message.packet_id, None)

    def arrive(self, message: Message) -> None:
        """Take what the broker delivers: to whoever asked, to whoever follows, or to the queue."""
        message = replace(message, connection=self._number)
        is_reply = message.topic.startswith(topics.all_replies(self.client_id).removesuffix("#"))
        if message.topic in self._latest:
            self._latest[message.topic] = message.payload
        elif is_reply:
            asked = self._asked.get(message.correlation or b"")
            if asked is not None and not asked.done():
                asked.set_result(message)
        else:
            self._queue.put(message)
            if self._options.manual_acknowledgement:
                return
        self.acknowledge(message)

    @property
    def unacknowledged(self) -> list[str]:
        """The topics of what the broker would send again."""
        return [message.topic for message in self._client_memory.unacknowledged.values()]

    @property
    def _client_memory(self) -> Client:
        return self._broker.client(self.client_id)


def _no_registrar() -> SessionError:
    return SessionError("the broker answers, but no registrar behind it", code="no_registrar")
