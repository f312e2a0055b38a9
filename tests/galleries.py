"""Inboxes filled by hand, galleries served from them, and a browser's requests to them."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import os
import shutil
import uuid
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from system import PATIENCE

from common.messages import ImageHeader
from common.settings import MEBIBYTE
from common.verified import Verified
from subscriber.album import Album
from subscriber.gallery.admission import Door
from subscriber.gallery.app import make_app
from subscriber.gallery.server import Server, listen
from subscriber.gallery.thumbnails import Thumbnails
from subscriber.ledger import SAVED, Entry, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
FINGERPRINT = "ab" * 32


@dataclass(frozen=True)
class Answer:
    """What came back; names of headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was sent
        return json.loads(self.body)


@dataclass
class Browser:
    """Asks one gallery, as a browser that shows its page would unless a test says otherwise."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, method: str = "GET", **headers: str | None) -> Answer:
        """Ask for a path as it stands; underscores in names of headers are hyphens, None leaves one out."""
        with self.connection() as connection:
            self.send(connection, method, path, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def send(
        self, connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str | None]
    ) -> None:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        whole = {"host": f"127.0.0.1:{self.port}", **self.headers, **given}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in whole.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            yield connection
        finally:
            connection.close()

    def enter(self, address: str) -> Answer:
        """Open an address with its token, and keep the cookie."""
        answer = self.get(address.removeprefix(f"http://127.0.0.1:{self.port}"))
        if "set-cookie" in answer.headers:
            self.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        return answer

    @contextlib.contextmanager
    def events(self, last: str | None = None) -> Iterator[Iterator[dict[str, str]]]:
        """Follow the events; what is yielded waits for the next one."""
        with self.connection() as connection:
            self.send(connection, "GET", "/events", {"last-event-id": last} if last else {})
            response = connection.getresponse()
            assert response.status == 200
            assert response.getheader("content-type", "").startswith("text/event-stream")
            yield _events(response)


def open_gallery(address: str) -> Browser:
    """Return a browser that has opened an address, and was let in."""
    browser = Browser(int(address.partition("/?token=")[0].rpartition(":")[2]))
    assert browser.enter(address).status == 303
    return browser


def rest_of(events: Iterator[dict[str, str]]) -> list[dict[str, str]]:
    """Return the events that still come until the gallery has stopped, or cut the page off where it is slow."""
    rest = []
    with contextlib.suppress(http.client.HTTPException, ConnectionError):
        rest.extend(events)
    return rest


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        else:
            if "data" in event:
                yield event
            event = {}


@dataclass
class Gallery:
    """A gallery that is served, and the ledger that it shows."""

    home: Path
    ledger: Ledger
    verified: Verified
    door: Door
    port: int
    thumbnails: Thumbnails

    def save(self, image: bytes = b"an image", *, number: int = 1, **members: Any) -> Entry:  # noqa: ANN401 - of the header
        """Note an image as saved and put its file into the inbox."""
        owner, channel = members.pop("owner", "alice"), members.pop("channel", "public")
        name, image_id = members.pop("name", f"{number}.png"), uuid.UUID(int=(7 << 76) | (2 << 62) | number)
        digest, signer = sha256(image).hexdigest(), members.pop("fingerprint", FINGERPRINT)
        header = ImageHeader(
            image_id=image_id, owner=owner, audience=members.pop("audience", "members"), recipients=(),
            topic=f"sealcast/v1/images/{owner}/{channel}/{image_id}", name=name,
            media_type=members.pop("media_type", "image/png"), width=64, height=48, size=len(image),
            sha256=digest, sent_at=NOW, **members,
        )  # fmt: skip
        path = self.home / "inbox" / owner / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
        at = NOW + dt.timedelta(seconds=number)
        entry = Entry(owner, image_id, channel, SAVED, at, path, digest, name, header=header, fingerprint=signer)
        self.ledger.add(entry)
        return entry

    def empty(self) -> None:
        """Have the next test find nothing of this one."""
        self.ledger._database.write("DELETE FROM images")  # noqa: SLF001 - nobody else forgets everything
        shutil.rmtree(self.home / "inbox", ignore_errors=True)

    def refuse(self, *, number: int, message: str = "the image could not be verified") -> Entry:
        image_id = uuid.UUID(int=(7 << 76) | (2 << 62) | number)
        entry = Entry("mallory", image_id, "public", "not_verified", NOW, message=message)
        self.ledger.add(entry)
        return entry

    def browser(self) -> Browser:
        """Return a browser that has been let in."""
        return open_gallery(self.door.new_address())


@contextlib.contextmanager
def serve(
    home: Path,
    decode: Callable[[bytes], bytes] = lambda image: image,
    *,
    maximum_bytes: int = MEBIBYTE,
    users: Collection[int] = (os.getuid(),),
) -> Iterator[Gallery]:
    """Serve the gallery of a new folder to these users; ``decode`` makes its thumbnails."""
    with listen(0) as listener, Album(home) as album, Ledger(home) as ledger, Verified(home) as verified:
        port = listener.getsockname()[1]
        door = Door(port, users)
        thumbnails = Thumbnails(home, decode, maximum_bytes=maximum_bytes)
        app = make_app(
            home=home, album=album, verified=verified, thumbnails=thumbnails, door=door, user="bob",
            inbox=home / "inbox", maximum_image_size=MEBIBYTE,
        )  # fmt: skip
        with Server(app, listener):
            yield Gallery(home, ledger, verified, door, port, thumbnails)
