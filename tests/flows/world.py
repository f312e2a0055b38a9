"""A registrar with its real stores, and members, on a simulated broker; time is a parameter."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import authorities
from flows.members import Owner, Reader
from flows.simulator import Broker

from common.connection import SessionOptions
from common.device import KEY, Device
from common.files import write_private
from common.identity import Identity, save_enrolment
from common.registrar_client import RegistrarClient
from common.settings import Settings
from registrar.accounts import Accounts
from registrar.archive import open_archive
from registrar.audit import AuditLog
from registrar.authority import BROKER_CRL, Authority, Issuer
from registrar.catalogue import Catalogue
from registrar.database import migrate, open_database
from registrar.deletions import Deletions
from registrar.handlers import Handlers
from registrar.passwords import LOCKED, PasswordPool
from registrar.receipts import Receipts
from registrar.revocations import Revocations
from registrar.service import Service
from registrar.tokens import Tokens

if TYPE_CHECKING:
    from pathlib import Path

    from authorities import Holder
    from cryptography import x509


SERVING = SessionOptions(expiry=3600, manual_acknowledgement=True)


class Clock:
    """The time that everybody in a world goes by."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += dt.timedelta(**duration)


class World:
    """A registrar that serves on a broker; a context manager."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - any of the settings
        self.folder = folder
        self.settings = Settings(**settings)
        self.clock = Clock(authorities.NOW)
        self.authorities = authorities.default()
        self.broker = Broker()
        home = folder / "registrar"
        (home / BROKER_CRL).parent.mkdir(parents=True)
        issuing = self.authorities.issuing
        registrar = self.authorities.registrar
        self.authority = Authority(
            home,
            self.settings,
            self.authorities.root.certificate,
            (Issuer(issuing.certificate, issuing.key),),
            (registrar.certificate,),
        )
        self._engine = open_database(f"sqlite:///{home / 'registrar.sqlite3'}")
        migrate(self._engine)
        self.accounts, self.catalogue = Accounts(self._engine), Catalogue(self._engine)
        self.revocations, self.audit = Revocations(self._engine), AuditLog(self._engine)
        self.deletions = Deletions(self._engine)
        self.archive = open_archive(str(folder / "archive"))
        self.handlers = Handlers(
            self.authority,
            registrar.key,
            self.accounts,
            self.revocations,
            self.deletions,
            Tokens(self._engine),
            self.audit,
            self.catalogue,
            Receipts(self._engine),
            self.archive,
            self.settings,
        )
        self.members = self.broker.session("a" * 32 + "-registrar", SERVING)
        self.enrolments = self.broker.session("a" * 32 + "-enrolments", SERVING)
        self.stack = ExitStack()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.stack.callback(self._engine.dispose)
        self.passwords = PasswordPool(self.settings)
        self.service = Service(self.handlers, self.members, self.enrolments, self.passwords, self.clock)
        serving = [
            threading.Thread(target=self._serve, args=(serve,))
            for serve in (self.service.serve_members, self.service.enrolment_door.serve)
        ]
        # Closed last: a device may just have said that it is online, which nobody waits for.
        self.stack.callback(self.passwords.close)
        self.stack.callback(self.service.close)
        for thread in serving:
            self.stack.callback(thread.join)
        # Left first: what ends the threads' waiting.
        self.stack.enter_context(self.members)
        self.stack.enter_context(self.enrolments)
        self.stack.callback(self._ended.set)
        self.service.subscribe()
        for thread in serving:
            thread.start()
        self.publish_trust()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def _serve(self, serve: Any) -> None:  # noqa: ANN401 - one of the service's two methods
        while not self._ended.is_set():
            serve()

    def publish_trust(self, crl: x509.CertificateRevocationList | None = None) -> None:
        # Not `or`: a list that names nobody has the length 0.
        self.authority.write_crls([self.authorities.crl() if crl is None else crl])
        self.service.publish_trust(self.authority)

    def identity(self, user: str, holder: Holder | None = None, *, folder: str | None = None) -> Identity:
        """Return a member who is registered, with an identity on disk; the same key for the same name."""
        holder = holder or self.authorities.member(user)
        if self.accounts.password_hash(user) is None:
            self.accounts.create(user, LOCKED, self.clock())
        self.accounts.add_certificate(user, holder.certificate, self.clock())
        home = self.folder / (folder or user)
        home.mkdir(mode=0o700)
        write_private(home / KEY, holder.key_pem)
        device = Device.prepare(home, key_size=2048)
        save_enrolment(
            device, holder.certificate, self.authorities.registrar.certificate, self.authority.trust(self.clock())
        )
        return Identity.load(home, now=self.clock())

    def owner(self, user: str, holder: Holder | None = None) -> Owner:
        identity = self.identity(user, holder)
        session = self.stack.enter_context(self.broker.session(identity.device.client_id("publisher")))
        registrar = RegistrarClient(session, identity, self.clock)
        registrar.join()
        return Owner(self, identity, session, registrar)

    def reader(self, user: str, holder: Holder | None = None) -> Reader:
        reader = Reader(self, self.identity(user, holder))
        reader.start()
        self.stack.callback(reader.stop)
        return reader
