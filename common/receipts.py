"""Signs receipts, and believes those that a reader has signed (docs/protocol.md, "Receipts")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import certificates, messages
from common.errors import VerificationError
from common.signing import sign, verify_signature

if TYPE_CHECKING:
    import datetime as dt

    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509 import Certificate

    from common.certificates import Trust


def sign_receipt(receipt: messages.Receipt, key: rsa.RSAPrivateKey, certificate: Certificate) -> bytes:
    """Return the DER of a SignedData over the receipt."""
    return sign(receipt.to_json(), key, certificate)


def read_receipt(signed: bytes, trust: Trust, *, now: dt.datetime) -> tuple[messages.Receipt, Certificate]:
    """Return a receipt and its reader's certificate; raises VerificationError unless that reader has signed it.

    The reader's chain has to have been valid when it was signed: who is revoked later had the image all the same.
    """
    content = verify_signature(signed, with_image_header=False)
    receipt = messages.read(messages.Receipt, content.content)
    reader = certificates.check_member(content.certificate, trust, at=receipt.signed_at, now=now)
    if (reader, certificates.fingerprint(content.certificate)) != (receipt.reader, receipt.fingerprint):
        raise VerificationError("the receipt is signed by another reader")
    return receipt, content.certificate
