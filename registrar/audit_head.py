"""Signs where the audit log ends, for whoever keeps it: a log that is written anew has another head (docs/audit.md)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from common import topics
from common.errors import ConfigurationError, VerificationError
from common.files import reason
from common.messages import AuditHead, read
from common.signing import sign, verify_signature
from registrar.handlers import Publication

if TYPE_CHECKING:
    from pathlib import Path

    from registrar.audit import Head
    from registrar.authority import Authority
    from registrar.handlers import Handlers

# Whoever keeps heads can tell by their times that nobody holds new ones back.
_FRESH = dt.timedelta(hours=1)


class SignedHeads:
    """The heads to publish: each time that the log has grown, and once an hour."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._published: tuple[Head, dt.datetime] | None = None

    def due(self, now: dt.datetime) -> Publication | None:
        """Return the head where it is to be published; raises RefusedError while the database does not answer."""
        head = self._handlers.audit.head()
        if self._published is not None and self._published[0] == head and now - self._published[1] < _FRESH:
            return None
        self._published = head, now
        message = AuditHead(ordinal=head.ordinal, hash=head.hash, signed_at=now)
        signed = sign(message.to_json(), self._handlers.key, self._handlers.certificate)
        return Publication(topics.AUDIT_HEAD, signed)

    def forget(self) -> None:
        """Have the head published once more: the broker may have lost it."""
        self._published = None


def read_head(path: Path, authority: Authority) -> AuditHead:
    """Return the head that somebody has kept in a file; raises ConfigurationError unless this registrar signed it.

    Its key is what counts, since its certificate may have ended by now.
    """
    try:
        return _open(path.read_bytes(), authority)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {reason(error)}", code="unreadable") from error
    except VerificationError as error:
        raise ConfigurationError(
            f"{path} holds no head that this registrar has signed",
            hint=f"name a file with what {topics.AUDIT_HEAD} has carried once",
            code="invalid_head",
        ) from error


def _open(payload: bytes, authority: Authority) -> AuditHead:
    signed = verify_signature(payload, with_image_header=False)
    if signed.certificate.public_key() != authority.registrar[0].public_key():
        raise VerificationError("somebody else has signed the head")
    return read(AuditHead, signed.content)
