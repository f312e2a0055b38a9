"""When a round of catching up is due, and what ends it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from catch_up_bench import SETTINGS, Bench, FakeRegistrar

from common import messages
from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    with bench.ledger:
        yield bench


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


def test_a_round_that_was_asked_for_during_the_last_page_comes(bench: Bench) -> None:
    while bench.mark != "4":
        assert bench.catch_up.step()
    # As a reconnection does: what is announced meanwhile may be lost.
    bench.catch_up.begin_soon()
    bench.steps()
    bench.registrar.marks.clear()
    bench.steps()
    assert bench.registrar.marks == ["5"]
    bench.steps()
    assert bench.registrar.marks == ["5"]


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
    bench.next_round()
    assert len(caplog.messages) == 2


def test_a_fault_between_pages_goes_on_from_there(bench: Bench) -> None:
    bench.catch_up.step()
    bench.registrar.faults.append(FAULTS[0])
    bench.steps()
    assert (bench.receiver.taken, bench.mark) == ([1, 2], "2")
    bench.next_round()
    assert (bench.receiver.taken, bench.mark) == ([1, 2, 3, 4, 5], "5")


def test_a_registrar_that_never_comes_to_an_end_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = messages.ListResult(images=(), mark="0", complete=False)
    monkeypatch.setattr(FakeRegistrar, "list", lambda *_: stuck)
    assert bench.steps() == 2
