"""Keeps a head of the registrar's audit log, and says where a later one contradicts it (docs/audit.md, "The head")."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

from common import certificates, messages
from common.errors import SealcastError, VerificationError
from common.files import write_private
from common.signing import SignedContent, verify_signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.identity import Identity

KEPT_HEAD = "audit-head.cms"  # as it came, so that it proves something to others
_MOST_DAYS = 7  # so many heads are kept beside it, the first of a day each
_OF_A_DAY = "audit-head-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].cms"
_APART = dt.timedelta(minutes=1)
_log = logging.getLogger(__name__)


class Witness:
    """Keeps, in the identity's folder, a head that is a minute old at most while heads come, and one of each day."""

    def __init__(self, identity: Identity, tolerance: float, clock: Callable[[], dt.datetime]) -> None:
        self._identity = identity
        self._path = identity.home / KEPT_HEAD
        # Replicas of the registrar may publish in another order than they have looked, and by clocks of their own.
        self._tolerance = dt.timedelta(seconds=tolerance)
        self._clock = clock
        self._has_warned = False
        self._refused: bytes | None = None

    def take(self, payload: bytes | None) -> None:
        """Hold a head, if one has come, against the one that is kept, and keep it instead, or log what is wrong."""
        if payload is None:
            return
        try:
            signed, head = _open(payload)
            self._check(signed, head)
            kept = self._kept()
            if kept is not None and self._contradicts(head, kept):
                self._warn(head, kept)
            elif kept is None or (head.ordinal >= kept.ordinal and head.signed_at >= kept.signed_at + _APART):
                self._keep(payload, head)
        except VerificationError as error:
            if payload != self._refused:
                self._refused = payload
                _log.warning("a head of the audit log does not count: %s", error.reason)
        except (SealcastError, OSError) as error:
            _log.warning("cannot keep a head of the audit log: %s", error)

    def _check(self, signed: SignedContent, head: messages.AuditHead) -> None:
        now = self._clock()
        certificates.check_registrar(signed.certificate, self._identity.trust, now=now)
        # Once it is kept, every later one would be an earlier one, which contradicts nothing.
        if head.signed_at > now + self._tolerance:
            raise VerificationError(f"it says that it was signed at {head.signed_at}")

    def _keep(self, payload: bytes, head: messages.AuditHead) -> None:
        """Keep a head instead of the one before, which stays where it was the first of its day.

        A log that was written anew, and has more entries than before, contradicts no head that a reader sees; an older
        one that the registrar's log does not lead to any more (``registrar audit --head``) is the proof.
        """
        of_its_day = self._path.with_name(f"audit-head-{head.signed_at.date()}.cms")
        if not of_its_day.exists():
            write_private(of_its_day, payload)
            for oldest in sorted(self._path.parent.glob(_OF_A_DAY))[:-_MOST_DAYS]:
                oldest.unlink()
        write_private(self._path, payload)

    def _kept(self) -> messages.AuditHead | None:
        """Return the head that is kept; it was the registrar's when it came, though its certificate may have ended."""
        try:
            return _open(self._path.read_bytes())[1]
        except (FileNotFoundError, VerificationError):
            return None

    def _contradicts(self, head: messages.AuditHead, kept: messages.AuditHead) -> bool:
        """Tell whether no log that only grows has both heads."""
        if head.ordinal == kept.ordinal:
            return head.hash != kept.hash
        return head.ordinal < kept.ordinal and head.signed_at > kept.signed_at + self._tolerance

    def _warn(self, head: messages.AuditHead, kept: messages.AuditHead) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "the registrar's audit log was cut or written anew: its head of %s contradicts that of %s in %s; "
                "where the registrar was restored from a backup in between, remove that file, else show it to others",
                head.signed_at, kept.signed_at, self._path,
            )  # fmt: skip


def _open(payload: bytes) -> tuple[SignedContent, messages.AuditHead]:
    signed = verify_signature(payload, with_image_header=False)
    return signed, messages.read(messages.AuditHead, signed.content)
