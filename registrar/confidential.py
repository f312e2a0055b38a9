"""Takes the requests with a member's password in them: signed by the member, then sealed to the registrar (ADR 17).

What is answered here waits in the pool of the passwords, not among the other requests, and is acknowledged to the
broker by then, so that it holds up nobody. Whoever gets no reply, since the registrar has ended meanwhile, asks again.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.errors import RefusedError, SealcastError, VerificationError
from registrar.requests import FAULT, NonceMemory, demand_signer, open_sealed_request, read_fresh, verify_request
from registrar.throttle import Throttle, demand_turn

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from common.arrivals import Message
    from registrar.answers import Answers
    from registrar.handlers import Handlers
    from registrar.passwords import PasswordPool
    from registrar.requests import SignedRequest

CONFIDENTIAL_OPERATIONS = ("password", "delete")
_log = logging.getLogger(__name__)


class Confidential:
    """Answers the confidential requests of members; ``logins`` counts those who guess at either door."""

    def __init__(
        self,
        handlers: Handlers,
        answers: Answers,
        passwords: PasswordPool,
        logins: Throttle,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._handlers = handlers
        self._answers = answers
        self._passwords = passwords
        self._logins = logins
        self._clock = clock
        self._settings = handlers.settings
        self._nonces = NonceMemory(self._settings.clock_tolerance)
        self._counting = threading.Lock()

    def is_for(self, message: Message) -> bool:
        """Tell whether a message is a confidential request, by its topic."""
        asked = topics.parse_request(message.topic)
        return asked is not None and asked.operation in CONFIDENTIAL_OPERATIONS

    def answer(self, message: Message) -> None:
        """Check a request, and answer it once its turn comes; raises VerificationError for what is no member's."""
        asked = topics.parse_request(message.topic)
        if asked is None or asked.user is None:
            raise VerificationError("no topic of a member's request")
        if len(message.payload) > self._settings.maximum_request_size:
            raise VerificationError("the request is too large")
        now = self._clock()
        opened = open_sealed_request(message.payload, self._handlers.key, self._handlers.certificate)
        signed = verify_request(opened, self._handlers.authority.trust(now), now=now)
        try:
            demand_signer(signed, asked.user)
            self._handlers.revocations.demand_standing(signed.user, certificates.fingerprint(signed.certificate))
            request = read_fresh(
                signed.json, topic=message.topic, operation=asked.operation, settings=self._settings, now=now
            )
            if not isinstance(request, messages.PasswordRequest | messages.DeleteRequest):
                raise RefusedError(f"{asked.operation} is not done on this topic", code="wrong_topic")
            self._nonces.demand_new(request.nonce, now)
            if isinstance(request, messages.PasswordRequest):
                self._handlers.check_new_password(request, signed.user)
            self._passwords.submit(lambda: partial(self._act, message, request, signed, self._count(signed, now), now))
        except SealcastError as error:
            self._refuse(message, signed, error, now)

    def _count(self, signed: SignedRequest, now: dt.datetime) -> str:
        """Count an attempt of this device, with those at the enrolment door, and return under what name."""
        key_identifier = certificates.subject_key_identifier(signed.certificate)
        counted = f"{signed.user} key {key_identifier.hex()}"
        with self._counting:
            demand_turn(self._logins, counted, now)
            self._logins.count(counted, now)
        return counted

    def _act(
        self,
        message: Message,
        request: messages.PasswordRequest | messages.DeleteRequest,
        signed: SignedRequest,
        counted: str,
        now: dt.datetime,
    ) -> None:
        try:
            if isinstance(request, messages.PasswordRequest):
                outcome = self._handlers.change_password(request, signed.user, now=now)
            else:
                outcome = self._handlers.delete(request, signed.user, now=now)
            self._logins.forgive(counted)
            self._answers.give(message, request, outcome, sent=message.payload, now=now)
        except SealcastError as error:
            self._refuse(message, signed, error, now)
        except Exception:  # noqa: BLE001 - one bad request never ends the service; the log has the whole of it
            _log.exception("failed on a confidential request of %s", signed.user)
            self._refuse(message, signed, FAULT, now)

    def _refuse(self, message: Message, signed: SignedRequest, error: SealcastError, now: dt.datetime) -> None:
        asked = topics.parse_request(message.topic)
        operation = asked.operation if asked else ""
        _log.info("refused %s of %s: %s", operation, signed.user, error.code)
        self._answers.refuse(message, signed.json, error, operation=operation, sent=message.payload, now=now)
