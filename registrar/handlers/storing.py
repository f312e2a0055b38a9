"""Storing and removing: what the registrar keeps of an owner's images (docs/protocol.md, "Operations")."""

from __future__ import annotations

import datetime as dt
from hashlib import sha256
from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.errors import RefusedError, VerificationError
from common.sealing import open_signed, read_sealed
from registrar.catalogue import Quota, Record, Removal
from registrar.handlers.stores import Outcome, Publication, Stores, announcement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

    from common.enveloping import Envelope
    from common.topics import ImageTopic

_AT_ONCE = 100  # images that are cleared away before others get their turn


class Storing(Stores):
    """The operations ``store`` and ``remove``, and what becomes of images whose time is over."""

    __slots__ = ()

    def store(
        self,
        request: messages.StoreRequest,
        topic: ImageTopic,
        sealed: bytes,
        signer: x509.Certificate,
        *,
        now: dt.datetime,
    ) -> Outcome:
        """Store a sealed image durably with its owner's name, and announce it; raises RefusedError."""
        if len(sealed) > self.settings.maximum_sealed_size:
            raise RefusedError("the image is too large", hint="post a smaller one", code="too_large")
        if sha256(sealed).hexdigest() != request.sha256_sealed:
            raise RefusedError("the image is not the one that its owner signed", code="altered")
        try:
            envelope = self._read_envelope(topic, sealed, signer)
            header = self._open_if_recipient(envelope, topic, sealed, now)
        except VerificationError as error:
            raise RefusedError("the sealed image is not acceptable", code="invalid_image") from error
        if request.size > len(sealed):
            raise RefusedError("the image would be larger than its envelope", code="invalid_image")
        record = self._record(request, topic, envelope, header, sealed_size=len(sealed), now=now)
        if record.expires_at is not None and record.expires_at <= now:
            raise RefusedError("the image has expired", hint="post it again if it is still wanted", code="expired")
        stored = self._keep(record, sealed, frozenset() if header else envelope.recipient_identifiers)
        result = messages.StoreResult(
            image_id=stored.image_id, stored_at=stored.stored_at, sealed_size=stored.sealed_size
        )
        return Outcome(result, (announcement(stored, now),))

    def remove(self, request: messages.RemoveRequest, user: str, *, now: dt.datetime) -> Outcome:
        """Remove an image of the user's from archive and broker; one that never came shall not come any more."""
        record = self.catalogue.get(request.image_id)
        if record is not None and record.owner != user:
            raise RefusedError("the image is not yours", hint="ask its owner to remove it", code="not_owner")
        channel = record.channel if record else None
        removal = self.catalogue.remove(
            Removal(request.image_id, user, channel, "removed", now, settled=channel is None)
        )
        return Outcome(
            messages.RemoveResult(
                image_id=removal.image_id, removed_at=removal.removed_at, was_stored=removal.channel is not None
            ),
            self._clear_away(removal),
        )

    def clear_away(self, now: dt.datetime) -> Iterator[Publication]:
        """Remove images of deleted accounts and those whose time is over, and what earlier removals have left.

        Yields what to withdraw.
        """
        for image_id, owner, channel in self.deletions.images_left(now, _AT_ONCE):
            self.catalogue.remove(Removal(image_id, owner, channel, "removed", now))
        for record in self.catalogue.expired(now, _AT_ONCE):
            self.catalogue.remove(Removal(record.image_id, record.owner, record.channel, "expired", now))
        for removal in self.catalogue.unsettled(_AT_ONCE):
            yield from self._clear_away(removal)

    def _clear_away(self, removal: Removal) -> tuple[Publication, ...]:
        if removal.channel is None or removal.settled:
            return ()
        # A lost image is not there, unless its owner's device is just sending it again.
        if removal.reason != "lost":
            self.catalogue.unless_known(removal.image_id, lambda: self.archive.discard(removal.image_id))
        self.catalogue.settle(removal)
        if self.catalogue.get(removal.image_id) is not None:
            return ()
        topic = topics.ImageTopic(removal.owner, removal.channel, removal.image_id)
        return (Publication(topic.announcement, b""),)

    def _record(
        self,
        request: messages.StoreRequest,
        topic: ImageTopic,
        envelope: Envelope,
        header: messages.ImageHeader | None,
        *,
        sealed_size: int,
        now: dt.datetime,
    ) -> Record:
        """Return what the catalogue will say: what the registrar sees of the signed header, or else the request."""
        own_key = certificates.subject_key_identifier(self.certificate)
        seen = header or request
        return Record(
            image_id=topic.image_id,
            owner=topic.owner,
            channel=topic.channel,
            name=header.name if header else None,
            audience=header.audience if header else "named",
            size=seen.size,
            sealed_size=sealed_size,
            sha256_sealed=request.sha256_sealed,
            wrapped_key=envelope.encrypted_key_for(own_key),
            stored_at=now,
            expires_at=self.end_of(seen.expires_at, now),
        )

    def end_of(self, expires_at: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        """Return when the registrar removes an image: when its owner wants it, or after the retention time."""
        if not self.settings.retention_days:
            return expires_at
        retained = now + dt.timedelta(days=self.settings.retention_days)
        return min(retained, expires_at or retained)

    def _keep(self, record: Record, sealed: bytes, recipients: frozenset[bytes]) -> Record:
        """Write the image, then its entry: what has an entry is whole."""
        quota = Quota(self.settings.owner_images, self.settings.owner_bytes)
        first = self.catalogue.check_free(record, quota)
        self.archive.put(record.image_id, sealed, mend=first is not None)
        if first is not None:
            return first
        image_id, archive = record.image_id, self.archive
        try:
            return self.catalogue.add(record, recipients, quota, lambda: archive.contains(image_id))
        except RefusedError as error:
            if error.code in {"removed", "quota_exceeded", "revoked"}:
                # Another request was a moment faster; no entry will name this file, unless one does by now.
                self.catalogue.unless_known(image_id, lambda: archive.discard(image_id))
            raise

    def _read_envelope(self, topic: ImageTopic, sealed: bytes, signer: x509.Certificate) -> Envelope:
        envelope = read_sealed(sealed, maximum_size=self.settings.maximum_sealed_size)
        if envelope.image_id != topic.image_id:
            raise VerificationError("the envelope is of another image")
        # An image that has waited in the outbox may have been sealed before its owner's certificate was renewed, or
        # ended: that it is the owner's is said by the request then, whose signer's certificate is valid now.
        sender = (envelope.sender_certificate_hash or b"").hex()
        if sender != certificates.fingerprint(signer) and not self.accounts.has_had_certificate(topic.owner, sender):
            raise VerificationError("the envelope is of another sender")
        return envelope

    def _open_if_recipient(
        self, envelope: Envelope, topic: ImageTopic, sealed: bytes, now: dt.datetime
    ) -> messages.ImageHeader | None:
        """Return the verified header of an image for members, or None where the registrar can see no more."""
        if envelope.encrypted_key_for(certificates.subject_key_identifier(self.certificate)) is None:
            return None
        opened = open_signed(
            sealed,
            topic=topic.image,
            reader=self.reader,
            trust=self.authority.trust(now),
            at=now,
            may_have_ended=True,
            now=now,
            maximum_size=self.settings.maximum_sealed_size,
        )
        return opened.header
