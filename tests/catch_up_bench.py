"""A catch-up between a catalogue and a receiver that are made up, and a real ledger; time is a parameter."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from authorities import NOW

from common import messages, topics
from common.settings import Settings
from subscriber.catch_up import CatchUp
from subscriber.ledger import SAVED, Entry, Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from common.errors import SealcastError
    from common.registrar_client import RegistrarClient
    from subscriber.receive import Receiver

SETTINGS = Settings(catch_up_seconds=100, retry_seconds=10)


def announcement(number: int, channel: str = "public") -> messages.Announcement:
    return messages.Announcement(
        image_id=uuid.UUID(int=number),
        name="boats.png",
        owner="alice",
        channel=channel,
        size=1,
        sealed_size=2,
        sha256_sealed="ab" * 32,
        stored_at=NOW,
    )


def topic_of(announcement: messages.Announcement) -> topics.ImageTopic:
    return topics.ImageTopic(announcement.owner, announcement.channel, announcement.image_id)


@dataclass
class FakeRegistrar:
    """A catalogue in pages of two; a mark is the number of what was read."""

    images: list[messages.Announcement]
    faults: deque[SealcastError] = field(default_factory=deque)
    marks: list[str | None] = field(default_factory=list)

    def list(self, order: messages.Order, mark: str | None) -> messages.ListResult:
        assert order == "oldest"
        if self.faults:
            raise self.faults.popleft()
        self.marks.append(mark)
        begin = int(mark or 0)
        page = tuple(self.images[begin : begin + 2])
        end = begin + len(page)
        return messages.ListResult(images=page, mark=str(end), complete=end == len(self.images))


@dataclass
class FakePostponed:
    topics: set[topics.ImageTopic] = field(default_factory=set)
    is_hindered: bool = False


@dataclass
class FakeReceiver:
    """Notes in the ledger what it takes, but for what fails; ``most`` of these wait."""

    ledger: Ledger
    failing: set[int] = field(default_factory=set)
    taken_out: set[int] = field(default_factory=set)
    hindering: bool = False
    most: int = 100
    taken: list[int] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    postponed: FakePostponed = field(default_factory=FakePostponed)

    def take_listed(self, announcement: messages.Announcement, *, again: bool) -> bool:
        topic = topic_of(announcement)
        number = topic.image_id.int
        if topic in self.postponed.topics:
            return False
        if self.ledger.knows(topic.owner, topic.image_id):
            return True
        (self.again if again else self.taken).append(number)
        if number in self.failing:
            self.postponed.is_hindered = self.hindering
            if len(self.postponed.topics) < self.most:
                self.postponed.topics.add(topic)
            return False
        if number not in self.taken_out:
            self.note(topic)
        return True

    def retry(self) -> None:
        self.failing.clear()
        self.postponed.is_hindered = False
        for topic in self.postponed.topics:
            self.note(topic)
        self.postponed.topics.clear()

    def note(self, topic: topics.ImageTopic) -> None:
        self.ledger.add(Entry(topic.owner, topic.image_id, topic.channel, SAVED, NOW))


class Bench:
    """A catch-up between fakes and a real ledger; ``time`` is its clock."""

    def __init__(self, home: Path, count: int = 5) -> None:
        self.home = home
        self.ledger = Ledger(home)
        self.registrar = FakeRegistrar([announcement(number) for number in range(1, count + 1)])
        self.receiver = FakeReceiver(self.ledger)
        self.time = 0.0
        self.start(["#"])

    def start(self, channel_filters: list[str]) -> None:
        self.filters = channel_filters
        self.catch_up = CatchUp(
            registrar=cast("RegistrarClient", self.registrar),
            receiver=cast("Receiver", self.receiver),
            ledger=self.ledger,
            channel_filters=channel_filters,
            settings=SETTINGS,
            monotonic=lambda: self.time,
        )

    def steps(self) -> int:
        """Step as long as there is more to do; return how often there was."""
        for count in range(100):
            if not self.catch_up.step():
                return count
        raise AssertionError("there is no end to it")

    def next_round(self) -> None:
        self.catch_up.begin_soon()
        self.steps()

    @property
    def mark(self) -> str | None:
        return self.ledger.mark(self.filters)
