"""Ends the live connections and the sessions of who is revoked, by taking them over (docs/protocol.md, "Revocation").

MQTT lets one client be connected with a client id: the broker closes the connection of the one before. So the registrar
connects as the member did, with a clean start, and leaves: connection, session and queue are gone, and a member that
comes back is shut out by the CRL.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from common import profiles, topics
from common.arrivals import Message
from common.errors import SealcastError
from registrar.connections import read_connection

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from common.session import Session
    from registrar.connections import Connections

_PAUSE_SECONDS = 1.0
_NO_BROKER = frozenset({"broker_silent", "no_broker"})
_log = logging.getLogger(__name__)


class Ending:
    """Knows who is connected, from the broker's log, and ends what is to end.

    ``take_over`` connects with a client id, and with nothing left of the session when it leaves.
    """

    def __init__(
        self,
        connections: Connections,
        session: Session,
        take_over: Callable[[str], AbstractContextManager[object]],
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._connections = connections
        self._session = session
        self._take_over = take_over
        self._clock = clock
        self._held: Message | None = None
        self._due: list[str] = []

    def subscribe(self) -> None:
        """Ask the broker for its log of connections, which nobody else may read."""
        self._session.subscribe(topics.BROKER_LOG)

    def watch(self) -> None:
        """Take what the broker has logged within a second; what cannot be kept now is tried again, and waited for."""
        arrived = self._held or self._session.receive(timeout=1)
        if not isinstance(arrived, Message):
            return
        # Until it is kept, whatever keeps it from that: without its acknowledgement the broker sends ever less.
        self._held = arrived
        connection = read_connection(arrived.payload.decode(errors="replace"))
        try:
            if connection is not None:
                self._keep(*connection)
        except SealcastError as error:
            _log.warning("could not keep who is connected, will try again: %s", error.message)
            time.sleep(_PAUSE_SECONDS)
        else:
            self._held = None
            self._session.acknowledge(arrived)

    def _keep(self, client_id: str, user: str) -> None:
        if user == profiles.REGISTRAR_NAME:
            # Its own, and what it has taken over: in the broker's order, so that who came later is not forgotten.
            self._connections.forget(client_id)
        else:
            self._connections.note(client_id, user, self._clock())

    def end(self) -> None:
        """End every session that was to end at the last call, too: by then whoever asked for it has the reply.

        What keeps one from that is logged, and it is tried again.
        """
        ended, before = 0, frozenset(self._due)
        try:
            self._due = self._connections.to_end()
            for client_id in self._due:
                if client_id in before:
                    ended += self._end(client_id)
        except SealcastError as error:
            _log.warning("could not end a session, will try again: %s", error.message)
        if ended:
            _log.info("ended %d sessions", ended)

    def _end(self, client_id: str) -> bool:
        """Tell whether a session was ended; raises SessionError where the others would only wait as well."""
        try:
            with self._take_over(client_id):
                return True
        except SealcastError as error:
            if error.code in _NO_BROKER:
                raise
            _log.warning("could not end a session, will try again: %s", error.message)
        except Exception:  # noqa: BLE001 - one never keeps the others from it; the log has the whole of it
            _log.exception("failed to end a session, will try again")
        return False
