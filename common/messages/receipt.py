"""What a reader signs for an image's owner: what became of the image on one device (docs/protocol.md, "Receipts")."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from common.messages.fields import Hex64, ImageId, Message, Time, UserName

# The precise reason of a refusal is for the reader's log alone.
ReceiptOutcome = Literal["saved", "expired", "not_verified"]


class Receipt(Message):
    """A device has saved an image, or refuses it; ``fingerprint`` is that of the certificate that signs this."""

    version: Literal[1] = 1
    purpose: Literal["sealcast-receipt"] = "sealcast-receipt"
    image_id: ImageId
    owner: UserName
    reader: UserName
    fingerprint: Hex64
    outcome: ReceiptOutcome
    sha256: Hex64 | None
    handled_at: Time
    signed_at: Time

    @model_validator(mode="after")
    def _check_hash(self) -> Self:
        if (self.sha256 is None) == (self.outcome == "saved"):
            raise ValueError("the image's hash is there where it was saved, and only there")
        return self
