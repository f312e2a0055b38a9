"""Which client ids each user has connected with, as the broker tells the registrar, and which of these are to end.

A client id is the member's own choice, so a line of the broker's log is read from its end, where the certificate's name
stands. Client ids are secrets: whoever knows one can take the session over.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.exc import IntegrityError

from registrar.database import BUSY_TIMEOUT_SECONDS, ONLY_READS, transaction
from registrar.tables import AccountRow, CertificateRow, ConnectionRow, DeviceRow

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine, Select
    from sqlalchemy.orm import Session

# Of one user: the session that has not connected for longest is ended when there are more.
MOST_SESSIONS = 128
# In which a broker goes by a new CRL for certain, though the revocation had to wait for the database after it took its
# time; whoever comes meanwhile may be the device that was revoked.
_REREAD = dt.timedelta(seconds=BUSY_TIMEOUT_SECONDS + 5)
# 2.0.11: `1795944939: New client connected from 127.0.0.1:39262 as short (p5, c1, k60, u'bob').`
_CONNECTED = re.compile(
    r"(?:\d+: )?New client connected from \S+ as (.*) \(p\d+, c\d+, k\d+, u'([a-z0-9-]{1,32})'\)\.", re.DOTALL
)


def read_connection(line: str) -> tuple[str, str] | None:
    """Return (client id, user) where a line of the broker's log tells of a connection at the members' door."""
    match = _CONNECTED.fullmatch(line)
    return (match[1], match[2]) if match else None


class Connections:
    """The client ids in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{ONLY_READS: True})

    def note(self, client_id: str, user: str, now: dt.datetime) -> None:
        """Remember a connection: it is to end where its user is revoked, or a device of the user was a moment ago."""
        try:
            self._note(client_id, user, now)
        except IntegrityError:
            # The broker tells every registrar, and another one has noted it since this one looked.
            self._note(client_id, user, now)

    def _note(self, client_id: str, user: str, now: dt.datetime) -> None:
        with transaction(self._engine) as session:
            wanted = bool(session.scalar(select(or_(_is_revoked(user), _has_lost_a_device(user, now)))))
            session.merge(ConnectionRow(client_id=client_id, user_name=user, connected_at=now, to_end=wanted))
            session.flush()
            session.execute(
                update(ConnectionRow).where(ConnectionRow.client_id.in_(_surplus(user))).values(to_end=True)
            )

    def forget(self, client_id: str) -> None:
        """Forget a client id whose session is the user's no more."""
        with transaction(self._engine) as session:
            session.execute(delete(ConnectionRow).where(ConnectionRow.client_id == client_id))

    def to_end(self) -> list[str]:
        """Return the client ids whose sessions are to end, the latest first."""
        query = select(ConnectionRow.client_id).where(ConnectionRow.to_end).order_by(ConnectionRow.connected_at.desc())
        with transaction(self._reading) as session:
            return list(session.scalars(query))


def end_connections(session: Session, user: str) -> None:
    """Have every session of a user ended, in a transaction; which device has which, nobody knows."""
    session.execute(update(ConnectionRow).where(ConnectionRow.user_name == user).values(to_end=True))


def keep_connections(session: Session, user: str) -> None:
    """Leave the sessions alone that were to end, in a transaction that restores their user."""
    session.execute(update(ConnectionRow).where(ConnectionRow.user_name == user).values(to_end=False))


def _is_revoked(user: str) -> ColumnElement[bool]:
    return exists().where(AccountRow.user_name == user, AccountRow.revoked_at.is_not(None))


def _has_lost_a_device(user: str, now: dt.datetime) -> ColumnElement[bool]:
    keys = select(DeviceRow.key_identifier).where(DeviceRow.user_name == user)
    return exists().where(CertificateRow.key_identifier.in_(keys), CertificateRow.revoked_at > now - _REREAD)


def _surplus(user: str) -> Select[str]:
    return (
        select(ConnectionRow.client_id)
        .where(ConnectionRow.user_name == user)
        .order_by(ConnectionRow.connected_at.desc(), ConnectionRow.client_id)
        .offset(MOST_SESSIONS)
    )
