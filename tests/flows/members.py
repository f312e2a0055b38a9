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
from common.decoding.inspection import inspect
from common.enveloping import Cipher
from common.errors import SealcastError, SessionError
from common.files import INBOX_MARK
from common.identity import Identity
from common.registrar_client import RegistrarClient
from common.sealing import seal
from common.topics import ImageTopic
from common.verified import Verified
from publisher.courier import Courier
from publisher.outbox import Outbox
from publisher.post import Picture, Posted, Wishes, find_recipients, post, seal_picture
from subscriber.daemon import make_daemon, subscribe
from subscriber.fetch import fetch_one, say_where_it_is
from subscriber.inbox import Inbox
from subscriber.keeping import Keeper
from subscriber.ledger import LEDGER, Ledger
from subscriber.obtaining import Obtainer
from subscriber.presence import Presence, presence_topic
from subscriber.receipts import Receipts, owed_by

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography import x509
    from flows.simulator import SimulatedSession
    from flows.world import World

    from common.replies import AnyResult

PAGE = 2  # entries of the catalogue in one reply, so that there are many
INSPECT = functools.partial(inspect, maximum_pixels=10_000)
READING = SessionOptions(expiry=3600, manual_acknowledgement=True)


@functools.cache
def picture() -> Picture:
    content = pictures.plain("image/png")
    return Picture("boats.png", content, INSPECT(content), ())


@dataclass
class Owner:
    """A member who posts."""

    world: World
    identity: Identity
    session: SimulatedSession
    registrar: RegistrarClient

    def __post_init__(self) -> None:
        self.outbox = self.world.stack.enter_context(Outbox(self.identity.home))
        self.courier = Courier(self.outbox, self.identity, self.world.clock, self.registrar)

    def post(self, **wishes: Any) -> Posted:  # noqa: ANN401 - any wish
        """Post the picture; raises what keeps it from being stored."""
        posted = self.seal_picture(**wishes)
        if (error := post(posted, self.courier).error) is not None:
            raise error
        return posted

    def seal_picture(
        self,
        *,
        to: Sequence[str] = (),
        channel: str = "public",
        caption: str | None = None,
        lifetime: dt.timedelta | None = None,
    ) -> Posted:
        """Return the picture as it would be posted now."""
        wishes = Wishes(tuple(to), channel, caption, keep_metadata=True, cipher=Cipher.AES_256_GCM, lifetime=lifetime)
        recipients = find_recipients(wishes, self.courier)
        return seal_picture(picture(), wishes, recipients, self.identity, now=self.world.clock())

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
    """Asks the real registrar and notes what, unless a fault is due first."""

    faults: list[SealcastError]  # of fetches, each for one
    list_faults: list[SealcastError]  # of reading the catalogue, each for one
    cuts: list[int]  # the link is cut once at each of these offsets
    asked: list[messages.Request]

    def fetch(
        self, image_id: uuid.UUID, maximum_size: int, begun: bytearray | None = None, *, owner: str | None = None
    ) -> tuple[bytes, messages.FetchResult]:
        if self.faults:
            raise self.faults.pop(0)
        return super().fetch(image_id, maximum_size, begun, owner=owner)

    def list(self, order: messages.Order, mark: str | None, limit: int = messages.LONGEST_PAGE) -> messages.ListResult:
        if self.list_faults:
            raise self.list_faults.pop(0)
        return super().list(order, mark, min(limit, PAGE))

    def _ask(self, request: messages.Request, kind: type[AnyResult]) -> AnyResult:
        if isinstance(request, messages.FetchRequest) and request.offset in self.cuts:
            self.cuts.remove(request.offset)
            raise SessionError("the link is cut", code="no_registrar")
        self.asked.append(request)
        return super()._ask(request, kind)

    def fetched(self, image_id: uuid.UUID) -> Sequence[int]:
        """Return the offsets that were fetched of an image."""
        fetches = [request for request in self.asked if isinstance(request, messages.FetchRequest)]
        return [request.offset for request in fetches if request.image_id == image_id]


class Reader:
    """A member who receives; ``restart`` is what happens after a crash."""

    def __init__(self, world: World, identity: Identity) -> None:
        self.world = world
        self.identity = identity
        self.home = identity.home
        self.printer = Recorder()
        self.channels = ["#"]

    def start(self) -> None:
        world = self.world
        self.identity = Identity.load(self.home, now=world.clock())
        device = self.identity.device
        self.asking = world.broker.session(device.client_id("asking", fresh=True))
        self.asking.__enter__()
        self.registrar = FaultyClient(self.asking, self.identity, world.clock)
        self.registrar.faults, self.registrar.list_faults, self.registrar.cuts, self.registrar.asked = [], [], [], []
        self.registrar.join()
        self.session = self.asking.beside(device.client_id("subscriber"), READING)
        self.session.__enter__()
        self.ledger = Ledger(self.home)
        self.verified = Verified(self.home)
        inbox, owes_receipt = Inbox(self.home / "inbox"), owed_by(self.identity.user)
        self.keeper = Keeper(inbox, self.ledger, self.verified, self.printer, world.clock, owes_receipt=owes_receipt)
        self.receipts = Receipts(self.identity, self.asking, self.registrar, self.ledger, world.clock)
        self.daemon = make_daemon(
            identity=self.identity,
            session=self.session,
            registrar=self.registrar,
            keeper=self.keeper,
            ledger=self.ledger,
            printer=self.printer,
            channel_filters=self.channels,
            inspect=INSPECT,
            settings=world.settings,
            clock=world.clock,
            presence=Presence(self.session, presence_topic(self.identity), wanted=True),
            monotonic=lambda: world.clock().timestamp(),
        )
        self.receiver = self.daemon.receiver
        subscribe(self.session, self.ledger, self.channels)

    def stop(self) -> None:
        self.session.__exit__()
        self.asking.__exit__()
        self.ledger.__exit__()
        self.verified.__exit__()

    def restart(self) -> None:
        self.stop()
        self.start()

    def work(self) -> None:
        """Deal with everything that has arrived."""
        while (arrived := self.session.receive(timeout=0)) is not None:
            if isinstance(arrived, Message):
                self.receiver.take(arrived)

    def catch_up(self) -> None:
        """Deal with everything that the catalogue has, as the first thing or after a reconnection."""
        self.daemon.catch_up.begin_soon()
        while self.daemon.catch_up.step():
            pass

    def run(self, turns: int = 50) -> None:
        """Be the daemon for a while in which no time passes."""
        for _ in range(turns):
            self.daemon.turn(lambda: False, timeout=0)

    def fetch(self, image_id: uuid.UUID) -> None:
        """Do what `subscriber fetch` does, with a ledger of its own beside the daemon's."""
        with Ledger(self.home) as ledger:
            if say_where_it_is(image_id, ledger, self.printer):
                return
            world = self.world
            keeper = Keeper(Inbox(self.home / "inbox"), ledger, self.verified, self.printer, world.clock)
            obtainer = Obtainer(
                self.identity,
                self.registrar,
                inspect=INSPECT,
                settings=world.settings,
                clock=world.clock,
                seen=lambda *_: False,
            )
            fetch_one(image_id, obtainer, keeper, ledger, self.printer)

    def hear(self, *messages_: Message) -> None:
        """Get messages that nobody else gets, from a hostile broker."""
        for message in messages_:
            self.world.broker.tell(self.session.client_id, message)

    @property
    def files(self) -> list[Path]:
        """Every file in the inbox, hidden ones too."""
        return sorted(path for path in (self.home / "inbox").rglob("*") if path.is_file() and path.name != INBOX_MARK)

    @property
    def entries(self) -> dict[str, str]:
        """The ledger: image id to outcome."""
        with sqlite3.connect(self.home / LEDGER) as database:
            rows = database.execute("SELECT image_id, outcome FROM images").fetchall()
        database.close()
        return dict(rows)
