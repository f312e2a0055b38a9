"""Serves the gallery in a thread of its own, on this machine's loopback address only."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from common.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio

    from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 32  # a browser has six
_LONGEST_ENDING = 3  # seconds for answers that are under way; events end within one


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port, 0: any that is free; raises ConfigurationError."""
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise ConfigurationError(
            f"the gallery cannot have port {port}: {os.strerror(error.errno or 0).lower()}",
            hint="choose another with --gallery-port, or leave it out for any that is free",
            code="gallery_port",
        ) from error


class Connection(H11Protocol):
    """One of few: every account of this machine can open them, and receiving images needs files, too."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as it is there
        """Take a connection, or close it where there are enough."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()


class Server:
    """Answers with an application on a socket while it is entered."""

    def __init__(self, app: Starlette, listener: socket.socket) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=Connection,
                backlog=MOST_CONNECTIONS,  # so many are taken before any of them is closed
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,  # it would hold the token
                log_level="critical",  # the rest is what strangers send, and we say what we fail at
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_LONGEST_ENDING,
            )
        )
        app.state.is_over = lambda: self._server.should_exit
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="gallery")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # The events end by themselves then; uvicorn would wait for them.
        self._server.should_exit = True
        self._thread.join()
