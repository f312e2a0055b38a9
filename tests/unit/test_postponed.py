"""Which announcement of an image that waits is the one to be tried, and which stay unacknowledged."""

from __future__ import annotations

import uuid

import pytest

from common.arrivals import Message
from common.errors import RefusedError
from common.topics import ImageTopic
from subscriber import postponed
from subscriber.postponed import PostponedImages

TOPICS = [ImageTopic("alice", "public", uuid.UUID(int=number)) for number in range(4)]
FAULT = RefusedError("the registrar failed", code="internal")


def announcement(payload: bytes, packet_id: int = 0) -> Message:
    return Message(TOPICS[0].announcement, payload, packet_id=packet_id)


LISTED = announcement(b"listed")
FIRST, AGAIN = announcement(b"first", packet_id=1), announcement(b"again", packet_id=2)
# What a broker sends at QoS 0 has no packet id either.
AT_MOST_ONCE = announcement(b"at most once")


class Bench(PostponedImages):
    """Notes what is released."""

    def __init__(self) -> None:
        self.released: list[Message] = []
        super().__init__(self.released.append)

    @property
    def tried(self) -> list[Message]:
        return [message for _, message in self.in_turn(None)]


@pytest.fixture
def images() -> Bench:
    return Bench()


def test_a_broker_s_is_held_until_it_is_settled(images: Bench) -> None:
    images.add(TOPICS[0], FIRST, FAULT)
    images.add(TOPICS[0], FIRST, FAULT)
    assert (images.tried, images.released) == ([FIRST], [])
    images.settle(TOPICS[0])
    assert (images.tried, images.released) == ([], [FIRST])
    images.settle(TOPICS[0])
    assert images.released == [FIRST]


def test_a_broker_s_is_replaced_by_one_that_comes_again(images: Bench) -> None:
    images.add(TOPICS[0], FIRST, FAULT)
    images.replace(TOPICS[0], AGAIN)
    assert (images.tried, images.released) == ([AGAIN], [FIRST])
    images.settle(TOPICS[0])
    assert images.released == [FIRST, AGAIN]


@pytest.mark.parametrize("later", [FIRST, AT_MOST_ONCE])
def test_a_listed_one_is_never_replaced_by_a_broker_s(images: Bench, later: Message) -> None:
    images.add(TOPICS[0], LISTED, FAULT, is_listed=True)
    images.released.clear()
    images.replace(TOPICS[0], later)
    images.add(TOPICS[0], LISTED, FAULT)
    images.replace(TOPICS[0], later)
    assert (images.tried, images.released) == ([LISTED], [later, later])
    images.settle(TOPICS[0])
    assert images.released == [later, later]


def test_a_listed_one_takes_the_place_of_a_broker_s_which_stays_to_be_acknowledged(images: Bench) -> None:
    images.add(TOPICS[0], FIRST, FAULT)
    images.replace_by_listed(TOPICS[0], LISTED)
    assert (images.tried, images.released) == ([LISTED], [])
    # After a reconnection the broker sends it again: the first cannot be acknowledged any more.
    images.replace(TOPICS[0], AGAIN)
    assert (images.tried, images.released) == ([LISTED], [FIRST])
    images.settle(TOPICS[0])
    assert images.released == [FIRST, AGAIN]


def test_where_there_are_too_many_a_further_one_is_released_and_those_that_wait_stay(
    images: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postponed, "MOST", 2)
    arrived = [Message(topic.announcement, b"{}", packet_id=number + 1) for number, topic in enumerate(TOPICS)]
    for topic, message in zip(TOPICS[:3], arrived, strict=False):
        images.add(topic, message, FAULT)
    images.add(TOPICS[0], arrived[0], FAULT)
    assert (images.tried, images.released) == ([arrived[1], arrived[0]], [arrived[2]])


def test_only_so_many_are_held(images: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postponed, "MOST_UNACKNOWLEDGED", 2)
    arrived = [Message(topic.announcement, b"{}", packet_id=number + 1) for number, topic in enumerate(TOPICS)]
    images.add(TOPICS[0], LISTED, FAULT, is_listed=True)
    for topic, message in zip(TOPICS[1:], arrived[1:], strict=True):
        images.add(topic, message, FAULT)
    assert images.tried == [LISTED, *arrived[1:]]
    assert images.released == [LISTED, arrived[3]]
    images.replace(TOPICS[3], AGAIN)
    assert images.released == [LISTED, arrived[3], AGAIN]
    images.settle(TOPICS[3])
    assert images.released == [LISTED, arrived[3], AGAIN]
