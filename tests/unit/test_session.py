"""The session on the real broker, and what of it the simulated one in tests/flows has to do as well."""

from __future__ import annotations

import contextlib
import datetime as dt
import inspect
import shutil
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import authorities
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from flows.simulator import Broker, SimulatedSession
from system import free_ports, wait_until

from common import certificates, keys, topics
from common.arrivals import Connected, Message
from common.connection import Address, SessionOptions, verified_context
from common.errors import RefusedError, SessionError
from common.session import Session
from common.settings import Settings
from common.topics import new_image_id
from registrar import authority
from registrar.broker import Doors, run_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = dt.datetime.now(dt.UTC)
QUICK = SessionOptions(connect_timeout=1, reply_timeout=1, longest_reconnect_wait=1)
LASTING = SessionOptions(expiry=600, manual_acknowledgement=True, longest_reconnect_wait=1)
ONE, OTHER = "a" * 32 + "-one", "b" * 32 + "-other"
HERE = f"{topics.PREFIX}/announcements/alice/public"
REQUEST = topics.request("members", "alice", ONE)


@dataclass
class RealBroker:
    """The real Mosquitto with the real configuration, which can be killed and started again on the same port."""

    home: Path
    doors: Doors
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, home: Path) -> RealBroker:
        authority.create(home, hosts=[], settings=Settings(), now=NOW)
        return cls(home, Doors("127.0.0.1", *free_ports(2)))

    def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert program
        with (self.home / "broker" / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "-c", "config/mosquitto.conf"], cwd=self.home / "broker", stdout=log, stderr=log
            )
        wait_until(self.is_open, "an open door")

    def is_open(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.doors.port), timeout=1):
            return True
        return False

    def end(self, *, by_force: bool = True) -> None:
        if self.process is not None:
            (self.process.kill if by_force else self.process.terminate)()
            self.process.wait(10)

    def connect(self, client_id: str, options: SessionOptions | None = None, *, user: str = "registrar") -> Session:
        """Return a session of the registrar's, which may write and read everything, or of a member's."""
        home = self.home
        certificate, key = home / authority.REGISTRAR, home / authority.REGISTRAR_KEY
        if user != "registrar":
            certificate, key = home / f"{user}.pem", home / f"{user}.key"
            signing = authority.Authority.load(home, Settings())
            made = keys.generate(2048)
            key.write_bytes(keys.to_pem(made))
            certificate.write_bytes(certificates.to_pem(signing.sign_member(made.public_key(), user, NOW)))
        context = verified_context((home / authority.ROOT).read_bytes(), certificate, key)
        return Session(Address("localhost", self.doors.port), client_id, context, options)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session") / "registrar"


@pytest.fixture(scope="module")
def broker(home: Path) -> Iterator[RealBroker]:
    one = RealBroker.create(home)
    with run_broker(one.home, one.doors):
        yield one


@pytest.fixture
def mortal_broker(broker: RealBroker, tmp_path: Path) -> Iterator[RealBroker]:
    """A broker of its own for a test that ends it."""
    shutil.copytree(broker.home, tmp_path / "registrar", ignore=shutil.ignore_patterns("data"))
    one = RealBroker(tmp_path / "registrar", Doors("127.0.0.1", *free_ports(2)))
    with run_broker(one.home, one.doors):
        pass
    one.start()
    yield one
    one.end()


@pytest.fixture(params=["real", "simulated"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Session]]:
    """Both kinds of session, on a broker that retains nothing from an earlier test."""
    if request.param == "simulated":
        yield Broker().session
        return
    real: RealBroker = request.getfixturevalue("broker")
    yield real.connect
    with real.connect("f" * 32 + "-clearing") as session:
        session.subscribe(f"{topics.PREFIX}/#")
        for topic in {message.topic for message in until(session, "end") if message.retained}:
            session.publish(topic, b"", retain=True).result(10)
    for client_id in (ONE, OTHER):
        with real.connect(client_id):
            pass


def until(session: Session, word: str) -> list[Message]:
    """Return what has arrived until now: what comes before a message that the session sends to itself."""
    mark = f"{topics.PREFIX}/marks/{word}"
    session.subscribe(mark)
    session.publish(mark, word.encode())
    found: list[Message] = []
    while (arrived := session.receive(timeout=10)) is not None:
        if isinstance(arrived, Message):
            if arrived.topic == mark:
                session.acknowledge(arrived)
                return found
            found.append(arrived)
    raise AssertionError(f"{word} did not arrive")


def payloads(session: Session, word: str = "now") -> list[bytes]:
    return [message.payload for message in until(session, word)]


def test_the_simulated_session_does_all_that_the_real_one_does() -> None:
    public = {name for name, _ in inspect.getmembers(Session, inspect.isfunction) if not name.startswith("_")}
    assert public >= {"publish", "subscribe", "request", "receive", "acknowledge", "follow", "latest"}
    for name in public | {"__enter__", "__exit__"}:
        assert name in vars(SimulatedSession), name
        assert inspect.signature(getattr(SimulatedSession, name)) == inspect.signature(getattr(Session, name)), name


def test_a_filter_takes_its_topics_and_no_others(connect: Callable[..., Session]) -> None:
    sent = [f"{HERE}/1", f"{HERE}/1/2", HERE, f"{topics.PREFIX}/announcements/bob/public/1"]
    for topic_filter, expected in (
        (f"{HERE}/+", [f"{HERE}/1"]),
        (f"{HERE}/#", [f"{HERE}/1", f"{HERE}/1/2", HERE]),
        (f"{topics.PREFIX}/announcements/+/public/1", [f"{HERE}/1", f"{topics.PREFIX}/announcements/bob/public/1"]),
        (HERE, [HERE]),
    ):
        with connect(ONE) as reader, connect(OTHER) as writer:
            reader.subscribe(topic_filter)
            for topic in sent:
                writer.publish(topic, b"x").result(10)
            assert [message.topic for message in until(reader, "now")] == expected


def test_what_is_retained_comes_with_its_flag(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(f"{HERE}/kept", b"kept", retain=True).result(10)
        writer.publish(f"{HERE}/passing", b"passing").result(10)
        reader.subscribe(f"{HERE}/+")
        writer.publish(f"{HERE}/passing", b"live").result(10)
        writer.publish(f"{HERE}/kept", b"kept and live", retain=True).result(10)
        assert [(message.payload, message.retained) for message in until(reader, "now")] == [
            (b"kept", True),
            (b"live", False),
            (b"kept and live", True),
        ]
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(f"{HERE}/kept", b"", retain=True).result(10)
        reader.subscribe(f"{HERE}/+")
        assert payloads(reader) == []


def test_what_is_retained_comes_again_unless_once_is_enough(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(f"{HERE}/kept", b"kept", retain=True).result(10)
        reader.subscribe(f"{HERE}/+", retained_once=True)
        reader.subscribe(f"{HERE}/+", retained_once=True)
        assert payloads(reader, "once") == [b"kept"]
        reader.subscribe(f"{HERE}/+")
        assert payloads(reader, "again") == [b"kept"]
        reader.unsubscribe(f"{HERE}/+")
        reader.subscribe(f"{HERE}/+", retained_once=True)
        assert payloads(reader, "anew") == [b"kept"]


def test_nothing_comes_after_unsubscribing(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        reader.subscribe(f"{HERE}/+", f"{HERE}/#")
        reader.unsubscribe(f"{HERE}/+", f"{HERE}/#")
        # Answered in order: when this one is, the other is done.
        reader.subscribe(f"{HERE}/elsewhere")
        writer.publish(f"{HERE}/1", b"x").result(10)
        assert payloads(reader) == []


def test_of_what_is_followed_only_the_latest_counts(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(topics.TRUST_CRL, b"first", retain=True).result(10)
        reader.follow(topics.TRUST_CRL)
        assert reader.latest(topics.TRUST_CRL) == b"first"
        reader.subscribe(f"{topics.PREFIX}/#")
        writer.publish(topics.TRUST_CRL, b"second", retain=True).result(10)
        assert payloads(reader) == []
        assert reader.latest(topics.TRUST_CRL) == b"second"


def test_what_is_followed_and_never_comes(connect: Callable[..., Session]) -> None:
    with connect(ONE, QUICK) as reader:
        reader.follow(topics.TRUST_REGISTRAR)
        with pytest.raises(SessionError) as caught:
            reader.latest(topics.TRUST_REGISTRAR)
        assert caught.value.code == "no_registrar"


def answer(session: Session, count: int = 1) -> None:
    for _ in range(count):
        request = session.receive(timeout=10)
        while isinstance(request, Connected):
            request = session.receive(timeout=10)
        assert isinstance(request, Message)
        assert request.response_topic is not None
        # What is no answer to it comes first.
        session.publish(request.response_topic, b"no correlation")
        session.publish(request.response_topic, b"somebody else's", correlation=b"0" * 16)
        words = request.payload + request.user_properties.get("name", "").encode()
        session.publish(request.response_topic, words.upper(), correlation=request.correlation)


def test_a_request_gets_its_own_answer(connect: Callable[..., Session]) -> None:
    with connect(ONE) as asker, connect(OTHER) as answerer, ThreadPoolExecutor(4) as pool:
        answerer.subscribe(topics.ALL_REQUESTS)
        asker.subscribe(topics.all_replies(ONE))
        asked = {
            word: pool.submit(
                asker.request, REQUEST, word.encode(), operation="members", user_properties={"name": f"+{word}"}
            )
            for word in ("one", "two", "three", "four")
        }
        answer(answerer, len(asked))
        for word, reply in asked.items():
            assert reply.result(10).payload == f"{word}+{word}".upper().encode()
        assert payloads(asker) == []


def test_without_an_answer_there_is_no_registrar(connect: Callable[..., Session]) -> None:
    with connect(ONE, QUICK) as asker:
        asker.subscribe(topics.all_replies(ONE))
        with pytest.raises(SessionError) as caught:
            asker.request(REQUEST, b"anyone?", operation="members")
        assert caught.value.code == "no_registrar"


def test_what_is_not_acknowledged_comes_again(connect: Callable[..., Session]) -> None:
    with connect(ONE, LASTING) as reader, connect(OTHER) as writer:
        reader.subscribe(f"{HERE}/+")
        for number in range(3):
            writer.publish(f"{HERE}/{number}", str(number).encode()).result(10)
        first, second, third = until(reader, "now")
        assert (first.payload, third.payload) == (b"0", b"2")
        reader.acknowledge(second)
    with connect(ONE, LASTING) as reader, connect(OTHER) as writer:
        assert reader.receive(timeout=10) == Connected(again=False, resumed=True)
        writer.publish(f"{HERE}/3", b"3").result(10)
        again = until(reader, "again")
        assert [message.payload for message in again] == [b"0", b"2", b"3"]
        for message in again:
            reader.acknowledge(message)
    with connect(ONE, LASTING) as reader:
        assert payloads(reader, "third") == []


def test_a_session_that_does_not_last_leaves_nothing(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader:
        reader.subscribe(f"{HERE}/+")
    with connect(OTHER) as writer:
        writer.publish(f"{HERE}/1", b"x").result(10)
    with connect(ONE) as reader:
        assert reader.receive(timeout=10) == Connected(again=False, resumed=False)
        assert payloads(reader) == []


def test_what_came_over_an_earlier_connection_cannot_be_acknowledged() -> None:
    broker = Broker()
    with broker.session(ONE, LASTING) as reader:
        reader.subscribe(f"{HERE}/+")
        broker.publish(Message(f"{HERE}/1", b"old"))
        (old,) = until(reader, "now")
        reader.reconnect(forgotten=True)
        broker.publish(Message(f"{HERE}/2", b"new"))
        (new,) = until(reader, "again")
        assert new.packet_id == old.packet_id
        reader.acknowledge(old)
        assert reader.unacknowledged == [f"{HERE}/2"]
        reader.acknowledge(new)
        assert reader.unacknowledged == []


def test_thousands_of_publishes_in_several_threads_while_receiving(broker: RealBroker) -> None:
    threads, each = 4, 500
    with broker.connect(ONE) as session, ThreadPoolExecutor(threads) as pool:
        session.subscribe(f"{HERE}/+")

        def publish(thread: int) -> None:
            sent = [session.publish(f"{HERE}/{thread}", str(number).encode()) for number in range(each)]
            for outcome in sent:
                outcome.result(60)

        publishing = [pool.submit(publish, thread) for thread in range(threads)]
        received: dict[str, list[int]] = {}
        for _ in range(threads * each):
            message = session.receive(timeout=60)
            while isinstance(message, Connected):
                message = session.receive(timeout=60)
            assert isinstance(message, Message)
            received.setdefault(message.topic, []).append(int(message.payload))
        for one in publishing:
            one.result(60)
    assert received == {f"{HERE}/{thread}": list(range(each)) for thread in range(threads)}


def test_a_refused_publish_says_so(broker: RealBroker) -> None:
    bobs = topics.ImageTopic("bob", "public", new_image_id(NOW)).image
    own = topics.ImageTopic("alice", "public", new_image_id(NOW)).image
    with broker.connect(ONE, user="alice") as session:
        with pytest.raises(RefusedError) as caught:
            session.publish(bobs, b"x").result(10)
        assert caught.value.code == "refused_by_broker"
        with pytest.raises(RefusedError):
            session.request(bobs, b"x", operation="store")
        session.publish(own, b"x").result(10)


def connected_again(session: Session) -> Connected:
    while (arrived := session.receive(timeout=30)) is not None:
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
            outcome.result(30)
        assert payloads(session) == [b"meanwhile"] * 100
        with mortal_broker.connect(OTHER) as other, ThreadPoolExecutor(1) as pool:
            other.publish(topics.TRUST_CRL, b"crl", retain=True).result(10)
            assert session.latest(topics.TRUST_CRL) == b"crl"
            other.subscribe(topics.ALL_REQUESTS)
            asked = pool.submit(session.request, REQUEST, b"question", operation="members")
            answer(other)
            assert asked.result(30).payload == b"QUESTION"


def test_an_acknowledgement_counts_for_the_connection_of_its_message(mortal_broker: RealBroker) -> None:
    with mortal_broker.connect(ONE, LASTING) as session:
        session.subscribe(f"{HERE}/+")
        session.publish(f"{HERE}/1", b"old").result(10)
        (old,) = until(session, "now")
        mortal_broker.end()
        mortal_broker.start()
        connected_again(session)
        session.unsubscribe(f"{topics.PREFIX}/marks/now")
        session.publish(f"{HERE}/2", b"new").result(30)
        new = session.receive(timeout=10)
        assert isinstance(new, Message)
        # The broker has forgotten the old message, and calls the new one by the same number.
        assert (new.payload, new.packet_id) == (b"new", old.packet_id)
        session.acknowledge(old)
    with mortal_broker.connect(ONE, LASTING) as session:
        assert b"new" in payloads(session)


def test_without_the_broker_a_request_fails_and_leaving_is_quick(mortal_broker: RealBroker) -> None:
    with mortal_broker.connect(ONE, QUICK) as session:
        mortal_broker.end()
        with pytest.raises(SessionError) as caught:
            session.request(REQUEST, b"anyone?", operation="members")
        assert caught.value.code == "broker_silent"
        with pytest.raises(SessionError):
            session.subscribe(f"{HERE}/#")
        started = dt.datetime.now(dt.UTC)
    assert dt.datetime.now(dt.UTC) - started < dt.timedelta(seconds=8)


def assert_fails(address: Address, context: ssl.SSLContext, *codes: str) -> None:
    with pytest.raises(SessionError) as caught, Session(address, ONE, context, QUICK):
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
            over.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(30)


def tls_server(folder: Path, names: list[x509.GeneralName]) -> ssl.SSLContext:
    holder = authorities.default().certify("broker", names, usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    (folder / "server.pem").write_bytes(holder.certificate_pem + authorities.default().issuing.certificate_pem)
    (folder / "server.key").write_bytes(holder.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


OURS = verified_context(authorities.default().root.certificate_pem)


def test_a_port_that_is_silent() -> None:
    with port_that(lambda _connection: None) as port:
        assert_fails(Address("127.0.0.1", port), OURS, "broker_silent")


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
        assert_fails(Address("localhost", port), OURS, "broker_silent", "connection_closed")


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
