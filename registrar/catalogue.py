"""The index of stored images: whose they are, what may be said of them, and the registrar's wrapped keys.

Ordinals rise by one with each image and are handed out under a lock, in the order of the commits: who has seen an
ordinal has seen every lower one, on PostgreSQL too, so that a reader can go by a mark.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, or_, select, update

from common.errors import RefusedError
from registrar import audit
from registrar.database import transaction
from registrar.deletions import demand_not_deleted
from registrar.listing import Viewer, former_keys, list_page
from registrar.tables import CatalogueRow, ImageRow, ReceiptRow, RecipientRow, RemovalRow, UsageRow

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable, Iterator, Sequence
    from typing import Literal

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from common.messages import Audience, Order

    Reason = Literal["removed", "expired", "lost"]

_PAGE = 500
_MOST_UNSEEN = 1000  # of an owner; each is a row for ever


@dataclass(frozen=True, slots=True)
class Record:
    """A stored image.

    ``name`` is what everyone may read; ``wrapped_key`` is the content key, wrapped to the registrar, or None where it
    is no recipient. Sizes are bytes, of the image and of its sealed form. ``expires_at`` is when the registrar removes
    it.
    """

    image_id: uuid.UUID
    owner: str
    channel: str
    name: str | None
    audience: Audience
    size: int
    sealed_size: int
    sha256_sealed: str
    wrapped_key: bytes | None
    stored_at: dt.datetime
    expires_at: dt.datetime | None

    def is_same_image(self, other: Record) -> bool:
        """Tell whether the other record is of the same sealed image (docs/protocol.md, "store")."""
        mine = (self.image_id, self.owner, self.channel, self.sha256_sealed)
        return mine == (other.image_id, other.owner, other.channel, other.sha256_sealed)


@dataclass(frozen=True, slots=True)
class Quota:
    """What one owner may take up of the archive."""

    images: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the catalogue; ``mark`` is where the next one begins."""

    records: list[Record]
    mark: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """An image that is gone; ``channel`` is None where it never came."""

    image_id: uuid.UUID
    owner: str
    channel: str | None
    reason: Reason
    removed_at: dt.datetime
    settled: bool = False


class Catalogue:
    """The records in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, record: Record, recipients: frozenset[bytes], quota: Quota, is_there: Callable[[], bool] = lambda: True
    ) -> Record:
        """Add a record durably, and return it; for the same image again return the first one.

        ``recipients`` are the key identifiers of named people; ``is_there`` tells whether the archive has the image,
        and is asked while nobody else changes the catalogue. Raises RefusedError: ``image_id_taken`` where the id is
        another image's, ``removed`` where the image was, ``revoked`` where its owner's account was deleted,
        ``quota_exceeded``, ``unavailable`` where it is not there.
        """
        with transaction(self._engine) as session:
            ordinal = _lock(session)
            demand_not_deleted(session, record.owner)
            first = _demand_free(session, record, quota)
            if first is not None:
                return first
            if not is_there():
                raise RefusedError("the image went astray", hint="try again", code="unavailable", retry_after=1)
            # It was lost here once, and is back.
            session.execute(
                delete(RemovalRow).where(RemovalRow.image_id == record.image_id, RemovalRow.owner == record.owner)
            )
            usage = session.get(UsageRow, record.owner) or UsageRow(owner=record.owner, images=0, bytes=0)
            usage.images, usage.bytes = usage.images + 1, usage.bytes + record.sealed_size
            session.add_all([usage, ImageRow(**asdict(record), ordinal=ordinal)])
            session.flush()
            session.add_all(RecipientRow(key_identifier=one, ordinal=ordinal) for one in recipients)
        return record

    def check_free(self, record: Record, quota: Quota) -> Record | None:
        """Return the first record of the same image, or None; raises RefusedError as ``add`` does."""
        with transaction(self._engine) as session:
            return _demand_free(session, record, quota)

    def is_empty(self) -> bool:
        """Tell whether there is no record at all."""
        with transaction(self._engine) as session:
            return session.scalar(select(ImageRow.ordinal).limit(1)) is None

    def get(self, image_id: uuid.UUID) -> Record | None:
        """Return the record of an image, or None."""
        with transaction(self._engine) as session:
            row = session.get(ImageRow, image_id)
            return _record(row) if row else None

    def known(self, image_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Return those of up to some hundred images that have a record."""
        with transaction(self._engine) as session:
            return set(session.scalars(select(ImageRow.image_id).where(ImageRow.image_id.in_(image_ids))))

    def may_see(self, record: Record, viewer: Viewer) -> bool:
        """Tell whether an image is for this viewer: for every member, one's own, or for people of whom this is one."""
        if record.audience == "members" or record.owner == viewer.user:
            return True
        key = RecipientRow.key_identifier
        named = (
            select(RecipientRow.ordinal)
            .join(ImageRow, ImageRow.ordinal == RecipientRow.ordinal)
            .where(ImageRow.image_id == record.image_id)
            .where(or_(key == viewer.key_identifier, key.in_(former_keys(viewer))))
            .limit(1)
        )
        with transaction(self._engine) as session:
            return session.scalar(named) is not None

    def visible_to(self, viewer: Viewer, order: Order, mark: str | None, limit: int) -> Page:
        """Return a page of what the viewer may see, from a mark on; one of another catalogue counts for none."""
        with transaction(self._engine) as session:
            found = list_page(session, viewer, order, mark, limit)
            return Page([_record(row) for row in found.rows], found.mark, found.complete)

    def pages(self) -> Iterator[list[Record]]:
        """Yield every record, the oldest first, in pages, so that no long reading holds up what is stored meanwhile."""
        ordinal = 0
        while True:
            query = select(ImageRow).where(ImageRow.ordinal > ordinal).order_by(ImageRow.ordinal).limit(_PAGE)
            with transaction(self._engine) as session:
                rows = session.scalars(query).all()
            if not rows:
                return
            yield [_record(row) for row in rows]
            ordinal = rows[-1].ordinal

    def expired(self, now: dt.datetime, limit: int) -> list[Record]:
        """Return images whose time is over, those first that have been over for longest."""
        query = select(ImageRow).where(ImageRow.expires_at <= now).order_by(ImageRow.expires_at).limit(limit)
        with transaction(self._engine) as session:
            return [_record(row) for row in session.scalars(query)]

    def remove(self, removal: Removal) -> Removal:
        """Take an image out durably, and remember that it is gone; return the removal, or an earlier one of it."""
        with transaction(self._engine) as session:
            _lock(session)
            key = (removal.image_id, removal.owner)
            if (earlier := session.get(RemovalRow, key)) is not None:
                if earlier.reason == "lost":
                    # Now it shall not come back either.
                    earlier.reason = removal.reason
                    _note(session, removal)
                return _removal(earlier)
            image = session.get(ImageRow, removal.image_id)
            if removal.channel is None:
                _demand_few(session, removal.owner)
            if image is not None and image.owner == removal.owner:
                _give_back(session, image)
                session.execute(delete(RecipientRow).where(RecipientRow.ordinal == image.ordinal))
                session.execute(delete(ReceiptRow).where(ReceiptRow.ordinal == image.ordinal))
                session.delete(image)
            session.add(RemovalRow(**asdict(removal)))
            _note(session, removal)
        return removal

    def unless_known(self, image_id: uuid.UUID, act: Callable[[], None]) -> None:
        """Do something about an image that has no record; none comes meanwhile."""
        with transaction(self._engine) as session:
            _lock(session)
            if session.get(ImageRow, image_id) is None:
                act()

    def removal(self, image_id: uuid.UUID, owner: str | None = None) -> Removal | None:
        """Return the removal of an image that was stored once, of this owner or of anybody, or None."""
        query = select(RemovalRow).where(RemovalRow.image_id == image_id, RemovalRow.channel.is_not(None))
        if owner is not None:
            query = query.where(RemovalRow.owner == owner)
        with transaction(self._engine) as session:
            row = session.scalars(query).first()
            return _removal(row) if row else None

    def unsettled(self, limit: int) -> list[Removal]:
        """Return removals of which something may be left in the archive or at the broker."""
        with transaction(self._engine) as session:
            query = select(RemovalRow).where(RemovalRow.settled.is_(False)).limit(limit)
            return [_removal(row) for row in session.scalars(query)]

    def settle(self, removal: Removal) -> None:
        """Note that nothing is left of a removed image."""
        with transaction(self._engine) as session:
            row = session.get(RemovalRow, (removal.image_id, removal.owner))
            if row is not None:
                row.settled = True


def _lock(session: Session) -> int:
    """Wait for whoever else changes the catalogue, and return the ordinal of the next image."""
    raised = update(CatalogueRow).values(ordinal=CatalogueRow.ordinal + 1).returning(CatalogueRow.ordinal)
    return session.scalars(raised).one()


def _demand_free(session: Session, record: Record, quota: Quota) -> Record | None:
    """Return the first record of the same image, or None where it may be added; raises RefusedError."""
    row = session.get(ImageRow, record.image_id)
    if row is not None:
        first = _record(row)
        if not first.is_same_image(record):
            raise RefusedError("another image has this id", hint="post the image again", code="image_id_taken")
        return first
    for removal in session.scalars(select(RemovalRow).where(RemovalRow.image_id == record.image_id)):
        if removal.owner == record.owner and removal.reason != "lost":
            raise RefusedError("the image was removed", hint="post it again if it is wanted back", code="removed")
    usage = session.get(UsageRow, record.owner)
    if usage is not None and (usage.images >= quota.images or usage.bytes + record.sealed_size > quota.bytes):
        raise RefusedError(
            f"{record.owner} has {usage.images:,} images of {usage.bytes:,} bytes here, and may not store more",
            hint="remove some (publisher remove), or ask whoever runs the registrar for a higher quota",
            code="quota_exceeded",
        )
    return None


def _demand_few(session: Session, owner: str) -> None:
    """Raise RefusedError, ``quota_exceeded``, where an owner has removed too much that never came."""
    never_came = select(func.count()).where(RemovalRow.owner == owner, RemovalRow.channel.is_(None))
    if (session.scalar(never_came) or 0) >= _MOST_UNSEEN:
        raise RefusedError(
            f"{owner} has removed {_MOST_UNSEEN:,} images that never came here",
            hint="ask whoever runs the registrar",
            code="quota_exceeded",
        )


def _note(session: Session, removal: Removal) -> None:
    image_id, reason = str(removal.image_id), removal.reason
    audit.append(session, "removed", removal.owner, removal.removed_at, image_id=image_id, reason=reason)


def _give_back(session: Session, image: ImageRow) -> None:
    usage = session.get_one(UsageRow, image.owner)
    usage.images, usage.bytes = usage.images - 1, usage.bytes - image.sealed_size
    if not usage.images:
        session.delete(usage)


def _record(row: ImageRow) -> Record:
    return Record(**{field.name: getattr(row, field.name) for field in fields(Record)})


def _removal(row: RemovalRow) -> Removal:
    return Removal(**{field.name: getattr(row, field.name) for field in fields(Removal)})
