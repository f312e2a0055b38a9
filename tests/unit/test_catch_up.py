"""How the catalogue is read: what is taken, how far the mark moves, when the next round is due."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from authorities import NOW

from common import messages, topics
from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError
from common.settings import Settings
from subscriber.catch_up import CatchUp
from subscriber.ledger import SAVED, Entry, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from common.arrivals import Message
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
    is_full: bool = False

    def __contains__(self, topic: topics.ImageTopic) -> bool:
        return topic in self.topics


@dataclass
class FakeReceiver:
    """Notes in the ledger what it takes, but for what fails."""

    ledger: Ledger
    failing: set[int] = field(default_factory=set)
    hindering: bool = False
    taken: list[int] = field(default_factory=list)
    postponed: FakePostponed = field(default_factory=FakePostponed)

    def take(self, message: Message) -> None:
        topic = topics.parse_announcement(message.topic)
        assert topic is not None
        assert messages.read(messages.Announcement, message.payload).image_id == topic.image_id
        self.taken.append(topic.image_id.int)
        if topic.image_id.int in self.failing:
            self.postponed.topics.add(topic)
            self.postponed.is_hindered = self.hindering
        else:
            self.ledger.add(Entry(topic.owner, topic.image_id, topic.channel, SAVED, NOW))

    def retry(self) -> None:
        self.failing.clear()
        self.postponed.is_hindered = False
        for topic in self.postponed.topics:
            self.ledger.add(Entry(topic.owner, topic.image_id, topic.channel, SAVED, NOW))
        self.postponed.topics.clear()


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

    @property
    def mark(self) -> str | None:
        return self.ledger.mark(self.filters)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with bench.ledger:
        yield bench


def test_the_first_round_takes_all_and_keeps_the_mark(bench: Bench) -> None:
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_each_step_is_one_request_or_one_image(bench: Bench) -> None:
    assert bench.catch_up.step()
    assert (bench.registrar.marks, bench.receiver.taken) == ([None], [])
    assert bench.catch_up.step()
    assert bench.receiver.taken == [1]


def test_what_the_ledger_knows_is_passed_over(bench: Bench) -> None:
    for number in (1, 2, 4):
        bench.ledger.add(Entry("alice", uuid.UUID(int=number), "public", "not_verified", NOW))
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([3, 5], "5")


def test_only_wanted_channels_are_taken_and_a_new_one_begins_anew(bench: Bench) -> None:
    bench.registrar.images[1:3] = [announcement(2, "family"), announcement(3, "site-7/gate")]
    bench.start(["public", "site-7/#"])
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 3, 4, 5], "5")
    bench.start(["public"])
    bench.steps()
    bench.start(["public", "family"])
    bench.steps()
    assert bench.receiver.taken == [1, 3, 4, 5, 2]


def test_the_next_round_asks_only_for_what_is_new(bench: Bench) -> None:
    bench.steps()
    bench.registrar.images.append(announcement(6))
    bench.registrar.marks.clear()
    bench.catch_up.begin_soon()
    bench.steps()
    assert (bench.registrar.marks, bench.receiver.taken[5:], bench.mark) == (["5"], [6], "6")


def test_so_it_does_after_a_restart(bench: Bench) -> None:
    bench.steps()
    bench.registrar.marks.clear()
    bench.start(["#"])
    bench.steps()
    assert bench.registrar.marks == ["5"]


def test_rounds_are_due_now_and_then_and_not_at_the_same_time_for_all(bench: Bench) -> None:
    pauses = set()
    for _ in range(5):
        bench.steps()
        bench.registrar.marks.clear()
        began = bench.time
        while not bench.registrar.marks:
            bench.time += 1
            bench.steps()
        pauses.add(bench.time - began)
    assert all(75 <= pause <= 126 for pause in pauses)
    assert len(pauses) > 1


def test_the_mark_does_not_pass_what_could_not_be_saved_and_reading_goes_on_behind_it(bench: Bench) -> None:
    bench.receiver.failing = {3}
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "2")
    # In memory nothing is read twice, and what waits is not taken twice.
    bench.registrar.marks.clear()
    bench.catch_up.begin_soon()
    bench.steps()
    assert (bench.registrar.marks, bench.receiver.taken, bench.mark) == (["5"], [1, 2, 3, 4, 5], "2")
    bench.receiver.retry()
    bench.catch_up.begin_soon()
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_a_restart_begins_with_what_could_not_be_saved(bench: Bench) -> None:
    bench.receiver.failing = {3}
    bench.steps()
    bench.receiver = FakeReceiver(bench.ledger)
    bench.start(["#"])
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([3], "5")


def test_what_an_announcement_has_postponed_counts_too(bench: Bench) -> None:
    bench.receiver.postponed.topics.add(topics.ImageTopic("alice", "public", uuid.UUID(int=1)))
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([2, 3, 4, 5], None)


def test_what_would_keep_every_image_from_being_saved_ends_the_round(bench: Bench) -> None:
    bench.receiver.failing, bench.receiver.hindering = {3}, True
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3], "2")
    bench.time += SETTINGS.catch_up_seconds * 2
    bench.steps()
    assert bench.receiver.taken == [1, 2, 3]
    bench.receiver.retry()
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_where_no_more_may_wait_the_round_ends_and_comes_back(bench: Bench) -> None:
    bench.receiver.postponed.is_full = True
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([], None)
    bench.receiver.postponed.is_full = False
    bench.steps()
    assert bench.receiver.taken == []
    bench.time += SETTINGS.retry_seconds * 2
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


FAULTS = [
    SessionError("no registrar answers", code="no_registrar"),
    RefusedError("the request is not understood", code="invalid_request"),
    RefusedError("the database does not answer", code="unavailable", retry_after=60),
    ConfigurationError("the ledger is full", code="ledger"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.code)
def test_a_fault_is_a_line_in_the_log_once_and_the_round_comes_back(
    bench: Bench, caplog: pytest.LogCaptureFixture, fault: SealcastError
) -> None:
    # Who does not know the operation will not know it in a few seconds either.
    pause = SETTINGS.catch_up_seconds if fault.code == "invalid_request" else SETTINGS.retry_seconds
    bench.registrar.faults.extend([fault] * 3)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            bench.steps()
            assert not bench.catch_up.step()
            bench.time += pause * 1.3
        bench.steps()
    assert caplog.messages == [f"cannot ask for what was missed, will try again: {fault.message}"]
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")
    bench.registrar.faults.append(fault)
    bench.catch_up.begin_soon()
    bench.steps()
    assert len(caplog.messages) == 2


def test_a_fault_between_pages_goes_on_from_there(bench: Bench) -> None:
    bench.catch_up.step()
    bench.registrar.faults.append(FAULTS[0])
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2], "2")
    bench.catch_up.begin_soon()
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_a_registrar_that_never_comes_to_an_end_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = messages.ListResult(images=(), mark="0", complete=False)
    monkeypatch.setattr(FakeRegistrar, "list", lambda *_: stuck)
    assert bench.steps() == 2
