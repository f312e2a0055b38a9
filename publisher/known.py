"""What the shell may offer for the commands of a publisher, from the identity's own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.contacts import Contacts
from publisher.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from common.completion import Known
    from publisher.items import Item


def _images(home: Path) -> Iterator[tuple[str, str]]:
    return ((str(item.topic.image_id), f"{item.state} {item.name}") for item in _items(home))


def _channels(home: Path) -> Iterator[tuple[str, str]]:
    return ((item.topic.channel, f"last {item.name}") for item in _items(home))


def _people(home: Path) -> Iterator[tuple[str, str]]:
    return ((user, "a member") for user in Contacts(home).users())


def _items(home: Path) -> Iterator[Item]:
    with Outbox(home, read_only=True) as outbox:
        return reversed(list(outbox.items()))


KNOWN: Known = {"images": _images, "channels": _channels, "people": _people}
