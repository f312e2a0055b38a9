"""Where an image stands: who has it, who refuses it, and of whom nothing is known (docs/protocol.md, "Receipts").

Each receipt is verified here: neither the registrar that has kept it nor the broker that brought it is believed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.errors import VerificationError
from common.receipts import read_receipt

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable

    from common import messages
    from common.identity import Identity
    from common.registrar_client import RegistrarClient

SAVED = "saved"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Standing:
    """What is known of one image of ``identity``'s; ``readers`` are the people for whom it is.

    ``sha256`` is the image's, where it was posted from here. ``receipts`` are by fingerprint, one of each device.
    """

    identity: Identity
    image_id: uuid.UUID
    sha256: str | None
    clock: Callable[[], dt.datetime]
    readers: tuple[str, ...] = ()
    receipts: dict[str, messages.Receipt] = field(default_factory=dict)

    @property
    def having(self) -> set[str]:
        """The people who have it, on one device at least."""
        return {one.reader for one in self.receipts.values() if one.outcome == SAVED}.intersection(self.readers)

    @property
    def is_complete(self) -> bool:
        """Whether everybody has it."""
        return len(self.having) == len(self.readers)

    @property
    def silent(self) -> list[str]:
        """The people of whom nothing is known."""
        heard = {one.reader for one in self.receipts.values()}
        return [reader for reader in self.readers if reader not in heard]

    def look(self, registrar: RegistrarClient) -> list[messages.Receipt]:
        """Ask the registrar, and return the receipts that are new; raises RefusedError where it is not one's image."""
        new, mark = [], None
        while True:
            page = registrar.receipts(self.image_id, mark)
            self.readers = page.readers
            new += [receipt for signed in page.receipts if (receipt := self._take(signed)) is not None]
            # A registrar that does not go on has no end either.
            if page.complete or page.mark == mark:
                return new
            mark = page.mark

    def hear(self, signed: bytes) -> list[messages.Receipt]:
        """Take a receipt that a broker has brought, and return it if it is new.

        Not that of somebody for whom the image was not: of who has become a member since, the registrar will say.
        """
        receipt = self._take(signed, self.readers)
        return [] if receipt is None else [receipt]

    def _take(self, signed: bytes, readers: tuple[str, ...] | None = None) -> messages.Receipt | None:
        try:
            receipt, _ = read_receipt(signed, self.identity.trust, now=self.clock())
            self._check(receipt)
            _check_reader(receipt, readers)
        except VerificationError as error:
            # Not a warning: any member can send them without end to an owner who is looking.
            _log.info("dropped a receipt: %s", error.reason)
            return None
        before = self.receipts.get(receipt.fingerprint)
        is_overtaken = before is not None and receipt.outcome != SAVED and before.handled_at >= receipt.handled_at
        if before is not None and (before.outcome == SAVED or is_overtaken):
            return None
        self.receipts[receipt.fingerprint] = receipt
        return receipt

    def _check(self, receipt: messages.Receipt) -> None:
        if (receipt.owner, receipt.image_id) != (self.identity.user, self.image_id):
            raise VerificationError("it is of another image")
        if receipt.outcome == SAVED and self.sha256 not in {None, receipt.sha256}:
            raise VerificationError(f"what {receipt.reader} has saved is not this image")


def _check_reader(receipt: messages.Receipt, readers: tuple[str, ...] | None) -> None:
    if readers is not None and receipt.reader not in readers:
        raise VerificationError(f"the image is not for {receipt.reader}")
