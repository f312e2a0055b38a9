"""A registrar that runs: its stores, its sessions, what the broker retains, and its revocation list kept fresh."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from common import console
from common.connection import session_options, verified_context
from common.device import read_or_make_secret
from common.errors import SealcastError
from common.key_files import no_passphrase, passphrase_of
from common.session import Session
from common.settings import PACKET_MARGIN
from registrar.auditing import Auditing
from registrar.authority import (
    BROKER,
    BROKER_AUTHORITIES,
    BROKER_CRL,
    ISSUING,
    REGISTRAR,
    REGISTRAR_KEY,
    Authority,
)
from registrar.authority_files import stamp
from registrar.crls import issue_when_due
from registrar.ending import Ending
from registrar.ends import Reminder
from registrar.enforcing import Enforcement
from registrar.opening import open_handlers
from registrar.passwords import PasswordPool
from registrar.renewing import note_renewed, renew_when_due
from registrar.retained import rebuild
from registrar.service import Service

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography import x509

    from common.connection import Address, SessionOptions
    from common.console import Stop
    from common.key_files import Passphrase
    from common.settings import Settings
    from registrar.broker import Broker
    from registrar.handlers import Handlers

_LOOK_SECONDS = 1.0  # how often the broker, certificates and who is revoked are looked after
_CLEAR_SECONDS = 5.0  # how often what may wait a little is done: clearing away, the log, a rebuilding that failed
_WATCHED = (ISSUING, REGISTRAR, BROKER, BROKER_AUTHORITIES, BROKER_CRL)
# A member's request takes the interpreter's lock several times, and may wait for it so long each time that strangers
# keep the enrolment door busy: 5 ms by default, as long as a release takes as a whole.
_SWITCH_SECONDS = 0.0005
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Running:
    """The registrar of one folder, and its broker where that is its child."""

    home: Path
    settings: Settings
    handlers: Handlers
    broker: Broker | None = None
    _seen: tuple[tuple[int, int] | None, ...] = ()
    _enforcement: Enforcement = field(init=False)
    _reminder: Reminder = field(default_factory=Reminder)
    _auditing: Auditing = field(init=False)
    _ending: Ending = field(init=False)

    def __post_init__(self) -> None:
        self._enforcement = Enforcement(self.handlers, console.now)
        self._auditing = Auditing(self.handlers, console.now)

    @classmethod
    def prepare(
        cls, home: Path, settings: Settings, *, database: str, archive: str, passphrase: Passphrase = no_passphrase
    ) -> Self:
        """Open the authority, the database (migrated) and the archive; raises ConfigurationError."""
        # Before a broker starts: what is over by now would let nobody in.
        renewed = _renew_when_due(Authority.load(home, settings, passphrase))
        # Before anything is read: what is replaced meanwhile is taken over later.
        seen = stamp(home / name for name in _WATCHED)
        handlers = open_handlers(Authority.load(home, settings, passphrase), database=database, archive=archive)
        running = cls(home, settings, handlers, _seen=seen)
        running._note(renewed)
        running.issue_crls_when_due()
        return running

    @contextlib.contextmanager
    def connect(self, address: Address) -> Iterator[Service]:
        """Connect to the broker, rebuild what it has lost, and subscribe; yields the service, ready to serve."""
        requests = 2 * self.settings.maximum_request_size
        images = self.settings.maximum_sealed_size + PACKET_MARGIN
        with (
            # Once all is done that may fail to log in.
            contextlib.closing(self._auditing),
            Session(address, self._client_id("registrar"), self._context(), self._options(images)) as members,
            # The other two show whatever the first is given to show: the renewed certificate, too.
            # The broker keeps whatever is larger than a request from this session.
            members.beside(self._client_id("enrolments"), self._options(requests)) as enrolment,
            # Neither is held up by who comes and goes.
            members.beside(self._client_id("connections"), self._options(requests)) as log,
            contextlib.closing(PasswordPool(self.settings)) as passwords,
        ):
            connections = self.handlers.revocations.connections
            self._ending = Ending(
                connections, log, lambda client_id: self._take_over_session(address, client_id), console.now
            )
            self._ending.subscribe()
            service = Service(self.handlers, members, enrolment, passwords, console.now)
            with contextlib.closing(service):
                service.publish_trust(self.handlers.authority)
                service.subscribe()
                with self._rebuilding(address, service):
                    yield service

    @contextlib.contextmanager
    def _rebuilding(self, address: Address, service: Service) -> Iterator[None]:
        """Rebuild what the broker retains, now and after every reconnection, beside what is served."""
        wanted, ended = threading.Event(), threading.Event()

        def rebuild_soon() -> None:
            wanted.set()
            self._auditing.publish_again()
            try:
                service.publish_trust(self.handlers.authority)
            except SealcastError as error:
                _log.warning("could not publish what is trusted, will try again: %s", error.message)

        service.on_reconnection = rebuild_soon
        wanted.set()
        rebuilding = threading.Thread(target=self._rebuild, args=(address, wanted, ended), name="rebuild", daemon=True)
        rebuilding.start()
        try:
            yield
        finally:
            ended.set()
            # One that has a long way to go is not waited for: the next start begins it anew.
            rebuilding.join(_CLEAR_SECONDS)

    def serve(self, service: Service, stop: Stop) -> None:
        """Serve until asked to stop; raises SessionError when the broker, where it is a child, ends again and again."""
        ended = threading.Event()
        sys.setswitchinterval(_SWITCH_SECONDS)

        def clear_away() -> None:
            if not service.clear_away():
                ended.wait(_CLEAR_SECONDS)

        works: dict[str, tuple[Callable[[], None], float]] = {
            "enrolments": (service.enrolment_door.serve, 0),
            "clearing": (clear_away, 0),
            "audit": (lambda: self._auditing.look(service.retain), _CLEAR_SECONDS),
            "looking": (lambda: self._look_after(service), _LOOK_SECONDS),
            "connections": (self._ending.watch, 0),
            "ending": (self._ending.end, _LOOK_SECONDS),
        }
        beside = [
            threading.Thread(target=_until(ended, work, pause), name=name, daemon=True)
            for name, (work, pause) in works.items()
        ]
        for thread in beside:
            thread.start()
        next_look = time.monotonic()
        try:
            while not stop:
                service.serve_members()
                if time.monotonic() < next_look:
                    continue
                next_look = time.monotonic() + _LOOK_SECONDS
                if self.broker is not None:
                    self.broker.look_after()
        finally:
            ended.set()
            for thread in beside:
                thread.join()

    def _look_after(self, service: Service) -> None:
        """Renew and issue what is due, and have everybody know what is new and who is revoked."""
        self._note(_renew_when_due(self.handlers.authority))
        self.issue_crls_when_due()
        self._take_over(service)
        self._enforcement.follow(service.retain)
        authority = self.handlers.authority
        self._reminder.remind(authority.root, authority.newest.certificate, console.now())

    def _note(self, renewed: dict[str, x509.Certificate]) -> None:
        try:
            note_renewed(self.handlers.audit, renewed, console.now())
        except SealcastError as error:
            _log.warning("could not write to the audit log: %s", error.message)

    def _take_over(self, service: Service) -> None:
        """Have everybody know what is new in the authority's folder, whoever has written it, then work with it.

        First it is published: whoever sees what is signed with it can tell by then that it is sound.
        """
        seen = stamp(self.home / name for name in _WATCHED)
        if seen == self._seen:
            return
        try:
            authority = Authority.load(self.home, self.settings, self.handlers.authority.passphrase)
            # Whom a new issuing CA has certified, nobody accepts without its list.
            issue_when_due(authority, self.handlers.revocations, console.now())
            service.publish_trust(authority)
        except SealcastError as error:
            _log.warning("could not take over what is new in %s, will try again: %s", self.home, error.message)
            return
        if self.broker is not None:
            self.broker.reread()
        service.show_certificate(authority.ca_pem, *self._credentials)
        self.handlers.authority.adopt(authority)
        self._seen = seen

    def issue_crls_when_due(self) -> None:
        """Issue the revocation lists anew where the database is ahead of them, or they grow old.

        What keeps them from being issued, a full disk or a busy database, is logged: those at hand are good for weeks.
        """
        try:
            issue_when_due(self.handlers.authority, self.handlers.revocations, console.now())
        except SealcastError as error:
            _log.warning("could not issue a new revocation list, will try again: %s", error.message)

    @property
    def _credentials(self) -> tuple[Path, Path, bytes | None]:
        key = self.home / REGISTRAR_KEY
        return self.home / REGISTRAR, key, passphrase_of(key, self.handlers.authority.passphrase)

    def _client_id(self, role: str) -> str:
        return f"{read_or_make_secret(self.home)}-{role}"

    def _options(self, maximum_packet_size: int, *, lasting: bool = True) -> SessionOptions:
        """Return the options of a session; a ``lasting`` one loses nothing while the registrar is away."""
        return session_options(
            self.settings,
            expiry=self.settings.registrar_session_seconds if lasting else 0,
            maximum_packet_size=maximum_packet_size,
            manual_acknowledgement=lasting,
        )

    def _take_over_session(self, address: Address, client_id: str) -> Session:
        """Return a session in the place of a member's, of which nothing stays."""
        return Session(address, client_id, self._context(), session_options(self.settings, quiet=True))

    def _context(self) -> ssl.SSLContext:
        return verified_context(self.handlers.authority.ca_pem, *self._credentials)

    def _rebuild(self, address: Address, wanted: threading.Event, ended: threading.Event) -> None:
        """Rebuild what the broker retains each time it may have lost it; where that fails, try again."""
        while not ended.is_set():
            if not wanted.wait(timeout=1):
                continue
            wanted.clear()
            try:
                options = self._options(PACKET_MARGIN, lasting=False)
                with Session(address, self._client_id("rebuild"), self._context(), options) as session:
                    published = rebuild(session, self.handlers, console.now)
            except SealcastError as error:
                _log.warning("could not rebuild what the broker retains, will try again: %s", error.message)
            except Exception:  # noqa: BLE001 - nothing that it meets ends the work; the log has the whole of it
                _log.exception("could not rebuild what the broker retains, will try again")
            else:
                _log.info("the broker retained all but %d messages", published)
                continue
            wanted.set()
            ended.wait(_CLEAR_SECONDS)


def _renew_when_due(authority: Authority) -> dict[str, x509.Certificate]:
    """Renew the certificates of registrar and broker in time; what keeps them from it is logged, as above."""
    try:
        return renew_when_due(authority, console.now())
    except SealcastError as error:
        _log.warning("could not renew the certificates of registrar and broker, will try again: %s", error.message)
        return {}


def _until(ended: threading.Event, work: Callable[[], None], pause: float) -> Callable[[], None]:
    def repeat() -> None:
        while not ended.is_set():
            try:
                work()
                ended.wait(pause)
            except Exception:  # noqa: BLE001 - nothing that it meets ends the work; the log has the whole of it
                _log.exception("failed in %s", threading.current_thread().name)
                ended.wait(_LOOK_SECONDS)

    return repeat
