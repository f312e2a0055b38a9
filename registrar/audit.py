"""The audit log: what has happened to accounts, certificates, keys and images, each entry chained to the one before.

An entry is written in the transaction of what it tells of, so that there is neither without the other. None is ever
changed: whoever edits, deletes or reorders entries breaks the chain (docs/audit.md), and whoever writes it anew from
there on has another head than the one that was published.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from common.errors import VerificationError
from registrar.database import transaction
from registrar.login_failures import LoginFailures
from registrar.tables import AuditHeadRow, AuditRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    Detail = str | int | Sequence[str] | None

Event = Literal[
    "registered",
    "certificate-signed",
    "password-changed",
    "reset-code",
    "invited",
    "invitation-withdrawn",
    "login-failed",
    "released",
    "revoked",
    "restored",
    "deleted",
    "removed",
    "rotated",
    "restored-from-backup",
]
FIRST = "0" * 64  # what stands in the place of a hash before the first entry
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log; ``user`` is whom it is about, ``details`` the text of a JSON object."""

    ordinal: int
    time: dt.datetime
    event: str
    user: str | None
    details: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: its ordinal, 0 where there is none, and its hash, which depends on all before it."""

    ordinal: int
    hash: str


def append(session: Session, event: Event, user: str | None, now: dt.datetime, **details: Detail) -> None:
    """Write an entry in a transaction, as the last that it does: from here on all others wait for its end.

    A detail is never a secret: of a token its id, of a certificate its fingerprint.
    """
    head = _head_row(session)
    text = json.dumps(details, sort_keys=True, separators=(",", ":"))
    digest = link(head.hash, head.ordinal + 1, now, event=event, user=user, details=text)
    head.ordinal, head.hash = head.ordinal + 1, digest
    session.add(AuditRow(ordinal=head.ordinal, time=now, event=event, user_name=user, details=text, hash=digest))


def link(previous: str, ordinal: int, time: dt.datetime, *, event: str, user: str | None, details: str) -> str:
    """Return the hash of an entry, hexadecimal; ``previous`` is that of the one before (docs/audit.md, "The chain")."""
    moment = time.astimezone(dt.UTC).isoformat(timespec="microseconds")
    fields = [previous, ordinal, moment, event, user, details]
    return sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


class AuditLog:
    """The log in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.login_failures = LoginFailures(self)

    def add(self, event: Event, user: str | None, now: dt.datetime, **details: Detail) -> None:
        """Write an entry durably, about what changes nothing else in the database."""
        with transaction(self._engine) as session:
            append(session, event, user, now, **details)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the entries behind an ordinal, in pages, so that no long reading holds up what is written meanwhile."""
        while True:
            page, _ = self._page(after)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].ordinal

    def verify(self, kept: Head | None = None) -> Head:
        """Compute the chain from the beginning, and return the head that it leads to.

        Raises VerificationError, ``audit_broken``, which says at which entry it breaks, or is not the one of a head
        that somebody has ``kept``.
        """
        ordinal, previous = 0, FIRST
        while True:
            page, head = self._page(ordinal)
            for entry in page:
                _demand_link(entry, ordinal, previous)
                ordinal, previous = entry.ordinal, entry.hash
                if kept is not None and kept.ordinal == ordinal and kept.hash != previous:
                    raise broken(f"entry {ordinal:,} is not the one of the head that was kept")
            if len(page) < _PAGE:
                break
        if kept is not None and kept.ordinal > ordinal:
            raise broken(f"it ends with entry {ordinal:,}, and the head that was kept is of entry {kept.ordinal:,}")
        if head.ordinal != ordinal:
            raise broken(f"it ends with entry {ordinal:,}, and {head.ordinal:,} were written")
        if head.hash != previous:
            raise broken(f"entry {ordinal:,}, the last, is not the one that was written")
        return head

    def head(self) -> Head:
        """Return where the log ends."""
        with transaction(self._engine) as session:
            return _head(session)

    def _page(self, after: int) -> tuple[list[Entry], Head]:
        """Return the next entries, and where the log ended when they were read."""
        query = select(AuditRow).where(AuditRow.ordinal > after).order_by(AuditRow.ordinal).limit(_PAGE)
        with transaction(self._engine) as session:
            head = _head(session)
            try:
                return [_entry(row) for row in session.scalars(query)], head
            except (ValueError, TypeError) as error:
                raise broken(f"an entry behind {after:,} cannot be read") from error


def broken(where: str) -> VerificationError:
    """Return the error for a log that is not what was written."""
    return VerificationError(
        where,
        message=f"the audit log was tampered with: {where}",
        hint="keep a copy of the database as it is, and look for who can write to it",
        code="audit_broken",
    )


def altered(entry: Entry) -> VerificationError:
    """Return the error for an entry that nobody has written so."""
    return broken(f"entry {entry.ordinal:,} is not the one that was written")


def _demand_link(entry: Entry, ordinal: int, previous: str) -> None:
    """Raise VerificationError unless an entry is the next one, and as it was written."""
    if entry.ordinal != ordinal + 1:
        raise broken(f"entry {ordinal + 1:,} is missing")
    digest = link(previous, entry.ordinal, entry.time, event=entry.event, user=entry.user, details=entry.details)
    if digest != entry.hash:
        raise altered(entry)


def _head_row(session: Session) -> AuditHeadRow:
    """Return where the log ends; nobody else writes to it before the transaction is over."""
    head = session.scalars(select(AuditHeadRow).with_for_update()).one_or_none()
    if head is None:
        raise broken("where it ends is not known")
    return head


def _head(session: Session) -> Head:
    row = _head_row(session)
    return Head(row.ordinal, row.hash)


def _entry(row: AuditRow) -> Entry:
    return Entry(row.ordinal, row.time, row.event, row.user_name, row.details, row.hash)
