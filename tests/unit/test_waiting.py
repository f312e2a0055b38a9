from __future__ import annotations

import uuid

import pytest

from common.arrivals import Message
from common.topics import ImageTopic
from subscriber.waiting import WaitingImages

TOPICS = [ImageTopic("alice", "public", uuid.UUID(int=number)) for number in range(5)]


def message(size: int = 10, packet_id: int = 0) -> Message:
    return Message("topic", bytes(size), packet_id=packet_id)


@pytest.fixture
def released() -> list[Message]:
    return []


def test_an_image_waits_until_it_is_dropped(released: list[Message]) -> None:
    waiting = WaitingImages(2, 100, released.append)
    arrived = message()
    waiting.add(TOPICS[0], arrived)
    assert waiting.get(TOPICS[0]) is waiting.get(TOPICS[0]) is arrived
    assert released == []
    waiting.drop(TOPICS[0])
    assert waiting.get(TOPICS[0]) is None
    waiting.drop(TOPICS[0])
    assert released == [arrived]


def test_the_oldest_falls_out_where_there_are_too_many(released: list[Message]) -> None:
    waiting = WaitingImages(2, 100, released.append)
    arrived = [message(packet_id=number) for number in range(3)]
    for topic, one in zip(TOPICS, arrived, strict=False):
        waiting.add(topic, one)
    assert released == arrived[:1]
    assert [waiting.get(topic) for topic in TOPICS[:3]] == [None, *arrived[1:]]


def test_as_many_fall_out_as_make_room_for_the_newest(released: list[Message]) -> None:
    waiting = WaitingImages(10, 100, released.append)
    arrived = [message(40), message(40), message(90)]
    for topic, one in zip(TOPICS, arrived, strict=False):
        waiting.add(topic, one)
    assert released == arrived[:2]
    assert waiting.get(TOPICS[2]) is arrived[2]
    exactly = message(10)
    waiting.add(TOPICS[3], exactly)
    assert waiting.get(TOPICS[2]) is arrived[2]
    assert waiting.get(TOPICS[3]) is exactly


def test_an_image_that_is_too_large_does_not_wait_at_all(released: list[Message]) -> None:
    waiting = WaitingImages(10, 100, released.append)
    large = message(101)
    waiting.add(TOPICS[0], large)
    assert waiting.get(TOPICS[0]) is None
    assert released == [large]
    waiting.add(TOPICS[1], message())
    assert waiting.get(TOPICS[1]) is not None


def test_an_image_that_comes_again_replaces_the_first(released: list[Message]) -> None:
    waiting = WaitingImages(2, 100, released.append)
    first, again = message(packet_id=1), message(packet_id=2)
    waiting.add(TOPICS[0], first)
    waiting.add(TOPICS[0], again)
    assert waiting.get(TOPICS[0]) is again
    assert released == [first]


def test_the_same_id_of_another_owner_is_another_image(released: list[Message]) -> None:
    waiting = WaitingImages(2, 100, released.append)
    first, other = message(packet_id=1), message(packet_id=2)
    waiting.add(TOPICS[0], first)
    waiting.add(ImageTopic("bob", "public", TOPICS[0].image_id), other)
    assert waiting.get(TOPICS[0]) is first
    assert released == []
