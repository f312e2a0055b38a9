"""What a broker retains is made whole again: nothing missing, nothing altered, nothing that should be gone."""

from __future__ import annotations

import uuid

import pytest
from flows.simulator import Broker

from common import topics
from common.arrivals import Message
from common.errors import SessionError
from registrar import retained
from registrar.handlers import Publication
from registrar.retained import find_differences

ONE, OTHER = (topics.ImageTopic("alice", "site-7/gate", uuid.UUID(int=n)).announcement for n in (1, 2))
WANTED = {topics.TRUST_CRL: b"crl", topics.member("alice", "0" * 64): b"certificate", ONE: b"notice"}


@pytest.fixture
def broker() -> Broker:
    one = Broker()
    for topic, payload in WANTED.items():
        one.publish(Message(topic, payload, retained=True))
    return one


def differences(broker: Broker, wanted: dict[str, bytes]) -> list[Publication]:
    with broker.session("f" * 32 + "-rebuild") as session:
        return find_differences(session, lambda: wanted)


def test_a_whole_broker_needs_nothing(broker: Broker) -> None:
    assert differences(broker, WANTED) == []


@pytest.mark.parametrize("topic", WANTED)
def test_what_is_lost_or_altered_is_published(broker: Broker, topic: str) -> None:
    broker.publish(Message(topic, b"altered", retained=True))
    assert differences(broker, WANTED) == [Publication(topic, WANTED[topic])]
    broker.publish(Message(topic, b"", retained=True))
    assert differences(broker, WANTED) == [Publication(topic, WANTED[topic])]


@pytest.mark.parametrize("topic", [OTHER, topics.member("mallory", "1" * 64), f"{topics.PREFIX}/trust/other"])
def test_what_is_stale_is_withdrawn(broker: Broker, topic: str) -> None:
    broker.publish(Message(topic, b"stale", retained=True))
    assert differences(broker, WANTED) == [Publication(topic, b"")]


def test_an_empty_broker_gets_everything() -> None:
    assert differences(Broker(), WANTED) == [Publication(topic, payload) for topic, payload in WANTED.items()]


def test_what_is_announced_meanwhile_is_not_withdrawn(broker: Broker) -> None:
    def look_up() -> dict[str, bytes]:
        broker.publish(Message(OTHER, b"stored just now", retained=True))
        return WANTED

    with broker.session("f" * 32 + "-rebuild") as session:
        assert find_differences(session, look_up) == []
    assert broker.retained[OTHER].payload == b"stored just now"


def test_what_passes_by_is_not_taken_for_retained(broker: Broker) -> None:
    with broker.session("f" * 32 + "-rebuild") as session:
        session.subscribe(topics.ALL_ANNOUNCEMENTS)
        broker.publish(Message(OTHER, b"only passing"))
        assert find_differences(session, lambda: WANTED) == []


def test_a_broker_that_falls_silent_is_not_taken_for_an_empty_one(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained, "_LONGEST_SILENCE", 0)
    broker.carry = lambda _client_id, message: [message] if topics.parse_announcement(message.topic) else []
    with pytest.raises(SessionError) as caught:
        differences(broker, WANTED)
    assert caught.value.code == "broker_silent"
