"""Strangers who guess passwords at the enrolment door; a program of its own, at the lowest priority.

Elsewhere they would not use the processor of those whom they attack. Each request is sealed beforehand, with a nonce of
its own, and is one that the registrar takes for a login. Prints ``ready``, begins when it reads a line, and prints at
the end how long that took and what the answers were.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import SecretStr

from common import certificates, console, keys, messages, topics
from common.connection import verified_context
from common.device import anonymous_client_id
from common.enveloping import Cipher, encrypt
from common.signing import verify_signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509
    from paho.mqtt.client import MQTTMessage

_LOWEST_PRIORITY = 19
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Orders:
    """Whom to attack, where and how: from so many connections at once, each closed after so many attempts."""

    port: int
    authorities: str  # a file, PEM
    registrar: str  # a file, PEM
    user: str  # with ``{}`` for the number of the attempt
    attempts: int
    clients: int
    attempts_of_a_connection: int


@dataclass(frozen=True, slots=True)
class Connection:
    """The attempts of one connection, sealed for its client id."""

    client_id: str
    requests: tuple[bytes, ...]


def main() -> None:
    """Attack as the JSON on the command line says."""
    os.nice(_LOWEST_PRIORITY)
    orders = Orders(**json.loads(sys.argv[1]))
    attacks = prepare(orders)
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.monotonic()
    with ThreadPoolExecutor(orders.clients) as pool:
        answers = sum(pool.map(lambda own: attack(own, orders), attacks), collections.Counter[str]())
    print(json.dumps({"seconds": time.monotonic() - begin, "answers": answers}), flush=True)


def prepare(orders: Orders) -> list[list[Connection]]:
    """Return what each client will send."""
    registrar = certificates.read_certificate(Path(orders.registrar).read_bytes())
    csr = certificates.make_csr(keys.generate(2048), "anyone")
    attacks: list[list[Connection]] = [[] for _ in range(orders.clients)]
    for number, first in enumerate(range(0, orders.attempts, orders.attempts_of_a_connection)):
        client_id = anonymous_client_id()
        attempts = range(first, min(first + orders.attempts_of_a_connection, orders.attempts))
        users = (orders.user.format(attempt) for attempt in attempts)
        requests = tuple(sealed_guess(client_id, user, csr, registrar) for user in users)
        attacks[number % orders.clients].append(Connection(client_id, requests))
    return attacks


def sealed_guess(client_id: str, user: str, csr: str, registrar: x509.Certificate) -> bytes:
    """Return a login with a password that is wrong, as a program seals it."""
    request = messages.EnrolRequest(
        topic=topics.enrolment(client_id),
        sent_at=console.now(),
        user=user,
        password=SecretStr("nine loud carts before dawn"),
        csr=csr,
    )
    return encrypt(request.to_json(), [registrar], Cipher.AES_256_GCM)


def attack(connections: list[Connection], orders: Orders) -> collections.Counter[str]:
    """Send one attempt after the other, each as soon as the broker has the last; return the codes of the answers."""
    answers = collections.Counter[str]()
    for connection in connections:
        topic, properties = topics.enrolment(connection.client_id), Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = topics.reply(connection.client_id, "enrol")
        with connected(connection.client_id, orders, answers) as client:
            for request in connection.requests:
                client.publish(topic, request, 1, properties=properties).wait_for_publish(_PATIENCE)
    return answers


@contextlib.contextmanager
def connected(client_id: str, orders: Orders, answers: collections.Counter[str]) -> Iterator[Client]:
    """Yield plain paho at the enrolment door, which counts the codes of what is answered."""
    client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set_context(verified_context(Path(orders.authorities).read_bytes()))

    def count(_client: Client, _data: object, message: MQTTMessage) -> None:
        reply = messages.read(messages.Reply, verify_signature(bytes(message.payload), with_image_header=False).content)
        answers[reply.error.code if reply.error else "done"] += 1

    client.on_message = count
    client.connect("localhost", orders.port)
    client.loop_start()
    client.subscribe(topics.all_replies(client_id), 1)
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


if __name__ == "__main__":
    main()
