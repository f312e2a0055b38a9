"""Holds the archive against the catalogue: every image has to be there, whole, and known.

What can be mended: a damaged or missing image from a backup, or else its entry is taken out, so that nobody waits for
it and its owner's device may send it again; an image for members without an entry gets one, since its signed header
says all that has to be in it. What cannot be used is set aside, never deleted.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from common import certificates, topics
from common.errors import RefusedError, VerificationError
from common.sealing import Reader, open_signed, read_header, read_sealed
from registrar.catalogue import Quota, Record, Removal

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator

    from registrar.archive import Archive
    from registrar.handlers import Handlers

# A file without an entry may be one that is being stored.
_STORED_BY_NOW = dt.timedelta(hours=1)
_AT_ONCE = 200
_NO_QUOTA = Quota(2**62, 2**62)
_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """An image that is not as it should be; ``mended`` says how, where it is now."""

    kind: Literal["damaged", "missing", "unknown"]
    image_id: uuid.UUID
    owner: str | None
    mended: str | None


@dataclass(slots=True)
class Verification:
    """One pass over the archive; counts what it has seen. ``backup`` is the archive of a backup, if there is one."""

    handlers: Handlers
    repair: bool
    backup: Archive | None
    now: dt.datetime
    images: int = 0
    bytes: int = 0

    def faults(self) -> Iterator[Fault]:
        """Yield each fault, mended where that was wanted and can be."""
        for page in self.handlers.catalogue.pages():
            for record in page:
                self.images, self.bytes = self.images + 1, self.bytes + record.sealed_size
                fault = self._check(record)
                if fault is not None:
                    yield fault
        old = (one for one, since in self.handlers.archive.stored() if self.now - since > _STORED_BY_NOW)
        while chunk := list(itertools.islice(old, _AT_ONCE)):
            known = self.handlers.catalogue.known(chunk)
            for image_id in chunk:
                # A removed one is cleared away by the registrar that serves.
                if image_id not in known and self.handlers.catalogue.removal(image_id) is None:
                    yield self._take_in(image_id)

    def _check(self, record: Record) -> Fault | None:
        archive, catalogue = self.handlers.archive, self.handlers.catalogue
        digest = digest_of(archive, record.image_id)
        if digest == record.sha256_sealed or catalogue.get(record.image_id) is None:
            return None
        mended = None
        if self.repair:
            if digest is not None:
                archive.set_aside(record.image_id)
            if self.backup is not None and digest_of(self.backup, record.image_id) == record.sha256_sealed:
                archive.put(record.image_id, self.backup.get(record.image_id))
                mended = "restored from the backup"
            else:
                catalogue.remove(Removal(record.image_id, record.owner, record.channel, "lost", self.now))
                mended = "taken out of the catalogue"
        return Fault("missing" if digest is None else "damaged", record.image_id, record.owner, mended)

    def _take_in(self, image_id: uuid.UUID) -> Fault:
        if not self.repair:
            return Fault("unknown", image_id, None, None)
        try:
            record = self._read(image_id)
            self.handlers.catalogue.add(record, frozenset(), _NO_QUOTA)
        except (VerificationError, RefusedError):
            self.handlers.archive.set_aside(image_id)
            return Fault("unknown", image_id, None, "set aside")
        return Fault("unknown", image_id, record.owner, "taken into the catalogue")

    def _read(self, image_id: uuid.UUID) -> Record:
        """Return the entry that an image for members should have; raises VerificationError where it cannot be told."""
        handlers = self.handlers
        sealed, maximum = handlers.archive.get(image_id), handlers.settings.maximum_sealed_size
        reader = Reader(handlers.key, (handlers.certificate,))
        claimed = read_header(sealed, reader, maximum_size=maximum)
        # Its owner's certificate has to have been valid when it was sealed: when it was stored, nobody knows any more.
        header = open_signed(
            sealed, topic=claimed.topic, reader=reader, trust=handlers.authority.trust(self.now), at=claimed.sent_at,
            now=self.now, maximum_size=maximum,
        ).header  # fmt: skip
        topic = topics.parse_image(header.topic)
        if topic is None or header.image_id != image_id or (header.expires_at and header.expires_at <= self.now):
            raise VerificationError("it is another image, or one that is over")
        own_key = certificates.subject_key_identifier(handlers.certificate)
        return Record(
            image_id=image_id,
            owner=header.owner,
            channel=topic.channel,
            name=header.name,
            audience=header.audience,
            size=header.size,
            sealed_size=len(sealed),
            sha256_sealed=sha256(sealed).hexdigest(),
            wrapped_key=read_sealed(sealed, maximum_size=maximum).encrypted_key_for(own_key),
            stored_at=header.sent_at,
            expires_at=handlers.end_of(header.expires_at, header.sent_at),
        )


def digest_of(archive: Archive, image_id: uuid.UUID) -> str | None:
    """Return the SHA-256 of a stored image, hexadecimal, or None where it is not there."""
    if not archive.contains(image_id):
        return None
    digest = sha256()
    for offset in itertools.count(0, _PART):
        part = archive.read(image_id, offset, _PART)
        digest.update(part)
        if len(part) < _PART:
            break
    return digest.hexdigest()
