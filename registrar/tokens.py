"""One-time tokens: invitations, and codes that reset a password.

A token that is open has a row, with its SHA-256 only; to redeem it, to withdraw it and to let it expire are the same:
the row goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, or_, select

from common.errors import RefusedError
from registrar import audit
from registrar.database import transaction
from registrar.tables import TokenRow

if TYPE_CHECKING:
    import datetime as dt
    from typing import Literal

    from sqlalchemy import ColumnElement, Engine
    from sqlalchemy.orm import Session

    Kind = Literal["invitation", "reset"]

_ID_DIGITS = 12  # of the hash: enough to name one of those that are open


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """A line of ``registrar invitations``; ``user`` is None where it is for anybody."""

    id: str
    user: str | None
    created_at: dt.datetime
    expires_at: dt.datetime


class Tokens:
    """The open tokens in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_invitation(self, token: str, user: str | None, *, now: dt.datetime, expires_at: dt.datetime) -> str:
        """Open an invitation, for one user name or for any, and return its id."""
        with transaction(self._engine) as session:
            _sweep(session, now)
            session.add(_row(token, "invitation", user, now, expires_at))
            identifier = token_id(token)
            audit.append(session, "invited", user, now, invitation=identifier, expires_at=expires_at.isoformat())
        return identifier

    def kind_of(self, token: str, user: str, now: dt.datetime) -> Kind | None:
        """Return what an open token is to this user, or None where it is nothing."""
        with transaction(self._engine) as session:
            row = session.scalar(select(TokenRow).where(*_opens(token, user, now)))
            return row.kind if row else None

    def invitations(self, now: dt.datetime) -> list[OpenInvitation]:
        """Return the invitations that are open, those first that expire first."""
        query = (
            select(TokenRow)
            .where(TokenRow.kind == "invitation", TokenRow.expires_at > now)
            .order_by(TokenRow.expires_at, TokenRow.token_sha256)
        )
        with transaction(self._engine) as session:
            return [
                OpenInvitation(row.token_sha256[:_ID_DIGITS], row.user_name, row.created_at, row.expires_at)
                for row in session.scalars(query)
            ]

    def withdraw(self, identifier: str, now: dt.datetime) -> None:
        """Close an invitation by its id; raises RefusedError, ``unknown_invitation``, where none of that id is open."""
        query = (
            delete(TokenRow)
            .where(TokenRow.kind == "invitation", func.substr(TokenRow.token_sha256, 1, _ID_DIGITS) == identifier)
            .returning(TokenRow.user_name)
        )
        with transaction(self._engine) as session:
            withdrawn = session.execute(query).first()
            if withdrawn is None:
                raise RefusedError(
                    "there is no such invitation", hint="see `registrar invitations`", code="unknown_invitation"
                )
            audit.append(session, "invitation-withdrawn", withdrawn.user_name, now, invitation=identifier)


def token_id(token: str) -> str:
    """Return what names a token, and opens nothing."""
    return _hash(token)[:_ID_DIGITS]


def add_reset(session: Session, token: str, user: str, *, now: dt.datetime, expires_at: dt.datetime) -> None:
    """Open a code that resets a user's password in a transaction, in place of an earlier one."""
    _sweep(session, now)
    withdraw_all(session, user, "reset")
    session.add(_row(token, "reset", user, now, expires_at))


def redeem(session: Session, token: str, kind: Kind, user: str, now: dt.datetime) -> bool:
    """Use an open token up in a transaction; return False where it is none, or somebody else was a moment faster."""
    query = delete(TokenRow).where(TokenRow.kind == kind, *_opens(token, user, now)).returning(TokenRow.token_sha256)
    return session.scalar(query) is not None


def withdraw_all(session: Session, user: str, *kinds: Kind) -> None:
    """Close a user's tokens of these kinds in a transaction."""
    session.execute(delete(TokenRow).where(TokenRow.user_name == user, TokenRow.kind.in_(kinds)))


def _sweep(session: Session, now: dt.datetime) -> None:
    session.execute(delete(TokenRow).where(TokenRow.expires_at <= now))


def _opens(token: str, user: str, now: dt.datetime) -> tuple[ColumnElement[bool], ...]:
    for_user = or_(TokenRow.user_name.is_(None), TokenRow.user_name == user)
    return TokenRow.token_sha256 == _hash(token), TokenRow.expires_at > now, for_user


def _row(token: str, kind: Kind, user: str | None, now: dt.datetime, expires_at: dt.datetime) -> TokenRow:
    return TokenRow(token_sha256=_hash(token), kind=kind, user_name=user, created_at=now, expires_at=expires_at)


def _hash(token: str) -> str:
    # A token has 120 random bits or more, so no slow hash is needed to keep it from being guessed.
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
