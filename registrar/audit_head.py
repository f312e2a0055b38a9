"""Signs where the audit log ends, for whoever keeps it: a log that is written anew has another head (docs/audit.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import topics
from common.errors import ConfigurationError, VerificationError
from common.files import reason
from common.messages import AuditHead, read
from common.signing import sign, verify_signature
from registrar.handlers import Publication

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from cryptography import x509

    from registrar.audit import Head
    from registrar.handlers import Handlers


def sign_head(head: Head, handlers: Handlers, now: dt.datetime) -> Publication:
    """Return the message that says where the log ends."""
    message = AuditHead(ordinal=head.ordinal, hash=head.hash, signed_at=now)
    return Publication(topics.AUDIT_HEAD, sign(message.to_json(), handlers.key, handlers.certificate))


def read_head(path: Path, registrar: x509.Certificate) -> AuditHead:
    """Return the head that somebody has kept in a file; raises ConfigurationError unless this registrar signed it.

    Its key is what counts, since its certificate may have ended by now.
    """
    try:
        return _open(path.read_bytes(), registrar)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {reason(error)}", hint="check --head", code="unreadable"
        ) from error
    except VerificationError as error:
        raise ConfigurationError(
            f"{path} holds no head that this registrar has signed",
            hint=f"name a file with what {topics.AUDIT_HEAD} has carried once",
            code="invalid_head",
        ) from error


def _open(payload: bytes, registrar: x509.Certificate) -> AuditHead:
    signed = verify_signature(payload, with_image_header=False)
    if signed.certificate.public_key() != registrar.public_key():
        raise VerificationError("somebody else has signed the head")
    return read(AuditHead, signed.content)
