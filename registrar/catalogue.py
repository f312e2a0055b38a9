"""The index of stored images: whose they are, what may be said of them, and the registrar's wrapped keys."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from common.errors import RefusedError
from registrar.database import ImageRow, transaction

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterator

    from sqlalchemy import Engine, Select

    from common.messages import Audience

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Record:
    """A stored image.

    ``name`` is what everyone may read; ``wrapped_key`` is the content key, wrapped to the registrar, or None where it
    is no recipient. ``recipients`` are the identifiers of named people's keys, hexadecimal, with spaces between;
    for members it is empty. Sizes are bytes, of the image and of its sealed form.
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
    recipients: str
    stored_at: dt.datetime
    expires_at: dt.datetime | None

    def is_same_image(self, other: Record) -> bool:
        """Tell whether the other record is of the same sealed image (docs/protocol.md, "store")."""
        mine = (self.image_id, self.owner, self.channel, self.sha256_sealed)
        return mine == (other.image_id, other.owner, other.channel, other.sha256_sealed)


class Catalogue:
    """The records in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, record: Record) -> Record:
        """Add a record durably, and return it; for the same image again return the first one.

        Raises RefusedError, ``image_id_taken``, where the id is another image's.
        """
        try:
            with transaction(self._engine) as session:
                session.add(ImageRow(**asdict(record)))
        except IntegrityError:
            return self.check_free(record) or record
        return record

    def check_free(self, record: Record) -> Record | None:
        """Return the first record of the same image, or None; raises RefusedError, ``image_id_taken``."""
        first = self.get(record.image_id)
        if first is not None and not first.is_same_image(record):
            raise RefusedError("another image has this id", hint="post the image again", code="image_id_taken")
        return first

    def get(self, image_id: uuid.UUID) -> Record | None:
        """Return the record of an image, or None."""
        with transaction(self._engine) as session:
            row = session.get(ImageRow, image_id)
            return _record(row) if row else None

    def all(self) -> Iterator[Record]:
        """Yield every record, the oldest first, in pages, so that no long reading holds up what is stored meanwhile."""
        query = select(ImageRow).order_by(ImageRow.image_id).limit(_PAGE)
        page = self._read(query)
        while page:
            yield from page
            page = self._read(query.where(ImageRow.image_id > page[-1].image_id))

    def _read(self, query: Select[ImageRow]) -> list[Record]:
        with transaction(self._engine) as session:
            return [_record(row) for row in session.scalars(query)]


def _record(row: ImageRow) -> Record:
    return Record(**{field.name: getattr(row, field.name) for field in fields(Record)})
