"""Serves: takes members' requests off their session, hands each to its handler, publishes replies and announcements.

The enrolment door has a session of its own, since each needs its own queue: a flood of enrolments can neither fill the
members' queue nor hold up their connection, and whatever is larger than a request does not even leave the broker.
"""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.arrivals import Connected, Message
from common.errors import RefusedError, SealcastError, VerificationError
from registrar.answers import Answers, publish_retained
from registrar.confidential import CONFIDENTIAL_OPERATIONS, Confidential
from registrar.enrolment_door import EnrolmentDoor
from registrar.requests import FAULT, NonceMemory, demand_signer, read_fresh, verify_request
from registrar.retained import trust

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from common.session import Session
    from registrar.authority import Authority
    from registrar.handlers import Handlers, Outcome, Publication
    from registrar.passwords import PasswordPool
    from registrar.requests import SignedRequest

_TELLING_LEVELS = 4  # of a topic: prefix, kind, operation or owner
_MEMBERS_OPERATIONS = (
    "members", "release", "fetch", "list", "remove", "renew", "revoke", "acknowledge", "receipts",
)  # fmt: skip
_log = logging.getLogger(__name__)


class Service:
    """Answers the requests that arrive on the members' session, and has an ``enrolment_door``."""

    def __init__(
        self,
        handlers: Handlers,
        members: Session,
        enrolment: Session,
        passwords: PasswordPool,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._handlers = handlers
        self._members = members
        self._clock = clock
        self._settings = handlers.settings
        # What the broker may have lost while the connection was gone.
        self.on_reconnection: Callable[[], None] = lambda: None
        self._authority = handlers.authority
        self._answers = Answers(handlers, members)
        self.enrolment_door = EnrolmentDoor(handlers, enrolment, self._answers, passwords, clock)
        self._confidential = Confidential(handlers, self._answers, passwords, self.enrolment_door.logins, clock)
        self._nonces = NonceMemory(self._settings.clock_tolerance)
        self._workers = ThreadPoolExecutor(self._settings.request_workers, thread_name_prefix="request")
        # Holds back the reading of more; the broker keeps what is not acknowledged.
        self._places = threading.BoundedSemaphore(self._settings.request_queue)

    def subscribe(self) -> None:
        """Ask the broker for every request and every image."""
        operations = (*_MEMBERS_OPERATIONS, *CONFIDENTIAL_OPERATIONS)
        self._members.subscribe(*map(topics.all_requests, operations), topics.ALL_IMAGES)
        # What is retained of it before, the rebuilding looks at.
        self._members.subscribe(topics.ALL_PRESENCE, topics.ALL_RECEIPTS, retained=False)
        self.enrolment_door.subscribe()

    def serve_members(self) -> None:
        """Take what arrived on the members' session within a second."""
        if not self._places.acquire(timeout=1):
            return
        arrived = self._members.receive(timeout=1)
        if isinstance(arrived, Message):
            self._workers.submit(self._answer_member, arrived)
            return
        self._places.release()
        if isinstance(arrived, Connected) and arrived.again:
            self.on_reconnection()

    def retain(self, publication: Publication) -> None:
        """Have the broker retain a message for everyone."""
        publish_retained(self._members, publication)

    def publish_trust(self, authority: Authority) -> None:
        """Publish what everybody needs before anything else."""
        for publication in trust(authority, self._clock()):
            self.retain(publication)

    def show_certificate(
        self, authorities: bytes, certificate: Path, key: Path, passphrase: bytes | None = None
    ) -> None:
        """Show this client certificate to the broker from the next connection of each session on: they share it."""
        self._members.show_certificate(authorities, certificate, key, passphrase)

    def clear_away(self) -> bool:
        """Remove some images whose time is over, and return whether there may be more.

        What keeps that from being done is logged, and it is tried again.
        """
        cleared = False
        try:
            for publication in self._handlers.clear_away(self._clock()):
                publish_retained(self._members, publication)
                cleared = True
        except SealcastError as error:
            _log.warning("could not clear away what is removed or expired: %s", error.message)
        except Exception:  # noqa: BLE001 - one image never ends the service; the log has the whole of it
            _log.exception("failed to clear away what is removed or expired")
        else:
            return cleared
        return False

    def close(self) -> None:
        """Finish what has been taken on."""
        self._workers.shutdown()

    def _answer_member(self, message: Message) -> None:
        try:
            if (device := topics.parse_presence(message.topic)) is not None:
                self._look_at_presence(message, *device)
            elif message.retained:
                self._answers.clear(message)
            elif topics.is_receipt(message.topic):
                pass  # for its owner, who may be looking; what is kept comes in a request
            elif self._confidential.is_for(message):
                self._confidential.answer(message)
            else:
                self._answer_signed(message)
        except VerificationError as error:
            _log.warning("dropped %s: %s", _describe(message.topic), error.reason)
        except Exception:  # noqa: BLE001 - the same
            _log.exception("failed on %s", _describe(message.topic))
        finally:
            self._members.acknowledge(message)
            self._places.release()

    def _look_at_presence(self, message: Message, user: str, fingerprint: str) -> None:
        """Clear what is said of no device in good standing: a last will is heard after a revocation, too."""
        is_sound = message.payload in messages.PRESENCE
        if not (is_sound and self._handlers.accounts.has_had_certificate(user, fingerprint)):
            self._answers.clear(message)

    def _answer_signed(self, message: Message) -> None:
        image_topic = topics.parse_image(message.topic)
        request_topic = topics.parse_request(message.topic)
        if image_topic is not None:
            sent, operation, user = _store_request(message), "store", image_topic.owner
        elif request_topic is not None and request_topic.user is not None:
            sent, operation, user = message.payload, request_topic.operation, request_topic.user
        else:
            raise VerificationError("no topic of a request")
        if len(sent) > self._settings.maximum_request_size:
            raise VerificationError("the request is too large")
        now = self._clock()
        signed = verify_request(sent, self._authority.trust(now), now=now)
        try:
            demand_signer(signed, user)
            # The list at hand may be a second behind.
            self._handlers.revocations.demand_standing(user, certificates.fingerprint(signed.certificate))
            request = read_fresh(
                signed.json, topic=message.topic, operation=operation, settings=self._settings, now=now
            )
            outcome = self._act(request, signed, message, now)
            self._answers.give(message, request, outcome, sent=sent, now=now)
        except SealcastError as error:
            _log.info("refused %s of %s: %s", operation, user, error.code)
            self._answers.refuse(message, signed.json, error, operation=operation, sent=sent, now=now)
        except Exception:
            self._answers.refuse(message, signed.json, FAULT, operation=operation, sent=sent, now=now)
            raise

    def _act(self, request: messages.Request, signed: SignedRequest, message: Message, now: dt.datetime) -> Outcome:
        image_topic = topics.parse_image(message.topic)
        if isinstance(request, messages.StoreRequest) and image_topic is not None:
            # The same image again is the same image: a repeated nonce does no harm here.
            return self._handlers.store(request, image_topic, message.payload, signed.certificate, now=now)
        self._nonces.demand_new(request.nonce, now)
        outcome = self._read_or_change(request, signed, now)
        if outcome is None:
            raise RefusedError(f"{request.operation} is not done on this topic", code="wrong_topic")
        return outcome

    def _read_or_change(self, request: messages.Request, signed: SignedRequest, now: dt.datetime) -> Outcome | None:
        outcome = None
        match request:
            case messages.MembersRequest():
                outcome = self._handlers.members(request, now=now)
            case messages.ReleaseRequest():
                outcome = self._handlers.release(request, signed.user, signed.certificate, now=now)
            case messages.FetchRequest():
                outcome = self._handlers.fetch(request, signed.user, signed.certificate)
            case messages.ListRequest():
                outcome = self._handlers.list(request, signed.user, signed.certificate)
            case messages.RemoveRequest():
                outcome = self._handlers.remove(request, signed.user, now=now)
            case messages.RenewRequest():
                outcome = self._handlers.renew(request, signed.user, signed.certificate, now=now)
            case messages.RevokeRequest():
                outcome = self._handlers.revoke(request, signed.user, signed.certificate, now=now)
            case messages.AcknowledgeRequest():
                outcome = self._handlers.acknowledge(request, signed.user, signed.certificate, now=now)
            case messages.ReceiptsRequest():
                outcome = self._handlers.receipts(request, signed.user, now=now)
        return outcome


def _describe(topic: str) -> str:
    """Return what the log may say of a topic: client ids are secrets."""
    request = topics.parse_request(topic)
    return f"{request.operation} of {request.user}" if request else "/".join(topic.split("/")[:_TELLING_LEVELS])


def _store_request(message: Message) -> bytes:
    try:
        return base64.b64decode(message.user_properties[messages.STORE_REQUEST], altchars=b"-_", validate=True)
    except (KeyError, binascii.Error) as error:
        raise VerificationError("an image without its owner's store request") from error
