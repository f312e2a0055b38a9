"""The gallery's application: what the page asks for, and what it gets. Only GET and HEAD, and only for its session.

| path | answer |
| --- | --- |
| `/?token=…` | once: a session cookie, and the way to `/` |
| `/`, `/static/…` | the page; nothing of it comes from elsewhere |
| `/api/images?before=&limit=&channel=&owner=&search=` | `{"images": [IMAGE…], "next": CURSOR, "total": N}` |
| `/api/images/OWNER/IMAGE_ID` | one IMAGE, for an address that leads to it |
| `/api/refused?before=&limit=` | `{"refused": [REFUSED…], "next": CURSOR, "total": N}` |
| `/api/filters` | `{"channels": [NAME…], "owners": [NAME…]}` of what was saved |
| `/api/status` | `{"user", "inbox", "version"}` |
| `/events` | server-sent events: `image` with an IMAGE, `refused` with a REFUSED, `device` with DEVICE |
| `/thumbnails/OWNER/IMAGE_ID` | a WebP of at most 480 pixels on its longer side, turned as it is to be shown |
| `/images/OWNER/IMAGE_ID` | the very bytes that were verified; `…/download` as a file |
| `/proofs/OWNER/IMAGE_ID` | a ZIP archive: image, detached signature, chain, and how to check them (docs/proof.md) |

Lists begin with what is newest here; CURSOR is what the next page is asked for with, as ``before``, or null. IMAGE is
`{"image_id", "owner", "channel", "name", "caption", "audience", "media_type", "width", "height", "size", "sha256",
"sent_at", "saved_at", "fingerprint", "verified_owner", "changed_device", "is_here"}`: what only the owner's signed
header says is null for what version 0.1.0 has saved, and width and height are before the image is turned. REFUSED is
`{"image_id", "owner", "channel", "code", "message", "at"}`. DEVICE, `{"user", "fingerprint", "message"}`, comes before
an image from a device that was not verified, of somebody of whom another was: such an image has `changed_device`.

Whoever wants to miss nothing opens `/events` first and then asks for the images: each event has an id, with which a
browser that has lost its connection comes back. An image that was got back comes again as an event. A failure is
`{"code", "message", "hint"}`: 404 for what is not there or not to be shown, 503 for what may pass.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from common.errors import ImageError, SealcastError, VerificationError
from subscriber.gallery.admission import Admission
from subscriber.gallery.events import Events
from subscriber.gallery.files import Files
from subscriber.gallery.listing import Listing
from subscriber.gallery.protection import Protection

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from common.verified import Verified
    from subscriber.album import Album
    from subscriber.gallery.admission import Door
    from subscriber.gallery.thumbnails import Thumbnails

STATIC = Path(__file__).parent / "static"


def make_app(
    *,
    home: Path,
    album: Album,
    verified: Verified,
    thumbnails: Thumbnails,
    door: Door,
    user: str,
    inbox: Path,
    maximum_image_size: int,
) -> Starlette:
    """Return the application of the folder ``home``, which sends events until its ``state.is_over()``."""
    listing = Listing(album, verified)
    files = Files(home, album, thumbnails, maximum_image_size=maximum_image_size)
    status = {"user": user, "inbox": str(inbox), "version": version("sealcast")}
    app = Starlette(
        routes=[
            Route("/", lambda _: FileResponse(STATIC / "gallery.html")),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/images", listing.images),
            Route("/api/images/{owner}/{image_id}", listing.image),
            Route("/api/refused", listing.refused),
            Route("/api/filters", listing.filters),
            Route("/api/status", lambda _: JSONResponse(status)),
            Route("/events", Events(album, verified).follow),
            Route("/thumbnails/{owner}/{image_id}", files.thumbnail),
            Route("/images/{owner}/{image_id}", files.show),
            Route("/images/{owner}/{image_id}/download", files.download),
            Route("/proofs/{owner}/{image_id}", files.proof),
        ],
        middleware=[Middleware(Protection), Middleware(Admission, door=door)],
        exception_handlers={HTTPException: _say, SealcastError: _explain},
    )
    app.router.redirect_slashes = False  # one path for each thing
    return app


def _say(_: Request, error: Exception) -> Response:
    """Answer what has no path, no such method, or a parameter that does not fit."""
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "failed")
    headers = error.headers if isinstance(error, HTTPException) else None
    members = {"code": "bad_request", "message": detail.lower(), "hint": None}
    return JSONResponse(members, status, headers)


def _explain(_: Request, error: Exception) -> Response:
    """Answer for an image that is not there or not what it was, or where the folder fails: that may pass."""
    members = {name: getattr(error, name, None) for name in ("code", "message", "hint")}
    is_about_the_image = isinstance(error, ImageError | VerificationError) or members["code"] == "no_proof"
    return JSONResponse(members, 404 if is_about_the_image else 503)
