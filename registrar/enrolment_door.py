"""Takes what comes to the enrolment door, where anybody may knock, on a session and in a thread of its own.

Whatever comes, and however much, it costs little and grows nothing (docs/protocol.md, "Throttling").
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from common import messages, topics
from common.arrivals import Message
from common.errors import RefusedError, SealcastError, VerificationError
from registrar.bounded_log import BoundedLog
from registrar.requests import FAULT, NonceMemory, open_sealed_request, read_fresh
from registrar.throttle import Budget, Throttle, demand_turn

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from common.session import Session
    from registrar.answers import Answers
    from registrar.handlers import Applicant, Handlers
    from registrar.passwords import PasswordPool

# To open, to look at and to answer a request are 5 ms (measured) in which no member's request gets on.
_OPENED_A_SECOND, _OPENED_AT_ONCE = 20.0, 60
# Of one client id; a program takes a new one for each attempt, and to connect again costs a stranger more than to ask.
_FREE_REQUESTS, _LONGEST_CLIENT_WAIT = 5, 60.0


class EnrolmentDoor:
    """Answers the requests to enrol."""

    def __init__(
        self,
        handlers: Handlers,
        session: Session,
        answers: Answers,
        passwords: PasswordPool,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._handlers = handlers
        self._session = session
        self._answers = answers
        self._passwords = passwords
        self._clock = clock
        self._settings = handlers.settings
        self._nonces = NonceMemory(self._settings.clock_tolerance)
        self._log = BoundedLog(logging.getLogger(__name__))
        self._clients = Throttle(free=_FREE_REQUESTS, longest=_LONGEST_CLIENT_WAIT)
        self._openings = Budget(rate=_OPENED_A_SECOND, burst=_OPENED_AT_ONCE)
        self.logins = Throttle(free=self._settings.free_login_attempts, longest=self._settings.longest_login_wait)
        # Half of the queue is left to those who prove something.
        burst = max(1, self._settings.password_queue // 2)
        self._strangers = Budget(rate=self._settings.stranger_logins_a_second, burst=burst)

    def subscribe(self) -> None:
        """Ask the broker for every request to enrol."""
        self._session.subscribe(topics.ALL_ENROLMENTS)

    def serve(self) -> None:
        """Take what arrived within a second; hashing waits in a bounded pool."""
        arrived = self._session.receive(timeout=1)
        now = self._clock()
        self._log.tell_the_rest(now)
        if not isinstance(arrived, Message):
            return
        try:
            self._answer(arrived, now)
        except VerificationError as error:
            self._log.warning("dropped what came to the enrolment door: %s", error.reason, now=now)
            self._session.acknowledge(arrived)
        except Exception:  # noqa: BLE001 - one bad message never ends the service; the log has the whole of it
            self._log.warning("failed on what came to the enrolment door", now=now, exc_info=True)
            self._session.acknowledge(arrived)

    def _answer(self, message: Message, now: dt.datetime) -> None:
        if message.retained:
            self._answers.clear(message)
            self._session.acknowledge(message)
            return
        if len(message.payload) > self._settings.maximum_request_size:
            raise VerificationError("the request is too large")
        self._demand_patience(message, now)
        json = open_sealed_request(message.payload, self._handlers.key, self._handlers.certificate)
        try:
            request = read_fresh(json, topic=message.topic, operation="enrol", settings=self._settings, now=now)
            if not isinstance(request, messages.EnrolRequest):
                raise RefusedError("only enrolments are taken at this door", code="invalid_request")
            self._nonces.demand_new(request.nonce, now)
            applicant = self._handlers.examine(request, now=now)
            self._passwords.submit(lambda: partial(self._enrol, message, applicant, self._count(applicant, now), now))
        except SealcastError as error:
            self._refuse(message, json, error, now)

    def _demand_patience(self, message: Message, now: dt.datetime) -> None:
        """Raise VerificationError for what is not even opened, as there is too much of it."""
        asked = topics.parse_request(message.topic)
        if asked is None:
            raise VerificationError("no topic of a request")
        if self._clients.wait(asked.client_id, now) > 0:
            raise VerificationError("too many requests of one client")
        if not self._openings.take(now):
            raise VerificationError("too many requests of too many clients")
        self._clients.count(asked.client_id, now)

    def _count(self, applicant: Applicant, now: dt.datetime) -> str:
        """Count an attempt and return under what name; raises RefusedError, ``throttled`` or ``busy``.

        Who has a proof is not counted with those who attack the user, and does not compete with them (ADR 14).
        """
        counted = f"{applicant.user} {applicant.proof or ''}"
        demand_turn(self.logins, counted, now, hint="; a device that has been logged in before need not wait")
        if applicant.proof is None and not self._strangers.take(now):
            raise self._passwords.busy()
        self.logins.count(counted, now)
        return counted

    def _enrol(self, message: Message, applicant: Applicant, counted: str, now: dt.datetime) -> None:
        request = applicant.request
        try:
            outcome = self._handlers.enrol(applicant, now=now)
            self.logins.forgive(counted)
            self._answers.give(message, request, outcome, sent=message.payload, now=now)
            self._session.acknowledge(message)
        except SealcastError as error:
            self._log.warning("refused to enrol %r: %s", applicant.user, error.code, now=now)
            self._refuse(message, request.to_json(), error, now)
        except Exception:  # noqa: BLE001 - the same
            self._log.warning("failed to enrol", now=now, exc_info=True)
            self._refuse(message, request.to_json(), FAULT, now)

    def _refuse(self, message: Message, json: bytes, error: SealcastError, now: dt.datetime) -> None:
        self._answers.refuse(message, json, error, operation="enrol", sent=message.payload, now=now)
        self._session.acknowledge(message)
