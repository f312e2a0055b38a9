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

    from subscriber.album import Album
    from subscriber.ledger import Entry

_MEDIA_TYPE = "text/event-stream"
_PAUSE_SECONDS = 0.5
_PAUSES_BETWEEN_SIGNS = 30  # a browser that is gone is noticed by writing to it only
_BEGIN = b"retry: 2000\n\n"
_SIGN_OF_LIFE = b":\n\n"


class Events:
    """Follows the album for each page that is open, until the application ``is_over``."""

    def __init__(self, album: Album) -> None:
        self._album = album

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
                yield await run_in_threadpool(_event, position, entry)
            if later:
                continue
            await asyncio.sleep(_PAUSE_SECONDS)
            pauses += 1
            if pauses % _PAUSES_BETWEEN_SIGNS == 0:
                yield _SIGN_OF_LIFE


def _event(position: Position, entry: Entry) -> bytes:
    is_saved = entry.outcome == SAVED
    name, data = ("image", describe_image(entry)) if is_saved else ("refused", describe_refused(entry))
    # JSON has no line break in it.
    return f"id: {position}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
