"""The receipts of stored images: one of each device, the latest, but what is saved stays saved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from registrar.database import ONLY_READS, transaction
from registrar.deletions import demand_not_deleted
from registrar.tables import CertificateRow, DeviceRow, ImageRow, ReceiptRow, RecipientRow

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Engine
    from sqlalchemy.orm import Session

    from common.messages import ReceiptOutcome
    from registrar.listing import Viewer

SAVED = "saved"
_MOST_DEVICES = 16  # of one reader, of whom receipts of one image are kept
_MOST_READERS = 10_000  # in one reply
_MARK = re.compile(r"[0-9a-f]{40}")  # a key identifier


@dataclass(frozen=True, slots=True)
class Kept:
    """What a receipt says, and the receipt as its reader signed it."""

    image_id: uuid.UUID
    outcome: ReceiptOutcome
    handled_at: dt.datetime
    signed: bytes


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """Some receipts as they were signed; ``mark`` is where the next page begins."""

    signed: list[bytes]
    mark: str
    complete: bool


class Receipts:
    """The receipts in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{ONLY_READS: True})

    def add(self, receipts: Iterable[Kept], viewer: Viewer) -> list[uuid.UUID]:
        """Keep receipts of one device durably; return the images that are still here to keep them of.

        Raises RefusedError, ``revoked``, where the reader's account was deleted.
        """
        with transaction(self._engine) as session:
            demand_not_deleted(session, viewer.user)
            return [receipt.image_id for receipt in receipts if _add(session, receipt, viewer)]

    def readers(self, image_id: uuid.UUID, now: dt.datetime) -> list[str]:
        """Return the members of now for whom an image is, but for its owner: all, or the named people."""
        with transaction(self._reading) as session:
            image = session.get(ImageRow, image_id)
            if image is None:
                return []
            query = (
                select(DeviceRow.user_name)
                .join(CertificateRow)
                .where(CertificateRow.revoked_at.is_(None), CertificateRow.expires_at > now)
                .where(DeviceRow.user_name != image.owner)
            )
            if image.audience == "named":
                query = query.where(_is_recipient(image.ordinal))
            return list(session.scalars(query.distinct().order_by(DeviceRow.user_name).limit(_MOST_READERS)))

    def page(self, image_id: uuid.UUID, mark: str | None, limit: int) -> ReceiptPage:
        """Return a page of an image's receipts, from a mark on; what is no mark counts for the beginning."""
        start = bytes.fromhex(mark) if mark and _MARK.fullmatch(mark) else b""
        query = (
            select(ReceiptRow.key_identifier, ReceiptRow.signed)
            .join(ImageRow, ImageRow.ordinal == ReceiptRow.ordinal)
            .where(ImageRow.image_id == image_id, ReceiptRow.key_identifier > start)
            .order_by(ReceiptRow.key_identifier)
            .limit(limit + 1)
        )
        with transaction(self._reading) as session:
            found = session.execute(query).all()
        page, complete = found[:limit], len(found) <= limit
        return ReceiptPage([signed for _, signed in page], page[-1][0].hex() if page else start.hex(), complete)


def _add(session: Session, receipt: Kept, viewer: Viewer) -> bool:
    # Locked, so that no two registrars keep receipts of it at once, and it is not removed meanwhile.
    ordinal = session.scalar(select(ImageRow.ordinal).where(ImageRow.image_id == receipt.image_id).with_for_update())
    if ordinal is None:
        return False
    row = session.get(ReceiptRow, (ordinal, viewer.key_identifier))
    if row is None:
        theirs = (ReceiptRow.ordinal == ordinal, ReceiptRow.user_name == viewer.user)
        if (session.scalar(select(func.count()).where(*theirs)) or 0) >= _MOST_DEVICES:
            return False
        row = ReceiptRow(ordinal=ordinal, key_identifier=viewer.key_identifier, user_name=viewer.user)
        session.add(row)
    elif row.outcome == SAVED or (receipt.outcome != SAVED and row.handled_at > receipt.handled_at):
        # Sent again, or overtaken by a later one; no clock keeps what was saved from being so.
        return True
    row.outcome, row.handled_at, row.signed = receipt.outcome, receipt.handled_at, receipt.signed
    session.flush()
    return True


def _is_recipient(ordinal: int) -> ColumnElement[bool]:
    """Tell of a device whether an image is for it: its key was named, or one that it has had before."""
    named = select(RecipientRow.key_identifier).where(RecipientRow.ordinal == ordinal)
    key = DeviceRow.key_identifier
    successors = select(DeviceRow.successor).where(key.in_(named), DeviceRow.successor.is_not(None))
    return or_(key.in_(named), key.in_(successors))
