"""Takes what comes to the enrolment door, where anybody may knock, on a session and in a thread of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from common import messages, topics
from common.arrivals import Message
from common.errors import RefusedError, SealcastError, VerificationError
from registrar.requests import FAULT, NonceMemory, open_sealed_request, read_fresh

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from common.session import Session
    from registrar.answers import Answers
    from registrar.handlers import Handlers
    from registrar.passwords import PasswordPool

_log = logging.getLogger(__name__)


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

    def subscribe(self) -> None:
        """Ask the broker for every request to enrol."""
        self._session.subscribe(topics.ALL_ENROLMENTS)

    def serve(self) -> None:
        """Take what arrived within a second; hashing waits in a bounded pool."""
        arrived = self._session.receive(timeout=1)
        if not isinstance(arrived, Message):
            return
        try:
            self._answer(arrived)
        except VerificationError as error:
            _log.warning("dropped what came to the enrolment door: %s", error.reason)
            self._session.acknowledge(arrived)
        except Exception:  # noqa: BLE001 - one bad message never ends the service; the log has the whole of it
            _log.exception("failed on what came to the enrolment door")
            self._session.acknowledge(arrived)

    def _answer(self, message: Message) -> None:
        if message.retained:
            self._answers.clear(message)
            self._session.acknowledge(message)
            return
        if len(message.payload) > self._settings.maximum_request_size:
            raise VerificationError("the request is too large")
        now = self._clock()
        json = open_sealed_request(message.payload, self._handlers.key, self._handlers.certificate)
        try:
            request = read_fresh(json, topic=message.topic, operation="enrol", settings=self._settings, now=now)
            if not isinstance(request, messages.EnrolRequest):
                raise RefusedError("only enrolments are taken at this door", code="invalid_request")
            self._nonces.demand_new(request.nonce, now)
            self._passwords.submit(self._enrol, message, request, now)
        except SealcastError as error:
            self._refuse(message, json, error, now)

    def _enrol(self, message: Message, request: messages.EnrolRequest, now: dt.datetime) -> None:
        try:
            outcome = self._handlers.enrol(request, now=now)
            self._answers.give(message, request, outcome, sent=message.payload, now=now)
            self._session.acknowledge(message)
        except SealcastError as error:
            _log.warning("refused to enrol %.32r: %s", request.user, error.code)
            self._refuse(message, request.to_json(), error, now)
        except Exception:  # noqa: BLE001 - the same
            _log.exception("failed to enrol")
            self._refuse(message, request.to_json(), FAULT, now)

    def _refuse(self, message: Message, json: bytes, error: SealcastError, now: dt.datetime) -> None:
        self._answers.refuse(message, json, error, operation="enrol", sent=message.payload, now=now)
        self._session.acknowledge(message)
