"""The session on the real broker, and what of it the simulated one in tests/flows has to do as well."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from flows.simulator import Broker, SimulatedSession
from real_broker import HERE, LASTING, ONE, OTHER, QUICK, REQUEST, RealBroker, answer, next_message, payloads, until
from system import PATIENCE

from common import topics
from common.arrivals import Connected, Message
from common.errors import SessionError
from common.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBroker]:
    with RealBroker.create(tmp_path_factory.mktemp("session") / "registrar").running() as one:
        yield one


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
            session.publish(topic, b"", retain=True).result(PATIENCE)
    for client_id in (ONE, OTHER):
        with real.connect(client_id):
            pass


def test_the_simulated_session_does_all_that_the_real_one_does() -> None:
    public = {name for name, _ in inspect.getmembers(Session, inspect.isfunction) if not name.startswith("_")}
    assert public >= {"publish", "subscribe", "request", "receive", "acknowledge", "follow", "latest"}
    for name in public | {"__enter__", "__exit__"}:
        assert name in vars(SimulatedSession), name
        simulated, real = (inspect.signature(getattr(kind, name)).parameters for kind in (SimulatedSession, Session))
        assert simulated == real, name


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
                writer.publish(topic, b"x").result(PATIENCE)
            assert [message.topic for message in until(reader, "now")] == expected


def test_what_is_retained_comes_with_its_flag(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(f"{HERE}/kept", b"kept", retain=True).result(PATIENCE)
        writer.publish(f"{HERE}/passing", b"passing").result(PATIENCE)
        reader.subscribe(f"{HERE}/+")
        writer.publish(f"{HERE}/passing", b"live").result(PATIENCE)
        writer.publish(f"{HERE}/kept", b"kept and live", retain=True).result(PATIENCE)
        assert [(message.payload, message.retained) for message in until(reader, "now")] == [
            (b"kept", True),
            (b"live", False),
            (b"kept and live", True),
        ]
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(f"{HERE}/kept", b"", retain=True).result(PATIENCE)
        reader.subscribe(f"{HERE}/+")
        assert payloads(reader) == []


def test_what_is_retained_comes_with_each_subscription_unless_it_is_not_wanted(
    connect: Callable[..., Session],
) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(f"{HERE}/kept", b"kept", retain=True).result(PATIENCE)
        reader.subscribe(f"{HERE}/+", retained=False)
        assert payloads(reader, "none") == []
        reader.subscribe(f"{HERE}/+")
        assert payloads(reader, "kept") == [b"kept"]
        reader.subscribe(f"{HERE}/+")
        assert payloads(reader, "again") == [b"kept"]


def test_nothing_comes_after_unsubscribing(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        reader.subscribe(f"{HERE}/+", f"{HERE}/#")
        reader.unsubscribe(f"{HERE}/+", f"{HERE}/#")
        # Answered in order: when this one is, the other is done.
        reader.subscribe(f"{HERE}/elsewhere")
        writer.publish(f"{HERE}/1", b"x").result(PATIENCE)
        assert payloads(reader) == []


def test_of_what_is_followed_only_the_latest_counts(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, connect(OTHER) as writer:
        writer.publish(topics.TRUST_CRL, b"first", retain=True).result(PATIENCE)
        reader.follow(topics.TRUST_CRL)
        assert reader.latest(topics.TRUST_CRL) == b"first"
        reader.subscribe(f"{topics.PREFIX}/#")
        writer.publish(topics.TRUST_CRL, b"second", retain=True).result(PATIENCE)
        assert payloads(reader) == []
        assert reader.latest(topics.TRUST_CRL) == b"second"


def test_what_is_followed_and_never_comes(connect: Callable[..., Session]) -> None:
    with connect(ONE, QUICK) as reader:
        reader.follow(topics.TRUST_REGISTRAR)
        with pytest.raises(SessionError) as caught:
            reader.latest(topics.TRUST_REGISTRAR)
        assert caught.value.code == "no_registrar"


def test_a_request_gets_its_own_answer(connect: Callable[..., Session]) -> None:
    with connect(ONE) as asker, connect(OTHER) as answerer, ThreadPoolExecutor(4) as pool:
        answerer.subscribe(topics.all_requests("members"))
        asker.subscribe(topics.all_replies(ONE))
        asked = {
            word: pool.submit(
                asker.request, REQUEST, word.encode(), operation="members", user_properties={"name": f"+{word}"}
            )
            for word in ("one", "two", "three", "four")
        }
        answer(answerer, len(asked))
        for word, reply in asked.items():
            assert reply.result(PATIENCE).payload == f"{word}+{word}".upper().encode()
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
            writer.publish(f"{HERE}/{number}", str(number).encode()).result(PATIENCE)
        first, second, third = until(reader, "now")
        assert (first.payload, third.payload) == (b"0", b"2")
        reader.acknowledge(second)
    with connect(ONE, LASTING) as reader, connect(OTHER) as writer:
        assert reader.receive(timeout=PATIENCE) == Connected(again=False, resumed=True)
        writer.publish(f"{HERE}/3", b"3").result(PATIENCE)
        again = until(reader, "again")
        assert [message.payload for message in again] == [b"0", b"2", b"3"]
        for message in again:
            reader.acknowledge(message)
    with connect(ONE, LASTING) as reader:
        assert payloads(reader, "third") == []


def test_only_so_much_comes_unacknowledged(connect: Callable[..., Session]) -> None:
    with connect(ONE, LASTING) as reader, connect(OTHER) as writer:
        reader.subscribe(f"{HERE}/+")
        for number in range(25):
            writer.publish(f"{HERE}/{number}", str(number).encode()).result(PATIENCE)
        window = [next_message(reader) for _ in range(20)]
        assert reader.receive(timeout=0.5) is None
        reader.acknowledge(window[0])
        assert next_message(reader).payload == b"20"
        for message in window[1:]:
            reader.acknowledge(message)
        assert [next_message(reader).payload for _ in range(4)] == [b"21", b"22", b"23", b"24"]
    with connect(ONE):
        pass


def test_another_session_at_the_same_door(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader, reader.beside(OTHER, QUICK) as writer:
        assert writer.client_id == OTHER
        reader.subscribe(f"{HERE}/+")
        writer.publish(f"{HERE}/1", b"x").result(PATIENCE)
        assert payloads(reader) == [b"x"]


def test_a_session_that_does_not_last_leaves_nothing(connect: Callable[..., Session]) -> None:
    with connect(ONE) as reader:
        reader.subscribe(f"{HERE}/+")
    with connect(OTHER) as writer:
        writer.publish(f"{HERE}/1", b"x").result(PATIENCE)
    with connect(ONE) as reader:
        assert reader.receive(timeout=PATIENCE) == Connected(again=False, resumed=False)
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


def test_a_request_that_nobody_takes_yet_is_made_again(broker: RealBroker) -> None:
    with broker.connect(ONE) as asker, broker.connect(OTHER) as answerer, ThreadPoolExecutor(1) as pool:
        asker.subscribe(topics.all_replies(ONE))
        assert asker.publish(REQUEST, b"too early").result(PATIENCE) is False
        asked = pool.submit(asker.request, REQUEST, b"one", operation="members", user_properties={"name": "+1"})
        # The broker says that nobody takes it: for this long a registrar comes back from a broker that forgot it.
        assert not asked.done()
        answerer.subscribe(topics.all_requests("members"))
        answer(answerer, 1)
        assert asked.result(PATIENCE).payload == b"ONE+1"
        assert asker.publish(REQUEST, b"in time").result(PATIENCE) is True
