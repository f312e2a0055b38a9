"""A member whose inbox is filled without a broker, and the gallery that shows it."""

from __future__ import annotations

import datetime as dt
import itertools
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

import authorities
from browser.photographs import twelve

from common import messages
from common.certificates import fingerprint
from common.console import Printer
from common.decoder import Decoder
from common.errors import SealcastError, VerificationError
from common.files import write_private
from common.sealing import OpenedImage
from common.settings import Settings
from common.topics import ImageTopic, new_image_id
from common.verified import Verified
from subscriber.gallery_commands import serving
from subscriber.inbox import Inbox
from subscriber.keeping import Keeper
from subscriber.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext

NOW = dt.datetime(2026, 11, 24, 20, 0, tzinfo=dt.UTC)  # for the pages, too


class _Silent(Printer):
    def __init__(self) -> None:
        super().__init__(as_json=True)

    def event(self, line: str | None, **members: object) -> None:
        pass


@dataclass
class Member:
    """A member's device: its home, and what it has received."""

    home: Path
    at: dt.datetime = NOW
    _gallery: ExitStack = field(default_factory=ExitStack)
    _address: str = ""
    _cookies: list[Any] = field(default_factory=list)
    ledger: Ledger = field(init=False)
    verified: Verified = field(init=False)
    _keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir()
        device = authorities.default().member("carol")
        write_private(self.home / "key.pem", device.key_pem)
        write_private(self.home / "certificate.pem", device.certificate_pem)
        self.ledger = Ledger(self.home)
        self.verified = Verified(self.home)
        self._keeper = Keeper(Inbox(self.home / "inbox"), self.ledger, self.verified, _Silent(), lambda: self.at)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_gallery()
        self.ledger.__exit__(*exception)
        self.verified.__exit__(*exception)

    def receive(
        self,
        image: bytes,
        *,
        owner: str = "alice",
        channel: str = "public",
        ago: dt.timedelta = dt.timedelta(),
        size: tuple[int, int] = (96, 72),
        **said: Any,  # noqa: ANN401 - any member of the header
    ) -> messages.ImageHeader:
        """Save an image as if it had just been verified; ``said`` is what its owner says of it."""
        self.at = NOW - ago
        signer = authorities.default().member(owner).certificate
        topic = ImageTopic(owner, channel, new_image_id(self.at))
        members: dict[str, Any] = {
            "image_id": topic.image_id,
            "owner": owner,
            "audience": "members",
            "recipients": (fingerprint(signer),),
            "topic": topic.image,
            "name": "photo.jpg",
            "media_type": "image/jpeg",
            "width": size[0],
            "height": size[1],
            "size": len(image),
            "sha256": sha256(image).hexdigest(),
            "sent_at": self.at,
        }
        header = messages.ImageHeader(**members | said)
        assert self._keeper.save(OpenedImage(image, header, signer, b"a signature"))
        self._keeper.settle(owner, topic.image_id)
        return header

    def receive_album(self) -> None:
        """Save twelve photographs of three people on two channels, over three days."""
        for number, (photograph, owner) in enumerate(zip(twelve(), itertools.cycle(("alice", "bob", "dave")))):
            self.receive(
                photograph.jpeg(),
                owner=owner,
                channel="family" if number % 2 else "holidays/alps",
                ago=dt.timedelta(hours=(11 - number) * 5),
                size=photograph.picture.size,
                name=photograph.name,
                caption=photograph.caption,
            )

    def refuse(self, code: str, *, owner: str, channel: str = "public", ago: dt.timedelta = dt.timedelta()) -> None:
        """Refuse an image."""
        self.at = NOW - ago
        error = VerificationError("for the log only") if code == "not_verified" else SealcastError(code, code=code)
        self._keeper.refuse(ImageTopic(owner, channel, new_image_id(self.at)), error)

    def open_gallery(self, context: BrowserContext) -> str:
        """Return the address of the gallery for a browser, which has its session then; starts it at first."""
        if not self._address:
            settings = Settings()
            decoder = self._gallery.enter_context(Decoder(settings))
            one_time = self._gallery.enter_context(serving(self.home, self.home / "inbox", 0, decoder, settings))
            assert context.request.get(one_time).ok
            self._address, self._cookies = one_time.partition("?")[0], context.cookies()
        context.add_cookies(self._cookies)
        return self._address

    def stop_gallery(self) -> None:
        self._gallery.close()
        self._address = ""
