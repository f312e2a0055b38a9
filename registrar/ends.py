"""Says in time which authority comes to its end: what follows needs a person, and the root's key."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

from common import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

_AGAIN_AFTER = dt.timedelta(days=1)
_log = logging.getLogger(__name__)


class Reminder:
    """Logs once a day what ``near_ends`` says."""

    def __init__(self) -> None:
        self._next: dt.datetime | None = None

    def remind(self, root: x509.Certificate, issuing: x509.Certificate, now: dt.datetime) -> None:
        """Log it, unless that was less than a day ago."""
        if self._next is None or now >= self._next:
            self._next = now + _AGAIN_AFTER
            for line in near_ends(root, issuing, now):
                _log.warning("%s", line)


def near_ends(root: x509.Certificate, issuing: x509.Certificate, now: dt.datetime) -> Iterator[str]:
    """Yield a line for the root and for the newest issuing CA where less than a third of its life is left."""
    if certificates.is_due_for_renewal(root, now):
        yield (
            f"the root ends on {root.not_valid_after_utc:%Y-%m-%d}, and all that is signed with it: "
            "until then there has to be another registrar (registrar init), in which members register anew"
        )
    # Where it ends with the root, another one would end as soon.
    if certificates.is_due_for_renewal(issuing, now) and issuing.not_valid_after_utc < root.not_valid_after_utc:
        yield (
            f"the issuing authority ends on {issuing.not_valid_after_utc:%Y-%m-%d}, and no certificate outlives it: "
            "replace it (registrar rotate)"
        )
