"""What was listed and could not be saved: the mark does not pass it, and it is taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from catch_up_bench import SETTINGS, Bench, FakeReceiver, announcement, topic_of

from subscriber import catch_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with bench.ledger:
        yield bench


def test_the_mark_does_not_pass_what_could_not_be_saved_and_reading_goes_on_behind_it(bench: Bench) -> None:
    bench.receiver.failing = {3}
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "2")
    # In memory nothing is read twice, and what waits is not taken twice.
    bench.registrar.marks.clear()
    bench.next_round()
    assert (bench.registrar.marks, bench.receiver.taken, bench.mark) == (["5"], [1, 2, 3, 4, 5], "2")
    bench.receiver.retry()
    bench.next_round()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_a_restart_begins_with_what_could_not_be_saved(bench: Bench) -> None:
    bench.receiver.failing = {3}
    bench.steps()
    bench.receiver = FakeReceiver(bench.ledger)
    bench.start(["#"])
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([3], "5")


def test_what_an_announcement_has_postponed_counts_too(bench: Bench) -> None:
    bench.receiver.postponed.topics.add(topic_of(announcement(1)))
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([2, 3, 4, 5], None)


def test_what_waits_no_more_and_is_unknown_to_the_ledger_is_taken_again(bench: Bench) -> None:
    bench.receiver.failing = {3}
    bench.steps()
    # A broker's announcement was refused in its place.
    bench.receiver.postponed.topics.clear()
    bench.next_round()
    assert (bench.receiver.again, bench.mark) == ([3], "2")
    bench.receiver.postponed.topics.clear()
    bench.receiver.failing.clear()
    bench.next_round()
    assert (bench.receiver.again, bench.mark) == ([3, 3], "5")
    bench.next_round()
    assert (bench.receiver.again, bench.receiver.taken) == ([3, 3], [1, 2, 3, 4, 5])


def test_what_was_taken_out_of_the_catalogue_keeps_the_mark_no_longer_back(bench: Bench) -> None:
    bench.receiver.taken_out = {2}
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_what_waited_and_was_taken_out_meanwhile_does_neither(bench: Bench) -> None:
    bench.receiver.failing = {3}
    bench.steps()
    bench.receiver.failing.clear()
    bench.receiver.taken_out = {3}
    bench.receiver.postponed.topics.clear()
    bench.next_round()
    assert (bench.receiver.again, bench.mark) == ([3], "5")


def test_where_no_more_may_wait_reading_goes_on(bench: Bench) -> None:
    bench.receiver.failing, bench.receiver.most = {1, 2, 4}, 1
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], None)
    bench.time += SETTINGS.catch_up_seconds * 2
    bench.steps()
    assert (bench.receiver.taken, bench.receiver.again, bench.mark) == ([1, 2, 3, 4, 5], [2, 4], None)
    bench.receiver.retry()
    bench.next_round()
    assert (bench.receiver.again, bench.mark) == ([2, 4, 2, 4], "5")


def test_reading_goes_on_behind_a_bounded_number_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "MOST_UNSETTLED", 2)
    bench.receiver.failing, bench.receiver.most = {1, 2, 3, 4}, 0
    for _ in range(2):
        bench.next_round()
        assert (bench.receiver.taken, bench.mark) == ([1, 2], None)
    bench.receiver.failing = {1}
    bench.next_round()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], None)
    bench.receiver.failing.clear()
    bench.next_round()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_what_would_keep_every_image_from_being_saved_ends_the_round_before_anything_is_asked(bench: Bench) -> None:
    bench.receiver.failing = {2, 3}
    bench.steps()
    bench.receiver.postponed.topics.clear()
    bench.receiver.hindering = True
    bench.registrar.marks.clear()
    bench.next_round()
    assert (bench.receiver.again, bench.registrar.marks, bench.mark) == ([2], [], None)
