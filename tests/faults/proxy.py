"""A TCP proxy in front of a door of the broker: a link that is slow, is cut, or lets nothing through."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Direction = Literal["up", "down"]  # from the client to the broker, and back
_AT_ONCE = 32 * 1024  # bytes


class Proxy:
    """The link from clients, which connect to ``port``, to the broker; sizes are bytes, times are seconds."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.delay = 0.0  # of every piece, in both directions
        self.carried: dict[Direction, int] = {"up": 0, "down": 0}
        self.cuts = 0
        self._target = target
        self._cuts_at: dict[Direction, deque[int]] = {"up": deque(), "down": deque()}
        self._links: set[asyncio.StreamWriter] = set()
        self._started = threading.Event()

    @contextlib.contextmanager
    def carrying(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="proxy")
        thread.start()
        self._started.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._ended.set)
            thread.join()

    def cut_after(self, direction: Direction, *counts: int) -> None:
        """Cut every connection once so many more bytes have gone in a direction; then after so many more again."""
        at = self.carried[direction]
        for count in counts:
            at += count
            self._cuts_at[direction].append(at)

    def cut(self) -> None:
        """Cut every connection now; new ones can be made."""
        self._loop.call_soon_threadsafe(self._abort)

    def partition(self) -> None:
        """Let nothing through any more, and no news of a connection's end either."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def heal(self) -> None:
        """Let everything through, also what was sent meanwhile."""
        self._loop.call_soon_threadsafe(self._whole.set)

    async def _live(self) -> None:
        self._loop, self._whole, self._ended = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._whole.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0, limit=_AT_ONCE)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._ended.wait()
        server.close()
        self._abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        onward = None
        try:
            await self._whole.wait()
            there, onward = await asyncio.open_connection("127.0.0.1", self._target, limit=_AT_ONCE)
            self._links.add(onward)
            await asyncio.gather(self._carry("up", reader, onward), self._carry("down", there, writer))
        except (OSError, asyncio.CancelledError):  # cut, nobody is there, or the end
            for link in filter(None, (writer, onward)):
                link.transport.abort()
        finally:
            self._links -= {writer, onward}

    async def _carry(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cuts = self._cuts_at[direction]
        while piece := await reader.read(_AT_ONCE):
            await asyncio.sleep(self.delay)
            await self._whole.wait()
            if writer not in self._links:  # cut meanwhile
                return
            room = cuts[0] - self.carried[direction] if cuts else len(piece)
            self.carried[direction] += min(room, len(piece))
            writer.write(piece[:room])
            await writer.drain()
            if cuts and self.carried[direction] >= cuts[0]:
                cuts.popleft()
                self._abort()
        await self._whole.wait()
        writer.close()

    def _abort(self) -> None:
        self.cuts += 1
        while self._links:
            self._links.pop().transport.abort()
