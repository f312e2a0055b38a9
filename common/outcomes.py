"""What becomes of a packet: a future that its sender and its acknowledgement share, whichever of the two comes first.

A sender learns the packet id only after sending, and must not hold a lock meanwhile: paho calls back with locks of its
own held.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TypeVar

_Outcome = TypeVar("_Outcome")


class Outcomes:
    """Futures by packet id, each for one sender and one acknowledgement."""

    def __init__(self) -> None:
        self._futures: dict[int, Future[bool]] = {}
        self._lock = threading.Lock()

    def of(self, packet_id: int) -> Future[bool]:
        """Return the future of a packet: the second who asks gets that of the first, and the id is free again."""
        with self._lock:
            return self._futures.pop(packet_id, None) or self._futures.setdefault(packet_id, Future())

    def conclude(self, packet_id: int, error: Exception | None, *, taken: bool = True) -> None:
        """Tell the sender that the packet is acknowledged, and whether somebody takes it, or why it is refused."""
        future = self.of(packet_id)
        if error is None:
            fulfil(future, taken)
        else:
            fail(future, error)


def fulfil(future: Future[_Outcome], outcome: _Outcome) -> None:
    """Set a future's outcome, unless it has one: a reconnection or a repeated reply finds it done."""
    if not future.done():
        future.set_result(outcome)


def fail(future: Future[_Outcome], error: Exception) -> bool:
    """Fail a future, unless it is done already; return whether it was open."""
    if future.done():
        return False
    future.set_exception(error)
    return True
