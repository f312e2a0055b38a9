"""Reading: recipients, keys, the catalogue, stored images (docs/protocol.md, "Operations")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.enveloping import unwrap_key, wrap_key
from common.errors import RefusedError
from registrar.handlers.stores import Outcome, Stores, gone, notice_of, viewer_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cryptography import x509

    from registrar.catalogue import Record


class Reading(Stores):
    """The operations ``members``, ``release``, ``list`` and ``fetch``."""

    __slots__ = ()

    def members(self, request: messages.MembersRequest, *, now: dt.datetime) -> Outcome:
        """Return the certificates of the named users, or of every member up to the limit."""
        limit = self.settings.maximum_direct_recipients
        if request.users is None:
            found = self.accounts.all_certificates(now, limit=limit + 1)
            complete = len(found) <= limit
            return Outcome(_members_result(found if complete else [], complete=complete))
        found = []
        for user in dict.fromkeys(request.users):
            theirs = self.accounts.certificates_of(user, now)
            if not theirs:
                raise RefusedError(
                    f"there is no member {user!r}",
                    hint="check the spelling; `publisher members` lists who has registered",
                    code="unknown_user",
                )
            found += theirs
        return Outcome(_members_result(found, complete=True))

    def release(
        self, request: messages.ReleaseRequest, user: str, reader: x509.Certificate, *, now: dt.datetime
    ) -> Outcome:
        """Re-wrap the content keys of images for members to the reader's certificate.

        None leaves before the audit log says so; raises RefusedError, ``unavailable``, while that cannot be written.
        """
        keys: list[messages.ReleasedKey] = []
        refused: list[messages.UnreleasedKey] = []
        for image_id in request.image_ids:
            record = self.catalogue.get(image_id)
            if record is None:
                refused.append(messages.UnreleasedKey(image_id=image_id, code="unknown_image"))
            elif record.wrapped_key is None:
                refused.append(messages.UnreleasedKey(image_id=image_id, code="not_recipient"))
            else:
                content_key = unwrap_key(record.wrapped_key, self.key)
                keys.append(messages.ReleasedKey(image_id=image_id, encrypted_key=wrap_key(content_key, reader)))
        if keys:
            self.audit.add(
                "released", user, now,
                certificate=certificates.fingerprint(reader), image_ids=[str(key.image_id) for key in keys],
            )  # fmt: skip
        return Outcome(messages.ReleaseResult(keys=tuple(keys), refused=tuple(refused)))

    def list(self, request: messages.ListRequest, user: str, reader: x509.Certificate) -> Outcome:
        """Return a page of what the catalogue has for this reader."""
        page = self.catalogue.visible_to(viewer_of(user, reader), request.order, request.mark, request.limit)
        images = tuple(notice_of(record) for record in page.records)
        return Outcome(messages.ListResult(images=images, mark=page.mark, complete=page.complete))

    def fetch(self, request: messages.FetchRequest, user: str, reader: x509.Certificate) -> Outcome:
        """Return a part of a stored image: to any member, or for named people to its owner and recipients."""
        record = self.catalogue.get(request.image_id)
        if record is None or (request.owner is not None and request.owner != record.owner):
            raise gone(self.catalogue, request.image_id, request.owner)
        if not self.catalogue.may_see(record, viewer_of(user, reader)):
            raise RefusedError("the image is for other people", code="not_recipient")
        data = self._read(record, request.offset)
        topic = topics.ImageTopic(record.owner, record.channel, record.image_id)
        return Outcome(
            messages.FetchResult(
                topic=topic.image,
                stored_at=record.stored_at,
                sealed_size=record.sealed_size,
                sha256_sealed=record.sha256_sealed,
                offset=request.offset,
                data=data,
            )
        )

    def _read(self, record: Record, offset: int) -> bytes:
        """Return a part of an image; raises RefusedError, ``damaged``, where the archive does not have all of it."""
        try:
            part = self.archive.read(record.image_id, offset, self.settings.fetch_part_size)
        except RefusedError as error:
            if error.code not in {"unknown_image", "damaged"}:
                raise
            part = b""
        if len(part) != min(self.settings.fetch_part_size, max(0, record.sealed_size - offset)):
            raise RefusedError(
                "the registrar's copy of the image is damaged",
                hint="tell whoever runs the registrar: registrar verify",
                code="damaged",
            )
        return part


def _members_result(found: Sequence[x509.Certificate], *, complete: bool) -> messages.MembersResult:
    pems = tuple(certificates.to_pem(certificate).decode() for certificate in found)
    return messages.MembersResult(certificates=pems, complete=complete)
