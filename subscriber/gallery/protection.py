"""What every answer of the gallery carries, so that a browser holds the page to what it needs.

The page runs its own scripts and styles and nothing else, sends nothing anywhere, and nobody frames it; an image is
shown, never run. Whatever fails in here, an answer says no more than that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'none'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
# For a document that a browser would make of an image's bytes.
IMAGE_POLICY = "sandbox; default-src 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# Unless an answer says otherwise of itself.
DEFAULTS = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "private, no-store"}
_log = logging.getLogger(__name__)


class Protection:
    """ASGI middleware, the outermost: adds the headers to every answer, and answers where nobody else could."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add to its answer."""
        has_begun = False

        async def send_protected(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                for name, value in DEFAULTS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_protected)
        except Exception as error:  # noqa: BLE001 - uvicorn would print its traceback
            _log.warning("the gallery could not answer: %s: %s", type(error).__name__, error)
            if not has_begun:
                await PlainTextResponse("failed", 500)(scope, receive, send_protected)
