"""Keeping receipts for the owners of images, who may be away when they come (docs/protocol.md, "Receipts")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import messages
from common.errors import RefusedError, VerificationError
from common.receipts import read_receipt
from registrar.handlers.stores import Outcome, Stores, gone, viewer_of
from registrar.receipts import Kept

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from cryptography import x509

    from registrar.listing import Viewer


class Receipting(Stores):
    """The operations ``acknowledge`` and ``receipts``."""

    __slots__ = ()

    def acknowledge(
        self, request: messages.AcknowledgeRequest, user: str, reader: x509.Certificate, *, now: dt.datetime
    ) -> Outcome:
        """Keep receipts of this device, but of images that are not here or are for other people.

        Raises RefusedError, ``invalid_request`` or ``wrong_signer``, where one of them is no receipt of this device's.
        """
        viewer = viewer_of(user, reader)
        receipts = [self._read_receipt(signed, reader, now) for signed in request.receipts]
        kept = [receipt for owner, receipt in receipts if self._may_give(viewer, owner, receipt.image_id)]
        return Outcome(messages.AcknowledgeResult(taken=tuple(self.receipt_store.add(kept, viewer))))

    def _read_receipt(self, signed: bytes, reader: x509.Certificate, now: dt.datetime) -> tuple[str, Kept]:
        try:
            receipt, signer = read_receipt(signed, self.authority.trust(now), now=now)
        except VerificationError as error:
            raise RefusedError("a receipt could not be verified", code="invalid_request") from error
        if signer != reader:
            # Perhaps it was signed a moment before its device got another certificate.
            raise RefusedError("a receipt is signed by another device", code="wrong_signer")
        return receipt.owner, Kept(receipt.image_id, receipt.outcome, receipt.handled_at, signed)

    def _may_give(self, viewer: Viewer, owner: str, image_id: uuid.UUID) -> bool:
        record = self.catalogue.get(image_id)
        return record is not None and record.owner == owner and self.catalogue.may_see(record, viewer)

    def receipts(self, request: messages.ReceiptsRequest, user: str, *, now: dt.datetime) -> Outcome:
        """Return a page of the receipts of an image to its owner, and to whom it may have gone."""
        record = self.catalogue.get(request.image_id)
        if record is None:
            raise gone(self.catalogue, request.image_id, user)
        if record.owner != user:
            raise RefusedError("the image is not yours", hint="ask its owner", code="not_owner")
        readers = self.receipt_store.readers(record.image_id, now)
        page = self.receipt_store.page(record.image_id, request.mark, messages.LONGEST_PAGE)
        result = messages.ReceiptsResult(
            readers=tuple(readers), receipts=tuple(page.signed), mark=page.mark, complete=page.complete
        )
        return Outcome(result)
