"""What is saved and refused from now on, as server-sent events (HTML Living Standard, section 9.2).

The ledger is looked at twice a second: so what another program saves in the same folder is shown as well, and there is
one way only in which anything gets here.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from subscriber.album import Position
from subscriber.gallery.listing import describe_image, describe_refused
from subscriber.ledger import SAVED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from common.verified import Verified
    from subscriber.album import Album
    from subscriber.ledger import Entry

_MEDIA_TYPE = "text/event-stream"
_PAUSE_SECONDS = 0.5
_PAUSES_BETWEEN_SIGNS = 30  # a browser that is gone is noticed by writing to it only
_BEGIN = b"retry: 2000\n\n"
_SIGN_OF_LIFE = b":\n\n"


class Events:
    """Follows the album for each page that is open, until the application ``is_over``."""

    def __init__(self, album: Album, verified: Verified) -> None:
        self._album = album
        self._verified = verified

    async def follow(self, request: Request) -> Response:
        """Send what comes after the last event that this page had, or from now on."""
        if request.method == "HEAD":
            return Response(media_type=_MEDIA_TYPE)
        position = Position.read(request.headers.get("last-event-id", ""))
        if position is None:
            position = await run_in_threadpool(self._album.position)
        return StreamingResponse(self._events(position, request.app.state.is_over), media_type=_MEDIA_TYPE)

    async def _events(self, position: Position, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
        yield _BEGIN
        pauses = 0
        while not is_over():
            later = await run_in_threadpool(self._album.since, position)
            for position, entry in later:  # noqa: PLR1704 - where it has got to
                yield await run_in_threadpool(self._describe, position, entry)
            if later:
                continue
            await asyncio.sleep(_PAUSE_SECONDS)
            pauses += 1
            if pauses % _PAUSES_BETWEEN_SIGNS == 0:
                yield _SIGN_OF_LIFE

    def _describe(self, position: Position, entry: Entry) -> bytes:
        if entry.outcome != SAVED:
            return _event("refused", describe_refused(entry), position)
        image = describe_image(entry, self._verified)
        # First, as on the command line; without an id of its own, so that the image is not missed.
        warning = _event("device", _describe_device(entry)) if image["changed_device"] else b""
        return warning + _event("image", image, position)


def _describe_device(entry: Entry) -> dict[str, object]:
    owner = entry.owner
    message = f"{owner} posts with a device that you have not verified. Ask {owner} whether it is theirs, then run: "
    return {"user": owner, "fingerprint": entry.fingerprint, "message": f"{message}subscriber verify {owner}"}


def _event(name: str, data: dict[str, object], position: Position | None = None) -> bytes:
    # JSON has no line break in it.
    lines = [f"event: {name}", f"data: {json.dumps(data)}", *([f"id: {position}"] if position else [])]
    return "\n".join([*lines, "", ""]).encode()
