"""What goes into MQTT 5 packets and what comes of them, in paho's terms."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import paho.mqtt.properties
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from common.arrivals import Message
from common.errors import RefusedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from paho.mqtt.client import MQTTMessage, SocketLike

    from common.connection import SessionOptions

_LONGEST_EXPIRY = 2**32 - 1  # seconds; MQTT 5, section 3.3.2.3.3
_NO_MATCHING_SUBSCRIBERS = 0x10  # MQTT 5, section 3.4.2.1
_DISCONNECT_WITH_WILL = 0x04  # MQTT 5, section 3.14.2.1
_UNSPECIFIED = 0x80  # MQTT 5, section 2.4; what paho says of every connection that ends without a DISCONNECT


def make_client(client_id: str, context: ssl.SSLContext, options: SessionOptions) -> Client:
    """Return paho's client for a session; it is not connected, and nobody is called back yet."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=options.manual_acknowledgement,
    )
    client.tls_set_context(context)
    client.connect_timeout = options.connect_timeout
    client.max_queued_messages_set(0)
    client.on_socket_open = _send_at_once
    if (will := options.will) is not None:
        properties = _properties(PacketTypes.WILLMESSAGE)
        properties.MessageExpiryInterval = will.expiry
        client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)
    return client


def connect_properties(options: SessionOptions) -> Properties:
    """Return the properties of a CONNECT."""
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = options.expiry
    if options.receive_maximum is not None:
        properties.ReceiveMaximum = options.receive_maximum
    if options.maximum_packet_size is not None:
        properties.MaximumPacketSize = options.maximum_packet_size
    return properties


def leave(client: Client, options: SessionOptions) -> None:
    """Send a DISCONNECT: whether the broker may forget the session, and that it carries out the will, if any."""
    properties = None
    if options.forgotten_on_leaving:
        properties = _properties(PacketTypes.DISCONNECT)
        properties.SessionExpiryInterval = 0
    reason = None if options.will is None else ReasonCode(PacketTypes.DISCONNECT, identifier=_DISCONNECT_WITH_WILL)
    client.disconnect(reason, properties)


def publish_properties(
    content_type: str | None,
    response_topic: str | None,
    correlation: bytes | None,
    user_properties: Mapping[str, str] | None,
    expiry: int | None,
) -> Properties:
    """Return the properties of a PUBLISH, without those that are None or empty; ``expiry`` is in seconds."""
    properties = _properties(PacketTypes.PUBLISH)
    if content_type:
        properties.ContentType = content_type
    if response_topic:
        properties.ResponseTopic = response_topic
    if correlation:
        properties.CorrelationData = correlation
    if expiry is not None:
        properties.MessageExpiryInterval = min(expiry, _LONGEST_EXPIRY)
    if user_properties:
        properties.UserProperty = list(user_properties.items())
    return properties


def read_publish(received: MQTTMessage, connection: int) -> Message | None:
    """Return what a PUBLISH on this connection brings, or None where its topic is not UTF-8."""
    properties = received.properties
    try:
        topic = received.topic
    except UnicodeDecodeError:
        return None
    return Message(
        topic=topic,
        payload=bytes(received.payload),
        retained=bool(received.retain),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        user_properties=dict(getattr(properties, "UserProperty", ())),
        packet_id=received.mid,
        connection=connection,
        expiry=getattr(properties, "MessageExpiryInterval", None),
    )


def _send_at_once(_client: Client, _data: object, opened: SocketLike) -> None:
    # Small packets wait 40 ms for each other otherwise (measured: Nagle's algorithm against delayed acknowledgements).
    if isinstance(opened, socket.socket):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def cause(reason: ReasonCode) -> str:
    """Return in words why a connection has ended."""
    return "the connection was cut" if reason.value == _UNSPECIFIED else str(reason).lower()


def is_taken(reason: ReasonCode) -> bool:
    """Tell whether a PUBACK leaves it open that somebody is subscribed; a broker need not say that nobody is."""
    return bool(reason.value != _NO_MATCHING_SUBSCRIBERS)


def refusal(reason: ReasonCode | None) -> RefusedError | None:
    """Return what a failing reason code means to a person, None for None."""
    if reason is None:
        return None
    return RefusedError(
        f"the broker refused: {str(reason).lower()}",
        hint="see the broker's log: the topic may be somebody else's, or the message larger than the broker takes",
        code="refused_by_broker",
    )


def _read_utf8(buffer: bytes, longest: int) -> tuple[str, int]:
    """Return a UTF-8 string of a property and its length with its prefix (MQTT 5, section 1.5.4).

    In place of paho's, which ends the connection over U+FEFF: a broker need not refuse it, so the message comes again
    with every connection, and whoever may publish could lock a session out for good (measured).
    """
    length = int.from_bytes(buffer[:2])
    if length + 2 > min(longest, len(buffer)):
        raise MalformedPacket("a string is longer than its packet")
    return bytes(buffer[2 : 2 + length]).decode(errors="replace"), length + 2


paho.mqtt.properties.readUTF = _read_utf8


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho has no types there
