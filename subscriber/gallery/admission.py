"""Who may see the gallery: the browser that was given its address, and no page of anybody else in it.

The address holds a token that is good for one session. Other users of the machine reach the port as well, and so does
every page that the same browser has open; so a request also has to be for this very host and port (a name that resolves
to 127.0.0.1 is another host), and not come from another page. Cookies are for every port of a host, so a server of
another user that is visited in the same browser gets ours as well: where the system tells whose program asks, it has to
be one of the same user, or of root, which reads everything anyway. To all others every path answers the same.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from subscriber.gallery import peers

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

_TOKEN_BYTES = 32
_OUR_OWN = ("same-origin", "none")  # what Sec-Fetch-Site says of our page, and of an address that was typed
_REFUSAL = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Sealcast: this browser is not let in</title>
<h1>This browser is not let in</h1>
<p>The address of a gallery works once, in the browser that opens it first, and until that browser is closed.
<p>For a new address, run <code>subscriber gallery</code>. It can run beside the one that is open.
</html>
"""


class Door:
    """The secrets of one gallery on one port, only their digests, and the users (ids) whose programs may come."""

    def __init__(self, port: int, users: Collection[int]) -> None:
        self.users = users
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        # Two galleries at once, each with its own.
        self.cookie = f"sealcast-gallery-{port}"
        self._token: bytes | None = None
        self._session: bytes | None = None

    def new_address(self) -> str:
        """Return the address to open; the one before it is void."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._token = _digest(token)
        return f"http://{self.hosts[0]}/?token={token}"

    def begin_session(self, token: str) -> str | None:
        """Return a new session's secret for the token, which is used up; None for any other."""
        if not _is_it(token, self._token):
            return None
        self._token = None
        session = secrets.token_urlsafe(_TOKEN_BYTES)
        self._session = _digest(session)
        return session

    def knows(self, session: str) -> bool:
        """Tell whether this is the secret of the session."""
        return _is_it(session, self._session)


class Admission:
    """ASGI middleware that lets in what the door knows."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        request = Request(scope)
        answer: ASGIApp = HTMLResponse(_REFUSAL, 403)
        if _is_for(request, self._door.hosts) and self._is_of_our_user(scope):
            if (response := self._begin_session(request)) is not None:
                answer = response
            elif self._door.knows(request.cookies.get(self._door.cookie, "")):
                answer = self._app
        await answer(scope, receive, send)

    def _is_of_our_user(self, scope: Scope) -> bool:
        user = peers.user_of(scope["client"], scope["server"])
        return user is None or user in self._door.users

    def _begin_session(self, request: Request) -> Response | None:
        """Return the way to the page, with the session's cookie, for the address that was given out."""
        if (request.method, request.scope["path"]) != ("GET", "/"):
            return None
        session = self._door.begin_session(request.query_params.get("token", ""))
        if session is None:
            return None
        response = RedirectResponse("/", 303)
        response.set_cookie(self._door.cookie, session, httponly=True, samesite="strict")
        return response


def _is_for(request: Request, hosts: tuple[str, ...]) -> bool:
    """Tell whether a request is for us, and from our own page or from no page at all."""
    host = request.headers.get("host")
    origins = request.headers.getlist("origin")
    sites = request.headers.getlist("sec-fetch-site")
    return host in hosts and set(origins) <= {f"http://{host}"} and set(sites) <= set(_OUR_OWN)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _is_it(given: str, digest: bytes | None) -> bool:
    return digest is not None and hmac.compare_digest(_digest(given), digest)
