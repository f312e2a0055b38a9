"""An MQTT broker in memory, and sessions on it: in place of the network, as exact as the flows need it.

``SimulatedSession`` does what common.session.Session does on the real broker; tests/unit/test_session.py holds both to
it. Everything happens in the thread that publishes, so when a call returns, its messages have arrived.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from paho.mqtt.client import topic_matches_sub

from common import topics
from common.arrivals import Arrivals, Connected, Message
from common.connection import Address, SessionOptions
from common.session import Session, failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


IN_FLIGHT = 20  # max_inflight_messages in broker/mosquitto.conf


@dataclass
class Client:
    """What the broker keeps of a client id: its subscriptions, what is not acknowledged, what is not sent yet."""

    filters: set[str] = field(default_factory=set)
    unacknowledged: dict[int, Message] = field(default_factory=dict)
    queued: deque[Message] = field(default_factory=deque)
    session: SimulatedSession | None = None
    packet_ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def deliver(self, message: Message) -> None:
        self.queued.append(message)
        self._send()

    def acknowledge(self, packet_id: int) -> None:
        self.unacknowledged.pop(packet_id, None)
        self._send()

    def _send(self) -> None:
        while self.queued and self.session is not None and len(self.unacknowledged) < IN_FLIGHT:
            packet_id = next(self.packet_ids)
            message = self.unacknowledged[packet_id] = self.queued.popleft()
            self.session.arrive(replace(message, packet_id=packet_id))

    def resume(self) -> None:
        """Send what is not acknowledged once more, and then what is new."""
        if self.session is not None:
            for packet_id, message in list(self.unacknowledged.items()):
                self.session.arrive(replace(message, packet_id=packet_id))
        self._send()


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

    def subscribe(self, client_id: str, topic_filter: str, *, retained: bool) -> None:
        with self.lock:
            client = self._clients[client_id]
            client.filters.add(topic_filter)
            if retained:
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
    """A session on a simulated broker; it hardly waits, as whoever could answer has mostly done so already."""

    def __init__(self, broker: Broker, client_id: str, options: SessionOptions) -> None:
        # Not that of Session, which prepares a client of paho.
        self.client_id = client_id
        self._address = Address("simulator", 8883)
        self.shown: tuple[bytes, bytes, bytes] | None = None
        self._broker = broker
        self._options = options
        self._arrivals = Arrivals(topics.all_replies(client_id).removesuffix("#"))
        self._wanted: dict[str, bool] = {}
        self._connection = 0

    def __enter__(self) -> Self:
        self._connect(clean=self._options.expiry == 0)
        return self

    def __exit__(self, *exception: object) -> None:
        self._broker.detach(self)
        # Whoever waits for something to arrive waits no longer.
        self._arrivals.put(Connected(again=False, resumed=False))

    def reconnect(self, *, forgotten: bool = False) -> None:
        """Lose the connection and get it back; ``forgotten`` where the broker has lost the session meanwhile."""
        self._broker.detach(self)
        self._connect(clean=forgotten or self._options.expiry == 0)

    def _connect(self, *, clean: bool) -> None:
        with self._broker.lock:
            resumed = self._broker.attach(self, clean=clean)
            self._connection += 1
            self._arrivals.put(Connected(again=self._connection > 1, resumed=resumed))
            self._kept.resume()
            for topic_filter, retained in self._wanted.items():
                self._broker.subscribe(self.client_id, topic_filter, retained=retained)

    def show_certificate(
        self, authorities: bytes, certificate: Path, key: Path, passphrase: bytes | None = None
    ) -> None:
        assert passphrase is None
        self.shown = certificate.read_bytes(), key.read_bytes(), authorities

    def beside(self, client_id: str, options: SessionOptions) -> SimulatedSession:
        return self._broker.session(client_id, options)

    def subscribe(self, *filters: str, retained: bool = True) -> None:
        for topic_filter in filters:
            self._wanted[topic_filter] = retained
            self._broker.subscribe(self.client_id, topic_filter, retained=retained)

    def unsubscribe(self, *filters: str) -> None:
        for topic_filter in filters:
            self._wanted.pop(topic_filter, None)
            self._kept.filters.discard(topic_filter)

    def follow(self, *topics_: str) -> None:
        self._arrivals.follow(topics_)
        self.subscribe(*topics_)

    def latest(self, topic: str) -> bytes:
        payload = self._arrivals.latest(topic, timeout=0)
        if payload is None:
            raise failures.no_registrar(self._address)
        return payload

    def newest(self, topic: str) -> bytes | None:
        return self._arrivals.latest(topic, timeout=0)

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
        expiry: int | None = None,  # noqa: ARG002 - time does not pass here
    ) -> Future[bool]:
        message = Message(topic, payload, retain, response_topic, correlation, user_properties or {})
        delivered: Future[bool] = Future()
        delivered.set_result(self._broker.publish(message) > 0)
        return delivered

    def request(
        self,
        topic: str,
        payload: bytes,
        *,
        operation: str,
        user_properties: Mapping[str, str] | None = None,
        expiry: int | None = None,  # noqa: ARG002 - time does not pass here
    ) -> Message:
        correlation = secrets.token_bytes(16)
        message = Message(
            topic,
            payload,
            response_topic=topics.reply(self.client_id, operation),
            correlation=correlation,
            user_properties=user_properties or {},
        )
        with self._arrivals.reply(correlation) as reply:
            if not self._broker.publish(message):
                raise failures.no_registrar(self._address)
            try:
                return reply.result(self._options.reply_timeout)
            except TimeoutError:
                raise failures.no_registrar(self._address) from None

    def receive(self, timeout: float | None = None) -> Message | Connected | None:
        return self._arrivals.next(timeout)

    def acknowledge(self, message: Message) -> None:
        with self._broker.lock:
            if message.connection == self._connection:
                self._kept.acknowledge(message.packet_id)

    def arrive(self, message: Message) -> None:
        """Take what the broker delivers."""
        message = replace(message, connection=self._connection)
        if self._arrivals.put(message) or not self._options.manual_acknowledgement:
            self.acknowledge(message)

    @property
    def unacknowledged(self) -> list[str]:
        """The topics of what the broker would send again, and of what it has not sent yet."""
        return [message.topic for message in (*self._kept.unacknowledged.values(), *self._kept.queued)]

    @property
    def _kept(self) -> Client:
        return self._broker.client(self.client_id)
