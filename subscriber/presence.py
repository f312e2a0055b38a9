"""Says to the members that this device is online, and has the broker say when it no longer is.

docs/protocol.md, "Presence".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.connection import LastWill

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.identity import Identity
    from common.session import Session


def presence_topic(identity: Identity) -> str:
    """Return where a device says so; it stays the same for as long as a session lasts, since its last will does."""
    return topics.presence(identity.user, certificates.fingerprint(identity.certificate))


def last_will(topic: str) -> LastWill:
    """Return what the broker is to say when the session ends, or the connection is lost."""
    return LastWill(topic, messages.OFFLINE, messages.OFFLINE_SECONDS)


class Presence:
    """Keeps saying that a device is online; where that is not ``wanted``, takes back what was said before."""

    def __init__(
        self, session: Session, topic: str, *, wanted: bool, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._topic = topic
        self._payload = messages.ONLINE if wanted else b""
        self._monotonic = monotonic
        self._next = 0.0

    def tell(self) -> None:
        """Say it now: the broker has carried out the last will since, or has lost what it retained."""
        # Whether it is acknowledged is nobody's concern: a broker of an earlier version refuses it.
        self._session.publish(self._topic, self._payload, retain=True, expiry=messages.ONLINE_SECONDS)
        self._next = self._monotonic() + messages.ONLINE_SECONDS / 3

    def keep(self) -> None:
        """Say it once more before it is forgotten."""
        if self._monotonic() >= self._next:
            self.tell()
