"""The real Mosquitto with the real configuration, for tests of sessions; it can be killed and started again."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import socket
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from system import PATIENCE, free_ports, wait_until

from common import certificates, keys, topics
from common.arrivals import Connected, Message
from common.connection import Address, SessionOptions, verified_context
from common.session import Session
from common.settings import Settings
from registrar import authority
from registrar.broker import Doors, run_broker
from registrar.making import create

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = dt.datetime.now(dt.UTC)
PATIENT = SessionOptions(connect_timeout=PATIENCE)
QUICK = replace(PATIENT, connect_timeout=3, reply_timeout=1, longest_reconnect_wait=1)
LASTING = replace(PATIENT, expiry=600, manual_acknowledgement=True, longest_reconnect_wait=1)
ONE, OTHER = "a" * 32 + "-one", "b" * 32 + "-other"
HERE = f"{topics.PREFIX}/announcements/alice/public"
REQUEST = topics.request("members", "alice", ONE)


@dataclass
class RealBroker:
    """The real Mosquitto with the real configuration, which can be killed and started again on the same port."""

    home: Path
    doors: Doors
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, home: Path) -> RealBroker:
        create(home, hosts=[], settings=Settings(), now=NOW)
        return cls(home, Doors("127.0.0.1", *free_ports(2)))

    @contextlib.contextmanager
    def running(self) -> Iterator[RealBroker]:
        with run_broker(self.home, self.doors):
            pass  # now it has its configuration
        self.start()
        try:
            yield self
        finally:
            self.end()

    def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert program
        with (self.home / "broker" / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "-c", "config/mosquitto.conf"], cwd=self.home / "broker", stdout=log, stderr=log
            )
        wait_until(self.is_open, "an open door")

    def is_open(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.doors.port), timeout=1):
            return True
        return False

    def end(self, *, by_force: bool = True) -> None:
        if self.process is not None:
            (self.process.kill if by_force else self.process.terminate)()
            self.process.wait(PATIENCE)

    def credentials(self, user: str) -> tuple[Path, Path]:
        """Return certificate and key: the registrar's, who may write and read everything, or a member's."""
        if user == "registrar":
            return self.home / authority.REGISTRAR, self.home / authority.REGISTRAR_KEY
        certificate, key = self.home / f"{user}.pem", self.home / f"{user}.key"
        if not key.exists():
            signing = authority.Authority.load(self.home, Settings())
            made = keys.generate(2048)
            key.write_bytes(keys.to_pem(made))
            certificate.write_bytes(certificates.to_pem(signing.sign_member(made.public_key(), user, NOW)))
        return certificate, key

    def connect(self, client_id: str, options: SessionOptions | None = None, *, user: str = "registrar") -> Session:
        context = verified_context((self.home / authority.ROOT).read_bytes(), *self.credentials(user))
        return Session(Address("localhost", self.doors.port), client_id, context, options or PATIENT)


def until(session: Session, word: str) -> list[Message]:
    """Return what has arrived until now: what comes before a message that the session sends to itself."""
    mark = f"{topics.PREFIX}/marks/{word}"
    session.subscribe(mark)
    session.publish(mark, word.encode())
    found: list[Message] = []
    while (arrived := session.receive(timeout=PATIENCE)) is not None:
        if isinstance(arrived, Message):
            if arrived.topic == mark:
                session.acknowledge(arrived)
                return found
            found.append(arrived)
    raise AssertionError(f"{word} did not arrive")


def next_message(session: Session) -> Message:
    while not isinstance(arrived := session.receive(timeout=PATIENCE), Message):
        assert arrived is not None, "nothing arrives"
    return arrived


def payloads(session: Session, word: str = "now") -> list[bytes]:
    return [message.payload for message in until(session, word)]


def answer(session: Session, count: int = 1) -> None:
    for _ in range(count):
        request = session.receive(timeout=PATIENCE)
        while isinstance(request, Connected):
            request = session.receive(timeout=PATIENCE)
        assert isinstance(request, Message)
        assert request.response_topic is not None
        # What is no answer to it comes first.
        session.publish(request.response_topic, b"no correlation")
        session.publish(request.response_topic, b"somebody else's", correlation=b"0" * 16)
        words = request.payload + request.user_properties.get("name", "").encode()
        session.publish(request.response_topic, words.upper(), correlation=request.correlation)
