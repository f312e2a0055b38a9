"""Accounts that were deleted (docs/protocol.md, "Deletion").

One transaction locks the account; from then on nobody gets in by it, and its images are nobody's. They are removed
afterwards, some at a time and by whoever serves: which ones are left is what the database says, so nothing is forgotten
where that is interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from common.errors import RefusedError
from common.revocation_lists import Reason
from registrar import audit
from registrar.database import ONLY_READS, transaction
from registrar.passwords import LOCKED, login_failed
from registrar.revocations import find_account, revoke_user
from registrar.tables import AccountRow, ImageRow, ReceiptRow, UsageRow
from registrar.tokens import withdraw_all

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted with an account; ``images`` are still to be removed."""

    user: str
    deleted_at: dt.datetime
    images: int


class Deletions:
    """The deletions in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{ONLY_READS: True})

    def delete(self, user: str, now: dt.datetime, *, known: str | None = None) -> Deletion:
        """Delete an account, or say what is left of one that was deleted before.

        The name stays taken: what was meant for this user would reach the next of the name. Raises RefusedError,
        ``unknown_user``, and ``login_failed`` where the password's hash is not the ``known`` one any more.
        """
        with transaction(self._engine) as session:
            usage = session.get(UsageRow, user)
            images = usage.images if usage else 0
            earlier = _deleted_at(session, user)
            if earlier is not None:
                return Deletion(user, earlier, images)
            account = find_account(session, user)
            if known is not None and account.password_hash != known:
                raise login_failed()
            # None is left, neither for a guess nor for a restoration; a login with the name takes as long as before.
            account.password_hash = LOCKED
            withdraw_all(session, user, "invitation", "reset")
            session.execute(delete(ReceiptRow).where(ReceiptRow.user_name == user))
            revoke_user(session, user, Reason.CESSATION_OF_OPERATION, now)
            account.deleted_at = now
            audit.append(session, "deleted", user, now, images=images)
            return Deletion(user, now, images)

    def images_left(self, now: dt.datetime, limit: int) -> list[tuple[uuid.UUID, str, str]]:
        """Return image id, owner and channel of images whose owner's account was deleted by now."""
        # Not `IS NOT NULL`, for which SQLite reads every account (seen in its plan).
        deleted = select(AccountRow.user_name).where(AccountRow.deleted_at <= now)
        query = (
            select(ImageRow.image_id, ImageRow.owner, ImageRow.channel).where(ImageRow.owner.in_(deleted)).limit(limit)
        )
        with transaction(self._reading) as session:
            return [(image_id, owner, channel) for image_id, owner, channel in session.execute(query)]


def demand_not_deleted(session: Session, user: str) -> None:
    """Raise RefusedError, ``revoked``, in a transaction that would give something to an account that was deleted."""
    if _deleted_at(session, user) is not None:
        raise RefusedError(f"{user} is not a member any more", hint="ask whoever runs the registrar", code="revoked")


def _deleted_at(session: Session, user: str) -> dt.datetime | None:
    return session.scalar(select(AccountRow.deleted_at).where(AccountRow.user_name == user))
