"""Members of a simulated world: who posts, and who receives."""

from __future__ import annotations

import functools
import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pictures

from common import messages, topics
from common.arrivals import Message
from common.certificates import fingerprint
from common.connection import SessionOptions
from common.console import Printer
from common.enveloping import Cipher
from common.identity import Identity
from common.images import inspect
from common.registrar_client import RegistrarClient
from common.sealing import seal
from common.topics import ImageTopic
from publisher.post import Picture, Posted, Wishes, find_recipients, post
from subscriber.__main__ import subscribe
from subscriber.inbox import Inbox
from subscriber.ledger import LEDGER, Ledger
from subscriber.receive import Receiver

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography import x509
    from flows.simulator import SimulatedSession
    from flows.world import World

    from common.errors import SealcastError

READING = SessionOptions(expiry=3600, manual_acknowledgement=True)


@functools.cache
def picture() -> Picture:
    content = pictures.plain("image/png")
    return Picture("boats.png", content, inspect(content, maximum_pixels=10_000), ())


@dataclass
class Owner:
    """A member who posts."""

    world: World
    identity: Identity
    session: SimulatedSession
    registrar: RegistrarClient

    def post(self, *, to: Sequence[str] = (), channel: str = "public", caption: str | None = None) -> Posted:
        wishes = Wishes(tuple(to), channel, caption, keep_metadata=True, cipher=Cipher.AES_256_GCM)
        recipients = find_recipients(wishes, self.registrar)
        return post(picture(), wishes, recipients, self.identity, self.registrar, now=self.world.clock())

    def seal(self, recipients: Sequence[x509.Certificate], /, **changes: Any) -> tuple[ImageTopic, bytes]:  # noqa: ANN401 - any member of the header
        """Return a sealed image whose header says whatever a test wants, and the topic that is meant for it."""
        topic = ImageTopic(self.identity.user, "public", topics.new_image_id(self.world.clock()))
        content, facts = picture().content, picture().facts
        members: dict[str, Any] = {
            "image_id": topic.image_id,
            "owner": topic.owner,
            "audience": "members",
            "recipients": tuple(sorted(map(fingerprint, recipients))),
            "topic": topic.image,
            "name": "forged.png",
            "media_type": facts.media_type,
            "width": facts.width,
            "height": facts.height,
            "size": len(content),
            "sha256": sha256(content).hexdigest(),
            "sent_at": self.world.clock(),
        }
        header = messages.ImageHeader(**members | changes)
        key, certificate = self.identity.key, self.identity.certificate
        cipher = Cipher.AES_256_GCM
        return topic, seal(content, header, key=key, certificate=certificate, recipients=recipients, cipher=cipher)


class Recorder(Printer):
    """Keeps the events instead of printing them."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.events: list[dict[str, Any]] = []

    def event(self, line: str | None, **members: object) -> None:
        assert line
        self.events.append(members)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


class FaultyClient(RegistrarClient):
    """Asks the real registrar, unless a fault is due first."""

    faults: list[SealcastError]

    def fetch(self, image_id: uuid.UUID, maximum_size: int) -> tuple[bytes, messages.FetchResult]:
        if self.faults:
            raise self.faults.pop(0)
        return super().fetch(image_id, maximum_size)


class Reader:
    """A member who receives; ``restart`` is what happens after a crash."""

    def __init__(self, world: World, identity: Identity) -> None:
        self.world = world
        self.identity = identity
        self.home = identity.home
        self.printer = Recorder()

    def start(self) -> None:
        world = self.world
        self.identity = Identity.load(self.home, now=world.clock())
        device = self.identity.device
        self.asking = world.broker.session(device.client_id("asking", fresh=True))
        self.asking.__enter__()
        self.registrar = FaultyClient(self.asking, self.identity, world.clock)
        self.registrar.faults = []
        self.registrar.join()
        self.session = self.asking.beside(device.client_id("subscriber"), READING)
        self.session.__enter__()
        self.ledger = Ledger(self.home)
        self.receiver = Receiver(
            identity=self.identity,
            session=self.session,
            registrar=self.registrar,
            inbox=Inbox(self.home / "inbox"),
            ledger=self.ledger,
            printer=self.printer,
            settings=world.settings,
            clock=world.clock,
        )
        subscribe(self.session, self.ledger, ["#"])

    def stop(self) -> None:
        self.session.__exit__()
        self.asking.__exit__()
        self.ledger.__exit__()

    def restart(self) -> None:
        self.stop()
        self.start()

    def work(self) -> None:
        """Deal with everything that has arrived."""
        while (arrived := self.session.receive(timeout=0)) is not None:
            if isinstance(arrived, Message):
                self.receiver.take(arrived)

    def hear(self, *messages_: Message) -> None:
        """Get messages that nobody else gets, from a hostile broker."""
        for message in messages_:
            self.world.broker.tell(self.session.client_id, message)

    @property
    def files(self) -> list[Path]:
        """Every file in the inbox, hidden ones too."""
        return sorted(path for path in (self.home / "inbox").rglob("*") if path.is_file())

    @property
    def entries(self) -> dict[str, str]:
        """The ledger: image id to outcome."""
        with sqlite3.connect(self.home / LEDGER) as database:
            rows = database.execute("SELECT image_id, outcome FROM images").fetchall()
        database.close()
        return dict(rows)
