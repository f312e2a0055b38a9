"""Has everybody go by what the database says of who is revoked, whoever has written it there.

A command revokes in the database; each running registrar looks there once a second, so that several replicas, and one
that was down, learn of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from common import certificates, topics
from common.errors import SealcastError
from registrar.handlers import Publication

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from registrar.handlers import Handlers

_log = logging.getLogger(__name__)


class Enforcement:
    """Follows what is revoked after it was made; the rebuilding of what the broker retains sees to the rest."""

    def __init__(self, handlers: Handlers, clock: Callable[[], dt.datetime]) -> None:
        self._handlers = handlers
        self._clock = clock
        self._settled = handlers.revocations.number()

    def follow(self, retain: Callable[[Publication], object]) -> None:
        """Do what is to be done since the last time; ``retain`` publishes.

        What keeps it from being done is logged, and it is tried again.
        """
        try:
            number = self._handlers.revocations.number()
            if number != self._settled:
                for publication in self._members(self._clock()):
                    retain(publication)
                self._settled = number
        except SealcastError as error:
            _log.warning("could not make a revocation known, will try again: %s", error.message)

    def _members(self, now: dt.datetime) -> Iterator[Publication]:
        """Yield what everyone learns of certificates that were revoked or freed: those handed out are there."""
        for user, fingerprint in self._handlers.revocations.changed_since(self._settled, now):
            valid = {
                certificates.fingerprint(one): certificates.to_pem(one)
                for one in self._handlers.accounts.certificates_of(user, now)
            }
            yield Publication(topics.member(user, fingerprint), valid.get(fingerprint, b""))
            if fingerprint not in valid:
                yield Publication(topics.presence(user, fingerprint), b"")
