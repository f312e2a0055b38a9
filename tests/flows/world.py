"""A registrar with its real stores, and members, on a simulated broker; time is a parameter."""

from __future__ import annotations

import datetime as dt
import functools
import sqlite3
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

import authorities
import pictures
from flows.simulator import Broker

from common import messages, topics
from common.arrivals import Message
from common.certificates import fingerprint
from common.connection import SessionOptions
from common.console import Printer
from common.enveloping import Cipher
from common.files import write_private
from common.identity import KEY, Device, Identity, save_enrolment
from common.images import inspect
from common.registrar_client import RegistrarClient
from common.sealing import seal
from common.settings import Settings
from common.topics import ImageTopic
from publisher.post import Picture, Posted, Wishes, find_recipients, post
from registrar.accounts import Accounts
from registrar.archive import open_archive
from registrar.authority import BROKER_CRL, Authority
from registrar.catalogue import Catalogue
from registrar.database import migrate, open_database
from registrar.handlers import Handlers
from registrar.passwords import LOCKED, PasswordPool
from registrar.service import Service
from subscriber.__main__ import subscribe
from subscriber.inbox import Inbox
from subscriber.ledger import LEDGER, Ledger
from subscriber.receive import Receiver

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence
    from pathlib import Path

    from authorities import Holder
    from cryptography import x509
    from flows.simulator import SimulatedSession

    from common.errors import SealcastError

READING = SessionOptions(expiry=3600, manual_acknowledgement=True)
SERVING = SessionOptions(expiry=3600, manual_acknowledgement=True)


@functools.cache
def picture() -> Picture:
    content = pictures.plain("image/png")
    return Picture("boats.png", content, inspect(content, maximum_pixels=10_000), ())


class Clock:
    """The time that everybody in a world goes by."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += dt.timedelta(**duration)


class World:
    """A registrar that serves on a broker; a context manager."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - any of the settings
        self.folder = folder
        self.settings = Settings(**settings)
        self.clock = Clock(authorities.NOW)
        self.authorities = authorities.default()
        self.broker = Broker()
        home = folder / "registrar"
        (home / BROKER_CRL).parent.mkdir(parents=True)
        issuing = self.authorities.issuing
        self.authority = Authority(
            home, self.settings, self.authorities.root.certificate, issuing.certificate, issuing.key
        )
        self._engine = open_database(f"sqlite:///{home / 'registrar.sqlite3'}")
        migrate(self._engine)
        self.accounts, self.catalogue = Accounts(self._engine), Catalogue(self._engine)
        self.archive = open_archive(str(folder / "archive"))
        registrar = self.authorities.registrar
        self.handlers = Handlers(
            self.authority,
            registrar.key,
            registrar.certificate,
            self.accounts,
            self.catalogue,
            self.archive,
            self.settings,
        )
        self.members = self.broker.session("a" * 32 + "-registrar", SERVING)
        self.enrolments = self.broker.session("a" * 32 + "-enrolments", SERVING)
        self.stack = ExitStack()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.stack.callback(self._engine.dispose)
        pool = PasswordPool(self.settings)
        self.service = Service(self.handlers, self.members, self.enrolments, pool, self.clock)
        serving = [
            threading.Thread(target=self._serve, args=(serve,))
            for serve in (self.service.serve_members, self.service.serve_enrolment)
        ]
        for thread in serving:
            self.stack.callback(thread.join)
        # Left first: what ends the threads' waiting.
        self.stack.enter_context(self.members)
        self.stack.enter_context(self.enrolments)
        self.stack.callback(self._ended.set)
        self.stack.callback(pool.close)
        self.stack.callback(self.service.close)
        self.service.subscribe()
        for thread in serving:
            thread.start()
        self.publish_trust()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def _serve(self, serve: Any) -> None:  # noqa: ANN401 - one of the service's two methods
        while not self._ended.is_set():
            serve()

    def publish_trust(self, crl: x509.CertificateRevocationList | None = None) -> None:
        # Not `or`: a list that names nobody has the length 0.
        self.authority.write_crl(self.authorities.crl() if crl is None else crl)
        session = self.members
        session.publish(topics.TRUST_CA, self.authorities.ca_pem, retain=True)
        session.publish(topics.TRUST_REGISTRAR, self.authorities.registrar.certificate_pem, retain=True)
        self.service.publish_crl()

    def identity(self, user: str, holder: Holder | None = None, *, folder: str | None = None) -> Identity:
        """Return a member who is registered, with an identity on disk; the same key for the same name."""
        holder = holder or self.authorities.member(user)
        if self.accounts.password_hash(user) is None:
            self.accounts.create(user, LOCKED, self.clock())
        self.accounts.add_certificate(user, holder.certificate, self.clock())
        home = self.folder / (folder or user)
        home.mkdir(mode=0o700)
        write_private(home / KEY, holder.key_pem)
        device = Device.prepare(home, key_size=2048)
        save_enrolment(
            device, holder.certificate, self.authorities.registrar.certificate, self.authority.trust(self.clock())
        )
        return Identity.load(home, now=self.clock())

    def owner(self, user: str, holder: Holder | None = None) -> Owner:
        identity = self.identity(user, holder)
        session = self.stack.enter_context(self.broker.session(identity.device.client_id("publisher")))
        registrar = RegistrarClient(session, identity, self.clock)
        registrar.join()
        return Owner(self, identity, session, registrar)

    def reader(self, user: str, holder: Holder | None = None) -> Reader:
        reader = Reader(self, self.identity(user, holder))
        reader.start()
        self.stack.callback(reader.stop)
        return reader


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
        self.session = world.broker.session(self.identity.device.client_id("subscriber"), READING)
        self.session.__enter__()
        self.registrar = FaultyClient(self.session, self.identity, world.clock)
        self.registrar.faults = []
        self.registrar.join()
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
