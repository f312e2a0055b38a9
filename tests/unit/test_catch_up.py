"""How the catalogue is read: what is taken, and how far the mark moves."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from authorities import NOW
from catch_up_bench import Bench, announcement

from subscriber.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    bench.next_round()
    assert (bench.registrar.marks, bench.receiver.taken[5:], bench.mark) == (["5"], [6], "6")


def test_so_it_does_after_a_restart(bench: Bench) -> None:
    bench.steps()
    bench.registrar.marks.clear()
    bench.start(["#"])
    bench.steps()
    assert bench.registrar.marks == ["5"]
