"""The MQTT 5 session as one context manager; this package is the only importer of paho.

Inside, paho's thread keeps the connection, comes back by itself after a loss and subscribes again; outside, a
program publishes, asks and receives in its own thread. Every failure is a SessionError or a RefusedError with a
hint (docs/protocol.md, "Connections").
"""

from __future__ import annotations

import logging
import secrets
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from paho.mqtt.subscribeoptions import SubscribeOptions

from common import topics
from common.arrivals import Arrivals, Connected, Message
from common.connection import SessionOptions, explain, show_certificate
from common.errors import SessionError
from common.outcomes import Outcomes, fail, fulfil
from common.session import failures
from common.session.packets import (
    cause,
    connect_properties,
    is_taken,
    leave,
    make_client,
    publish_properties,
    read_publish,
    refusal,
)
from common.session.patience import Patience

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from common.connection import Address

QOS = 1
KEEPALIVE_SECONDS = 60
_SEND_RETAINED, _SEND_NO_RETAINED = 0, 2  # MQTT 5, section 3.8.3.1: retain handling
_UNTAKEN_WAIT_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Session:
    """An MQTT 5 session; connects on entering, and disconnects on leaving.

    Raises SessionError on entering when no session comes about within the connect timeout.
    """

    def __init__(
        self, address: Address, client_id: str, context: ssl.SSLContext, options: SessionOptions | None = None
    ) -> None:
        self.client_id = client_id
        self._address = address
        self._context = context
        self._options = options or SessionOptions()
        self._arrivals = Arrivals(topics.all_replies(client_id).removesuffix("#"))
        self._subscriptions: dict[str, SubscribeOptions] = {}
        self._deliveries = Outcomes()
        self._grants = Outcomes()
        self._first_outcome: Future[Connected] = Future()
        self._connection = 0
        self._patience = Patience(address, self._options.longest_reconnect_wait, quiet=self._options.quiet)
        self._client = self._prepare()

    def _prepare(self) -> Client:
        client = make_client(self.client_id, self._context, self._options)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def __enter__(self) -> Self:
        try:
            self._client.connect(
                self._address.host,
                self._address.port,
                KEEPALIVE_SECONDS,
                clean_start=self._options.expiry == 0,
                properties=connect_properties(self._options),
            )
        except (OSError, ValueError) as error:  # ValueError: what cannot be a host name
            raise explain(error, self._address) from error
        self._client.loop_start()
        try:
            self._first_outcome.result(self._options.connect_timeout)
        except TimeoutError:
            self.__exit__()
            raise failures.silent(self._address) from None
        except SessionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        leave(self._client, self._options)
        try:
            self._client.loop_stop()
        except AttributeError as error:
            # paho's thread has ended by itself at this very moment, and is None where paho waits for it (paho 2.2.0,
            # client.py: line 4480 comes between lines 2363 and 2368).
            if (error.obj, error.name) != (None, "join"):
                raise
        # paho leaves a socket open that it was about to reconnect with.
        if (left := self._client.socket()) is not None:
            left.close()

    def show_certificate(
        self, authorities: bytes, certificate: Path, key: Path, passphrase: bytes | None = None
    ) -> None:
        """Show this client certificate from the next connection on; raises ConfigurationError, ``wrong_passphrase``."""
        show_certificate(self._context, authorities, certificate, key, passphrase)

    def beside(self, client_id: str, options: SessionOptions) -> Session:
        """Return one more session at the same door, not entered yet, which shows the same certificate."""
        return Session(self._address, client_id, self._context, options)

    def subscribe(self, *filters: str, retained: bool = True) -> None:
        """Subscribe, now and after every reconnection; returns once the broker has confirmed.

        What the broker retains comes with it, unless not ``retained``; the retain flag is as it was published.
        """
        handling = _SEND_RETAINED if retained else _SEND_NO_RETAINED
        new = dict.fromkeys(filters, SubscribeOptions(qos=QOS, retainAsPublished=True, retainHandling=handling))
        self._subscriptions |= new
        self._await(self._ask_for(new), self._options.connect_timeout, "the subscription")

    def unsubscribe(self, *filters: str) -> None:
        """Ask the broker for no more messages of these filters."""
        for name in filters:
            self._subscriptions.pop(name, None)
        self._client.unsubscribe(list(filters))

    def follow(self, *topics_: str) -> None:
        """Subscribe to topics of which only the newest message counts: see ``latest``."""
        self._arrivals.follow(topics_)
        self.subscribe(*topics_)

    def latest(self, topic: str) -> bytes:
        """Return the newest payload on a followed topic; raises SessionError if none comes in time."""
        payload = self._arrivals.latest(topic, self._options.connect_timeout)
        if payload is None:
            raise failures.no_registrar(self._address)
        return payload

    def newest(self, topic: str) -> bytes | None:
        """Return the newest payload on a followed topic, or None where none has come yet."""
        return self._arrivals.latest(topic, 0)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        content_type: str | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        user_properties: Mapping[str, str] | None = None,
        expiry: int | None = None,
    ) -> Future[bool]:
        """Publish at QoS 1; the future is done with the broker's acknowledgement, or fails with RefusedError.

        Its result is False where the broker says that nobody has subscribed to the topic.

        After ``expiry`` seconds the broker forgets the message.
        """
        properties = publish_properties(content_type, response_topic, correlation, user_properties, expiry)
        information = self._client.publish(topic, payload, QOS, retain, properties)
        return self._deliveries.of(information.mid)

    def request(
        self,
        topic: str,
        payload: bytes,
        *,
        operation: str,
        user_properties: Mapping[str, str] | None = None,
        expiry: int | None = None,
    ) -> Message:
        """Publish a request and return the reply to it (docs/protocol.md, "Requests and replies").

        Raises SessionError when the broker or the registrar stays silent, code ``reply_lost`` when the broker has
        forgotten this session, and RefusedError when the broker says no.
        """
        correlation = secrets.token_bytes(16)
        with self._arrivals.reply(correlation) as reply:
            self._deliver(
                lambda: self.publish(
                    topic,
                    payload,
                    content_type="application/cms",
                    response_topic=topics.reply(self.client_id, operation),
                    correlation=correlation,
                    user_properties=user_properties,
                    expiry=expiry,
                ),
                self._options.delivery_timeout(len(payload)),
            )
            self._arrivals.expect(correlation)
            try:
                return reply.result(self._options.reply_timeout)
            except TimeoutError:
                raise failures.no_registrar(self._address) from None

    def receive(self, timeout: float | None = None) -> Message | Connected | None:
        """Return what arrived next, or None when nothing did for ``timeout`` seconds."""
        return self._arrivals.next(timeout)

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that this message has been taken care of (only with manual acknowledgement).

        What came over an earlier connection comes again over this one, and its packet id may be another message's.
        """
        # What was sent at QoS 0 has no packet id, and acknowledging it would end the session.
        wants_it = self._options.manual_acknowledgement and message.packet_id
        if wants_it and message.connection == self._connection:
            self._client.ack(message.packet_id, QOS)

    def _deliver(self, publish: Callable[[], Future[bool]], timeout: float) -> None:
        """Publish a request until somebody takes it: a registrar may be about to subscribe once more."""
        deadline = time.monotonic() + self._options.reply_timeout
        while not self._await(publish(), timeout, "what was sent"):
            if time.monotonic() > deadline:
                raise failures.no_registrar(self._address)
            time.sleep(_UNTAKEN_WAIT_SECONDS)

    def _await(self, outcome: Future[bool], timeout: float, what: str) -> bool:
        try:
            return outcome.result(timeout)
        except TimeoutError:
            raise failures.unacknowledged(self._address, what) from None

    def _ask_for(self, subscriptions: Mapping[str, SubscribeOptions]) -> Future[bool]:
        _, packet_id = self._client.subscribe(list(subscriptions.items()))
        return self._grants.of(packet_id or 0)

    def _on_connect(
        self, _client: Client, _data: object, flags: ConnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            fail(self._first_outcome, failures.refused(self._address, str(reason).lower()))
            return
        self._connection += 1
        connected = Connected(again=self._first_outcome.done(), resumed=flags.session_present)
        self._patience.end(resumed=connected.resumed)
        if connected.again and self._subscriptions:
            self._ask_for(self._subscriptions)
        if connected.again and not connected.resumed:
            self._arrivals.lose_replies(f"the broker at {self._address} has forgotten the session")
        fulfil(self._first_outcome, connected)
        self._arrivals.put(connected)

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        # With TLS 1.3 a refused client certificate shows only now, as a connection that ends before its CONNACK.
        is_first = fail(self._first_outcome, failures.closed(self._address))
        if not is_first and reason.is_failure:
            self._wait(self._patience.wait_after_loss(cause(reason)))

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        self._wait(self._patience.wait_after_failure())

    def _wait(self, seconds: float) -> None:
        self._client.reconnect_delay_set(seconds, seconds)  # type: ignore[arg-type]  # fractions do as well

    def _on_subscribe(
        self, _client: Client, _data: object, packet_id: int, reasons: Iterable[ReasonCode], _properties: object
    ) -> None:
        refused = next((reason for reason in reasons if reason.is_failure), None)
        self._grants.conclude(packet_id, refusal(refused))

    def _on_publish(
        self, _client: Client, _data: object, packet_id: int, reason: ReasonCode, _properties: object
    ) -> None:
        # paho calls a refused publish delivered: only the reason code tells (measured).
        self._deliveries.conclude(packet_id, refusal(reason if reason.is_failure else None), taken=is_taken(reason))

    def _on_message(self, _client: Client, _data: object, received: MQTTMessage) -> None:
        message = read_publish(received, self._connection)
        if message is None:
            # An exception here would end paho's thread. Only a broker that means harm sends such a topic.
            _log.warning("dropped a message whose topic is not UTF-8")
        elif self._arrivals.put(message):
            self.acknowledge(message)
