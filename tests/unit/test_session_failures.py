"""What a session does when much is asked of it, when the broker goes, and at doors that are none."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import shutil
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import authorities
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from paho.mqtt.client import Client
from real_broker import HERE, LASTING, NOW, ONE, OTHER, QUICK, REQUEST, RealBroker, answer, next_message, payloads
from system import PATIENCE, free_ports

from common import topics
from common.arrivals import Connected, Message
from common.connection import Address, verified_context
from common.errors import RefusedError, SessionError
from common.session import Session
from common.topics import new_image_id
from registrar import authority
from registrar.broker import Doors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OURS = verified_context(authorities.default().root.certificate_pem)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBroker]:
    with RealBroker.create(tmp_path_factory.mktemp("session") / "registrar").running() as one:
        yield one


@pytest.fixture
def mortal_broker(broker: RealBroker, tmp_path: Path) -> Iterator[RealBroker]:
    """A broker of its own for a test that ends it."""
    shutil.copytree(broker.home, tmp_path / "registrar", ignore=shutil.ignore_patterns("data"))
    with RealBroker(tmp_path / "registrar", Doors("127.0.0.1", *free_ports(2))).running() as one:
        yield one


def test_thousands_of_publishes_in_several_threads_while_receiving(broker: RealBroker) -> None:
    threads, each = 4, 500
    with broker.connect(ONE) as session, ThreadPoolExecutor(threads) as pool:
        session.subscribe(f"{HERE}/+")

        def publish(thread: int) -> None:
            sent = [session.publish(f"{HERE}/{thread}", str(number).encode()) for number in range(each)]
            for outcome in sent:
                outcome.result(PATIENCE)

        publishing = [pool.submit(publish, thread) for thread in range(threads)]
        received: dict[str, list[int]] = {}
        for _ in range(threads * each):
            message = session.receive(timeout=PATIENCE)
            while isinstance(message, Connected):
                message = session.receive(timeout=PATIENCE)
            assert isinstance(message, Message)
            received.setdefault(message.topic, []).append(int(message.payload))
        for one in publishing:
            one.result(PATIENCE)
    assert received == {f"{HERE}/{thread}": list(range(each)) for thread in range(threads)}


def test_a_refused_publish_says_so(broker: RealBroker) -> None:
    bobs = topics.ImageTopic("bob", "public", new_image_id(NOW)).image
    own = topics.ImageTopic("alice", "public", new_image_id(NOW)).image
    with broker.connect(ONE, user="alice") as session:
        with pytest.raises(RefusedError) as caught:
            session.publish(bobs, b"x").result(PATIENCE)
        assert caught.value.code == "refused_by_broker"
        with pytest.raises(RefusedError):
            session.request(bobs, b"x", operation="store")
        session.publish(own, b"x").result(PATIENCE)


def connected_again(session: Session) -> Connected:
    while (arrived := session.receive(timeout=PATIENCE)) is not None:
        if isinstance(arrived, Connected) and arrived.again:
            return arrived
    raise AssertionError("not connected again")


@pytest.mark.parametrize("by_force", [True, False], ids=["killed", "stopped"])
def test_the_session_goes_on_when_the_broker_comes_back(mortal_broker: RealBroker, *, by_force: bool) -> None:
    with mortal_broker.connect(ONE, replace(LASTING, manual_acknowledgement=False)) as session:
        session.subscribe(f"{HERE}/+", topics.all_replies(ONE))
        session.follow(topics.TRUST_CRL)
        mortal_broker.end(by_force=by_force)
        # What is published while there is no broker waits for it.
        published = [session.publish(f"{HERE}/{number}", b"meanwhile") for number in range(100)]
        mortal_broker.start()
        assert connected_again(session).resumed is not by_force
        for outcome in published:
            outcome.result(PATIENCE)
        assert payloads(session) == [b"meanwhile"] * 100
        with mortal_broker.connect(OTHER) as other, ThreadPoolExecutor(1) as pool:
            other.publish(topics.TRUST_CRL, b"crl", retain=True).result(PATIENCE)
            assert session.latest(topics.TRUST_CRL) == b"crl"
            other.subscribe(topics.all_requests("members"))
            asked = pool.submit(session.request, REQUEST, b"question", operation="members")
            answer(other)
            assert asked.result(PATIENCE).payload == b"QUESTION"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_loss_is_told_in_words_by_one_session_of_a_program(
    mortal_broker: RealBroker, caplog: pytest.LogCaptureFixture, *, quiet: bool
) -> None:
    with mortal_broker.connect(ONE, replace(LASTING, quiet=quiet)) as session:
        mortal_broker.end()
        mortal_broker.start()
        connected_again(session)
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    if quiet:
        assert told == []
    else:
        assert told[0].endswith("trying again: the connection was cut")
        assert told[-1].startswith("connected to the broker")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (AttributeError("a mistake", name="join", obj="a thread"), False),
        (AttributeError("a mistake"), False),
        (None, True),
    ],
    ids=["of a thread", "of ours", "thread gone"],
)
def test_leaving_hides_no_mistake_but_paho_s(
    broker: RealBroker, monkeypatch: pytest.MonkeyPatch, error: AttributeError | None, *, passes: bool
) -> None:
    stop, gone = Client.loop_stop, None

    def fail_after_stopping(client: Client) -> None:
        stop(client)
        if error is not None:
            raise error
        gone.join()  # type: ignore[attr-defined]  # as in paho

    monkeypatch.setattr(Client, "loop_stop", fail_after_stopping)
    with contextlib.nullcontext() if passes else pytest.raises(AttributeError), broker.connect(ONE):
        pass


def test_an_acknowledgement_counts_for_the_connection_of_its_message(mortal_broker: RealBroker) -> None:
    with mortal_broker.connect(ONE, LASTING) as session:
        session.subscribe(f"{HERE}/+")
        session.publish(f"{HERE}/1", b"old").result(PATIENCE)
        old = next_message(session)
        mortal_broker.end()
        mortal_broker.start()
        connected_again(session)
        session.publish(f"{HERE}/2", b"new").result(PATIENCE)
        new = next_message(session)
        # The broker has forgotten the old message, and calls the new one by the same number.
        assert (new.payload, new.packet_id) == (b"new", old.packet_id)
        session.acknowledge(old)
    with mortal_broker.connect(ONE, LASTING) as session:
        assert b"new" in payloads(session)


def test_a_renewed_certificate_is_shown_from_the_next_connection_on(mortal_broker: RealBroker) -> None:
    bobs = topics.ImageTopic("bob", "public", topics.new_image_id(NOW)).image
    with mortal_broker.connect(ONE, LASTING, user="alice") as session:
        authorities = (mortal_broker.home / authority.BROKER_AUTHORITIES).read_bytes()
        session.show_certificate(authorities, *mortal_broker.credentials("bob"))
        with pytest.raises(RefusedError):
            session.publish(bobs, b"x").result(PATIENCE)
        mortal_broker.end()
        mortal_broker.start()
        connected_again(session)
        session.publish(bobs, b"x").result(PATIENCE)


def test_without_the_broker_a_request_fails_and_leaving_is_quick(mortal_broker: RealBroker) -> None:
    with mortal_broker.connect(ONE, QUICK) as session:
        mortal_broker.end()
        with pytest.raises(SessionError) as caught:
            session.request(REQUEST, b"anyone?", operation="members")
        assert caught.value.code == "broker_silent"
        with pytest.raises(SessionError):
            session.subscribe(f"{HERE}/#")
        started = dt.datetime.now(dt.UTC)
    assert dt.datetime.now(dt.UTC) - started < dt.timedelta(seconds=30)


def assert_fails(address: Address, context: ssl.SSLContext, *codes: str, connect_timeout: float = PATIENCE) -> None:
    options = replace(QUICK, connect_timeout=connect_timeout)
    with pytest.raises(SessionError) as caught, Session(address, ONE, context, options):
        pass
    assert caught.value.code in codes
    assert caught.value.hint


@contextlib.contextmanager
def port_that(treat: Callable[[socket.socket], object]) -> Iterator[int]:
    """Listen on a port, and treat the first connection so; hold it until the test is over."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            treat(connection)
            over.wait(PATIENCE)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(PATIENCE)


def tls_server(folder: Path, names: list[x509.GeneralName]) -> ssl.SSLContext:
    holder = authorities.default().certify("broker", names, usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    (folder / "server.pem").write_bytes(holder.certificate_pem + authorities.default().issuing.certificate_pem)
    (folder / "server.key").write_bytes(holder.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def test_a_port_that_is_silent() -> None:
    with port_that(lambda _connection: None) as port:
        assert_fails(Address("127.0.0.1", port), OURS, "broker_silent", connect_timeout=1)


def test_a_port_that_is_closed() -> None:
    assert_fails(Address("127.0.0.1", free_ports(1)[0]), OURS, "no_broker")


def test_a_port_that_speaks_no_tls() -> None:
    with port_that(lambda connection: connection.sendall(b"220 mail.example.org ESMTP\r\n")) as port:
        assert_fails(Address("127.0.0.1", port), OURS, "no_tls")


def test_a_port_that_hangs_up() -> None:
    with port_that(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port:
        assert_fails(Address("127.0.0.1", port), OURS, "no_tls", "no_broker")


def test_a_port_that_speaks_tls_and_no_mqtt(tmp_path: Path) -> None:
    server = tls_server(tmp_path, [x509.DNSName("localhost")])
    with port_that(lambda connection: server.wrap_socket(connection, server_side=True).recv(1)) as port:
        assert_fails(Address("localhost", port), OURS, "broker_silent", "connection_closed", connect_timeout=1)


def test_a_broker_of_another_name(broker: RealBroker, tmp_path: Path) -> None:
    server = tls_server(tmp_path, [x509.DNSName("elsewhere.example.org")])
    with port_that(lambda connection: server.wrap_socket(connection, server_side=True)) as port:
        assert_fails(Address("localhost", port), OURS, "untrusted_broker")
    # Twin: the right name.
    with broker.connect(ONE):
        pass


def test_a_broker_of_another_authority(broker: RealBroker) -> None:
    for port in (broker.doors.port, broker.doors.enrol_port):
        assert_fails(Address("localhost", port), OURS, "untrusted_broker")
    theirs = verified_context((broker.home / authority.ROOT).read_bytes())
    with Session(Address("localhost", broker.doors.enrol_port), ONE, theirs):
        pass


@pytest.mark.parametrize("host", ["", "a..b", "x" * 64, "no\0host"])
def test_a_host_that_cannot_be(host: str) -> None:
    assert_fails(Address(host, 8883), OURS, "unknown_host")
