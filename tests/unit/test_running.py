"""A running registrar: which certificate its sessions show, and what does not end its work."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

import registrar.running
from common import certificates, console
from common.connection import Address
from common.errors import SessionError
from common.session import Session
from common.settings import Settings
from registrar.authority import BROKER, BROKER_KEY, REGISTRAR, ROOT
from registrar.making import create
from registrar.renewing import renew
from registrar.running import Running

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings()
NOWHERE = Address("localhost", 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    create(tmp_path / "registrar", hosts=["localhost"], settings=SETTINGS, now=console.now())
    return tmp_path / "registrar"


@pytest.fixture
def running(home: Path) -> Running:
    return Running.prepare(
        home, SETTINGS, database=f"sqlite:///{home / 'registrar.sqlite3'}", archive=str(home / "archive")
    )


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that are there all the time, without a broker: nothing arrives, and what is sent is dropped."""
    entered: list[Session] = []

    def enter(session: Session) -> Session:
        if threading.current_thread() is threading.main_thread():
            entered.append(session)
        return session

    monkeypatch.setattr(Session, "__enter__", enter)
    for method in ("__exit__", "subscribe", "unsubscribe", "publish", "receive"):
        monkeypatch.setattr(Session, method, lambda *_, **__: None)
    return entered


def shown(session: Session, home: Path) -> x509.Certificate:
    """Return the certificate that a session shows to the broker at its next connection."""
    broker = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker.load_cert_chain(home / BROKER, home / BROKER_KEY)
    broker.load_verify_locations(home / ROOT)
    broker.verify_mode = ssl.CERT_REQUIRED
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    context: Any = session._context  # noqa: SLF001 - what the next connection is made with
    sides = context.wrap_bio(back, there, server_hostname="localhost"), broker.wrap_bio(there, back, server_side=True)
    for side in sides * 2:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = sides[1].getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def test_every_session_shows_the_renewed_certificate(running: Running, home: Path, lasting: list[Session]) -> None:
    former = certificates.read_certificate((home / REGISTRAR).read_bytes())
    with running.connect(NOWHERE) as service:
        assert {shown(session, home) for session in lasting} == {former}
        renew(home, SETTINGS, console.now())
        renewed = certificates.read_certificate((home / REGISTRAR).read_bytes())
        running._look_after(service)  # noqa: SLF001 - one turn of the thread of this name
        roles = {session.client_id.split("-")[-1]: shown(session, home) for session in lasting}
    assert renewed != former
    assert roles == dict.fromkeys(("registrar", "enrolments", "connections"), renewed)


def test_nothing_that_a_rebuilding_meets_ends_the_rebuilding(
    running: Running, lasting: list[Session], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures, rebuilt = [ValueError("unheard of"), SessionError("the broker is gone")], threading.Event()

    def fail_at_first(*_: object) -> int:
        if failures:
            raise failures.pop(0)
        rebuilt.set()
        return 0

    monkeypatch.setattr(registrar.running, "rebuild", fail_at_first)
    monkeypatch.setattr(registrar.running, "_CLEAR_SECONDS", 0.01)
    with running.connect(NOWHERE):
        assert rebuilt.wait(60)
    assert len(lasting) == 3
    assert caplog.text.count("could not rebuild what the broker retains, will try again") == 2
