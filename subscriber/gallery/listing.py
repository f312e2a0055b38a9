"""What the gallery lists, as JSON; the members are in app.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from common.topics import parse_image_id
from common.verified import Standing

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from common.verified import Verified
    from subscriber.album import Album
    from subscriber.ledger import Entry

_USUAL_LIMIT, _HIGHEST_LIMIT = 60, 200
_LONGEST_NUMBER = 18  # digits; SQLite's integers have 64 bits


class Listing:
    """Answers with pages of the album."""

    def __init__(self, album: Album, verified: Verified) -> None:
        self._album = album
        self._verified = verified

    async def images(self, request: Request) -> Response:
        """List what was saved."""
        asked = request.query_params
        page = await run_in_threadpool(
            self._album.saved,
            before=_number(request, "before"),
            limit=_limit(request),
            channel=asked.get("channel") or None,
            owner=asked.get("owner") or None,
            search=asked.get("search", "").strip() or None,
        )
        images = await run_in_threadpool(lambda: [describe_image(entry, self._verified) for entry in page.entries])
        return JSONResponse({"images": images, "next": page.next, "total": page.total})

    async def image(self, request: Request) -> Response:
        """Describe one image that was saved."""
        image_id = parse_image_id(request.path_params["image_id"])
        owner = request.path_params["owner"]
        entry = None if image_id is None else await run_in_threadpool(self._album.find, owner, image_id)
        if entry is None:
            raise HTTPException(404, "there is no such image")
        return JSONResponse(await run_in_threadpool(describe_image, entry, self._verified))

    async def refused(self, request: Request) -> Response:
        """List what was refused."""
        page = await run_in_threadpool(self._album.refused, before=_number(request, "before"), limit=_limit(request))
        refused = [describe_refused(entry) for entry in page.entries]
        return JSONResponse({"refused": refused, "next": page.next, "total": page.total})

    async def filters(self, _: Request) -> Response:
        """List channels and owners of what was saved."""
        channels, owners = await run_in_threadpool(self._album.filters)
        return JSONResponse({"channels": channels, "owners": owners})


def describe_image(entry: Entry, verified: Verified) -> dict[str, object]:
    """Return the IMAGE of a saved entry."""
    standing = verified.state(entry.owner, entry.fingerprint)
    header = entry.header
    signed: dict[str, Any] = json.loads(header.to_json()) if header else {}
    names = ("caption", "audience", "media_type", "width", "height", "size", "sent_at")
    return {
        "image_id": str(entry.image_id),
        "owner": entry.owner,
        "channel": entry.channel,
        "name": entry.name,
        **{name: signed.get(name) for name in names},
        "sha256": entry.sha256,
        "saved_at": entry.at.isoformat(),
        "fingerprint": entry.fingerprint,
        "verified_owner": standing is Standing.VERIFIED,
        "changed_device": standing is Standing.CHANGED,
        "is_here": entry.is_here,
    }


def describe_refused(entry: Entry) -> dict[str, object]:
    """Return the REFUSED of an entry."""
    return {
        "image_id": str(entry.image_id),
        "owner": entry.owner,
        "channel": entry.channel,
        "code": entry.outcome,
        "message": entry.message or entry.outcome,
        "at": entry.at.isoformat(),
    }


def _limit(request: Request) -> int:
    limit = _number(request, "limit")
    return _USUAL_LIMIT if limit is None else min(max(limit, 1), _HIGHEST_LIMIT)


def _number(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _LONGEST_NUMBER):
        raise HTTPException(400, f"{name} is no number")
    return int(given)
