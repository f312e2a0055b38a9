"""A page of the catalogue: what one viewer may see, from a mark on, at a cost that does not grow with the catalogue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, union

from registrar.tables import CatalogueRow, DeviceRow, ImageRow, RecipientRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from common.messages import Order

_MARK = re.compile(r"(?P<epoch>[0-9a-f]{16})-(?P<ordinal>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks for images: a user, and the key identifier of the user's certificate."""

    user: str
    key_identifier: bytes


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Rows in the order that was asked for; ``mark`` is where the next page begins."""

    rows: Sequence[ImageRow]
    mark: str
    complete: bool


def list_page(session: Session, viewer: Viewer, order: Order, mark: str | None, limit: int) -> FoundPage:
    """Return a page of what the viewer may see; a mark of another catalogue, or of a later one, counts for none."""
    catalogue = session.scalars(select(CatalogueRow)).one()
    newest_first = order == "newest"
    start = _ordinal_of(mark, catalogue, newest_first=newest_first)
    visible = _visible(viewer, start, limit + 1, newest_first=newest_first)
    ordered = ImageRow.ordinal.desc() if newest_first else ImageRow.ordinal
    found = session.scalars(select(ImageRow).where(ImageRow.ordinal.in_(visible)).order_by(ordered)).all()
    page, complete = found[:limit], len(found) <= limit
    # Behind the last image there may be others that the viewer cannot see: no need to pass them again.
    end = (0 if newest_first else catalogue.ordinal) if complete else page[-1].ordinal
    return FoundPage(page, f"{catalogue.epoch}-{end}", complete)


def _visible(viewer: Viewer, start: int, limit: int, *, newest_first: bool) -> Select[tuple[int]]:
    """Return the ordinals of a page: the next ones of each kind that the viewer may see, so the cost is bounded."""
    image, recipient = ImageRow.ordinal, RecipientRow.ordinal
    kinds = [
        (image, ImageRow.audience == "members"),
        (image, ImageRow.owner == viewer.user),
        (recipient, RecipientRow.key_identifier == viewer.key_identifier),
        (recipient, RecipientRow.key_identifier.in_(former_keys(viewer))),
    ]
    parts = [
        select(ordinal)
        .where(condition, ordinal < start if newest_first else ordinal > start)
        .order_by(ordinal.desc() if newest_first else ordinal)
        .limit(limit)
        .subquery()
        for ordinal, condition in kinds
    ]
    found = union(*(select(part.c.ordinal) for part in parts)).subquery()
    ordered = found.c.ordinal.desc() if newest_first else found.c.ordinal
    return select(found.c.ordinal).order_by(ordered).limit(limit)


def former_keys(viewer: Viewer) -> Select[bytes]:
    """Return the identifiers of the keys that the viewer's device has had before."""
    return select(DeviceRow.key_identifier).where(DeviceRow.successor == viewer.key_identifier)


def _ordinal_of(mark: str | None, catalogue: CatalogueRow, *, newest_first: bool) -> int:
    parts = _MARK.fullmatch(mark or "")
    if parts and parts["epoch"] == catalogue.epoch and int(parts["ordinal"]) <= catalogue.ordinal:
        return int(parts["ordinal"])
    return catalogue.ordinal + 1 if newest_first else 0
