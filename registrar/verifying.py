"""Holds the archive against the catalogue: every image has to be there, whole, and known.

What can be mended: a damaged or missing image from a backup, or else its entry is taken out, so that nobody waits for
it; an image for members without an entry gets one, since its signed header says all that has to be in it. What cannot
be used is set aside; only what its owner has removed is discarded.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from common import certificates, topics
from common.errors import ConfigurationError, RefusedError, VerificationError
from common.sealing import open_signed, read_header, read_sealed
from registrar.catalogue import Quota, Record, Removal

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator

    from common.certificates import Trust
    from registrar.archive import Archive
    from registrar.handlers import Handlers

# A file without an entry may be one that is being stored.
_STORED_BY_NOW = dt.timedelta(hours=1)
_AT_ONCE = 200
_NO_QUOTA = Quota(2**62, 2**62)
_PART = 1 << 20


Mended = Literal["restored", "taken_out", "taken_in", "set_aside", "discarded"]


@dataclass(frozen=True, slots=True)
class Fault:
    """An image that is not as it should be; ``mended`` says what was done about it.

    ``missing`` and ``damaged`` are in the catalogue, ``unknown`` and ``removed`` in the archive only.
    """

    kind: Literal["damaged", "missing", "unknown", "removed"]
    image_id: uuid.UUID
    owner: str | None
    mended: Mended | None


@dataclass(slots=True)
class Verification:
    """One pass over the archive; counts what it has seen. ``backup`` is the archive of a backup, if there is one.

    ``young`` are files without an entry that may be images which are being stored.
    """

    handlers: Handlers
    repair: bool
    backup: Archive | None
    now: dt.datetime
    images: int = 0
    bytes: int = 0
    young: int = 0

    def faults(self) -> Iterator[Fault]:
        """Yield each fault, mended where that was wanted and can be; raises RefusedError where a store fails."""
        if self.repair:
            self._demand_archive()
        for page in self.handlers.catalogue.pages():
            for record in page:
                self.images, self.bytes = self.images + 1, self.bytes + record.sealed_size
                fault = self._check(record)
                if fault is not None:
                    yield fault
        stored = iter(self.handlers.archive.stored())
        while chunk := dict(itertools.islice(stored, _AT_ONCE)):
            known = self.handlers.catalogue.known(list(chunk))
            for image_id, since in chunk.items():
                if image_id in known:
                    continue
                if self.now - since <= _STORED_BY_NOW:
                    self.young += 1
                else:
                    yield self._settle_unknown(image_id)

    def _demand_archive(self) -> None:
        """Raise ConfigurationError where there is no image at all: that is another folder, or none is mounted."""
        if not self.handlers.catalogue.is_empty() and next(iter(self.handlers.archive.stored()), None) is None:
            raise ConfigurationError(
                "the archive has not one of the images in the catalogue",
                hint="check --archive, and that its disk is mounted; nothing was changed",
                code="no_archive",
            )

    def _check(self, record: Record) -> Fault | None:
        archive, catalogue = self.handlers.archive, self.handlers.catalogue
        digest = digest_of(archive, record.image_id)
        if digest == record.sha256_sealed or catalogue.get(record.image_id) is None:
            return None
        return Fault(
            "missing" if digest is None else "damaged",
            record.image_id,
            record.owner,
            self._mend(record) if self.repair else None,
        )

    def _mend(self, record: Record) -> Mended:
        archive = self.handlers.archive
        sound = whole_image(self.backup, record) if self.backup else None
        archive.set_aside(record.image_id)
        if sound is not None:
            archive.put(record.image_id, sound)
            return "restored"
        self.handlers.catalogue.remove(Removal(record.image_id, record.owner, record.channel, "lost", self.now))
        return "taken_out"

    def _settle_unknown(self, image_id: uuid.UUID) -> Fault:
        """Do what can be done about a file without an entry."""
        handlers = self.handlers
        removal = handlers.catalogue.removal(image_id)
        if removal is not None and removal.reason != "lost":
            if self.repair:
                handlers.catalogue.unless_known(image_id, lambda: handlers.archive.discard(image_id))
            return Fault("removed", image_id, removal.owner, "discarded" if self.repair else None)
        if not self.repair:
            return Fault("unknown", image_id, None, None)
        trust = handlers.authority.trust(self.now)
        try:
            record = self._read(image_id, trust)
            handlers.catalogue.add(record, frozenset(), _NO_QUOTA)
        except (VerificationError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.retry_after is not None:
                raise
            # Its entry may have come in this moment.
            handlers.catalogue.unless_known(image_id, lambda: handlers.archive.set_aside(image_id))
            return Fault("unknown", image_id, None, "set_aside")
        return Fault("unknown", image_id, record.owner, "taken_in")

    def _read(self, image_id: uuid.UUID, trust: Trust) -> Record:
        """Return the entry that an image for members should have; raises VerificationError where it cannot be told."""
        handlers = self.handlers
        sealed, maximum = handlers.archive.get(image_id), handlers.settings.maximum_sealed_size
        claimed = read_header(sealed, handlers.reader, maximum_size=maximum)
        # Its owner's certificate has to have been valid when it was sealed: when it was stored, nobody knows any more.
        header = open_signed(
            sealed, topic=claimed.topic, reader=handlers.reader, trust=trust, at=claimed.sent_at,
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
    """Return the SHA-256 of a stored image, hexadecimal: None where it is not there, empty where it cannot be read."""
    digest = sha256()
    try:
        for offset in itertools.count(0, _PART):
            part = archive.read(image_id, offset, _PART)
            digest.update(part)
            if len(part) < _PART:
                break
    except RefusedError as error:
        if error.code not in {"unknown_image", "damaged"}:
            raise
        return None if error.code == "unknown_image" else ""
    return digest.hexdigest()


def whole_image(archive: Archive, record: Record) -> bytes | None:
    """Return a stored image, or None where it is not there or not as it was stored."""
    try:
        sealed = archive.get(record.image_id)
    except RefusedError as error:
        if error.code not in {"unknown_image", "damaged"}:
            raise
        return None
    return sealed if sha256(sealed).hexdigest() == record.sha256_sealed else None
