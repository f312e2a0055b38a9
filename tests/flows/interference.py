"""What a hostile broker does between a reader and the world, and what a test looks for at the reader afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flows.members import picture

from common import topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.members import Reader
    from flows.world import World

    from common.arrivals import Message
    from publisher.post import Posted


IMAGES, ANNOUNCEMENTS = f"{topics.PREFIX}/images/", f"{topics.PREFIX}/announcements/"


def interfere(world: World, reader: Reader, change: Callable[[Message], list[Message]]) -> None:
    """Be a hostile broker towards this reader."""
    world.broker.carry = lambda client_id, message: (
        change(message) if client_id == reader.session.client_id else [message]
    )


def withhold(world: World, reader: Reader, *heads: str) -> list[Message]:
    """Keep messages on these topics from the reader; return the growing list of them."""
    withheld: list[Message] = []

    def change(message: Message) -> list[Message]:
        if message.topic.startswith(heads):
            withheld.append(message)
            return []
        return [message]

    interfere(world, reader, change)
    return withheld


def carry_honestly(world: World) -> None:
    world.broker.carry = lambda _client_id, message: [message]


def flip(message: Message) -> Message:
    middle = len(message.payload) // 2
    flipped = message.payload[middle] ^ 1
    return replace(message, payload=message.payload[:middle] + bytes([flipped]) + message.payload[middle + 1 :])


def reword(message: Message, **members: Any) -> Message:  # noqa: ANN401 - any member of the announcement
    return replace(message, payload=json.dumps(json.loads(message.payload) | members).encode())


def announcement_topic(posted: Posted) -> str:
    topic = topics.parse_image(posted.header.topic)
    assert topic is not None
    return topic.announcement


def names(reader: Reader) -> list[str]:
    return [event["event"] for event in reader.printer.events]


def assert_saved_once(reader: Reader, *posted: Posted) -> None:
    assert [path.read_bytes() for path in reader.files] == [picture().content] * len(posted)
    assert {image_id for image_id, outcome in reader.entries.items() if outcome == "saved"} == {
        str(one.header.image_id) for one in posted
    }
    assert len(reader.printer.named("saved")) == len(posted)
    assert reader.session.unacknowledged == []


def assert_nothing_decided(reader: Reader) -> None:
    assert reader.files == []
    assert reader.entries == {}
