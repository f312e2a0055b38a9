"""A hostile broker: the real Mosquitto with the broker's own key, through which every message passes an attacker."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from system import System, wait_until

from common import topics
from common.arrivals import Message
from common.connection import Address, SessionOptions, verified_context
from common.session import Session
from registrar import authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from registrar.broker import Doors

IMAGES, ANNOUNCEMENTS, REPLIES = (f"{topics.PREFIX}/{head}/" for head in ("images", "announcements", "replies"))
RETAINED = (topics.TRUST_CA, topics.TRUST_REGISTRAR, topics.TRUST_CRL)
OPTIONS = SessionOptions(connect_timeout=60)


class HostileBroker:
    """A broker of the attacker's, and what it does to a message that it carries from the honest one."""

    def __init__(self, system: System, doors: Doors) -> None:
        self.doors = doors
        self.seen: list[Message] = []
        self.asked: list[Message] = []
        self.change: Callable[[Message], list[Message]] = lambda message: [message]
        root, certificate, key = (
            system.home / name for name in (authority.ROOT, authority.REGISTRAR, authority.REGISTRAR_KEY)
        )
        self._honest, self._own = (
            Session(
                Address("localhost", port),
                f"{secrets.token_hex(16)}-attacker",
                verified_context(root.read_bytes(), certificate, key),
                OPTIONS,
            )
            for port in (system.port, doors.port)
        )
        self._ended = threading.Event()

    @contextlib.contextmanager
    def carrying(self) -> Iterator[HostileBroker]:
        carriers = [threading.Thread(target=work) for work in (self._carry_to_readers, self._carry_requests)]
        with self._honest, self._own:
            self._own.subscribe(f"{topics.PREFIX}/requests/#")
            self._honest.subscribe(*(f"{topics.PREFIX}/{head}/#" for head in ("trust", "members")))
            self._honest.subscribe(f"{IMAGES}#", f"{ANNOUNCEMENTS}#", f"{REPLIES}#")
            for carrier in carriers:
                carrier.start()
            try:
                # What is carried later would take the place of what a test says instead.
                wait_until(lambda: all(map(self.on, RETAINED)), "what is retained about trust")
                yield self
            finally:
                self._ended.set()
                for carrier in carriers:
                    carrier.join()

    def _carry_to_readers(self) -> None:
        while not self._ended.is_set():
            arrived = self._honest.receive(timeout=0.2)
            if isinstance(arrived, Message):
                for message in self.change(arrived):
                    self.say(message)
                self.seen.append(arrived)

    def _carry_requests(self) -> None:
        while not self._ended.is_set():
            arrived = self._own.receive(timeout=0.2)
            if isinstance(arrived, Message):
                self.asked.append(arrived)
                _publish(self._honest, arrived)

    def say(self, message: Message) -> None:
        """Tell the readers something, as the registrar or anybody else."""
        _publish(self._own, message)

    def on(self, topic: str) -> list[Message]:
        return [message for message in self.seen if message.topic == topic]

    def has_carried_a_listing(self) -> bool:
        return any(topics.parse_reply(message.topic) and message.topic.endswith("/list") for message in self.seen)

    def sent(self, image_id: str) -> list[Message]:
        """Return an image and its announcement, as they were sent."""
        wait_until(lambda: len(self._sent(image_id)) == 2, "image and announcement")
        return sorted(self._sent(image_id), key=lambda message: message.topic.startswith(ANNOUNCEMENTS))

    def _sent(self, image_id: str) -> list[Message]:
        return [
            message
            for message in self.seen
            if message.topic.endswith(image_id) and message.topic.startswith((IMAGES, ANNOUNCEMENTS))
        ]

    @property
    def port(self) -> tuple[str, str]:
        return ("--port", str(self.doors.port))


def _publish(session: Session, message: Message) -> None:
    session.publish(
        message.topic,
        message.payload,
        retain=message.retained,
        response_topic=message.response_topic,
        correlation=message.correlation,
        user_properties=message.user_properties,
    )


def reword(message: Message, **members: Any) -> Message:  # noqa: ANN401 - any member of the announcement
    return replace(message, payload=json.dumps(json.loads(message.payload) | members).encode())


def flip(message: Message) -> Message:
    middle = len(message.payload) // 2
    return replace(
        message,
        payload=message.payload[:middle] + bytes([message.payload[middle] ^ 1]) + message.payload[middle + 1 :],
    )


def carry_honestly(hostile: HostileBroker) -> None:
    hostile.change = lambda message: [message]
