"""How long a session waits to connect again, and what it says meanwhile."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace

import pytest

from common.connection import Address
from common.session.patience import Patience

ADDRESS = Address("localhost", 8883)


class Clocks:
    """A clock that only goes on, and a time of day that somebody may set."""

    def __init__(self) -> None:
        self.elapsed, self.time_of_day = 1000.0, 1_800_000_000.0

    def advance(self, seconds: float) -> None:
        self.elapsed += seconds
        self.time_of_day += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clocks:
    caplog.set_level(logging.INFO, logger="common.session.patience")
    one = Clocks()
    # For this module only: an event loop that another test has left running would sleep for hours.
    ours = SimpleNamespace(monotonic=lambda: one.elapsed, time=lambda: one.time_of_day, strftime=time.strftime)
    monkeypatch.setattr("common.session.patience.time", ours)
    return one


def test_a_loss_is_told_once_the_waiting_now_and_then_and_the_return(
    clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    patience = Patience(ADDRESS, longest_wait=30)
    patience.wait_after_loss("the connection was cut")
    for _ in range(20):
        patience.wait_after_failure()
        clocks.advance(1)
    patience.end(resumed=True)
    patience.end(resumed=True)
    said = [record.message for record in caplog.records]
    assert [line.split(" localhost")[0] for line in said] == [
        "lost the connection to the broker at",
        *["waiting for the broker at"] * 2,
        "connected to the broker at",
    ]
    assert said[0].endswith(": the connection was cut")
    assert "again after 20 s: it kept what came meanwhile" in said[-1]


def test_a_broker_that_lets_nobody_in_any_more_may_have_a_reason(
    clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    patience = Patience(ADDRESS, longest_wait=30)
    for _ in range(20):
        patience.wait_after_loss("the connection was cut")
        clocks.advance(1)
    patience.end(resumed=True)
    lost, *reminders, again = [record.message for record in caplog.records]
    assert lost.endswith(": the connection was cut")
    assert len(reminders) == 2
    assert {line.partition("since ")[2][8:] for line in reminders} == {
        ": the certificate may be expired (see `whoami`) or revoked (ask whoever runs the registrar)"
    }
    assert "again after 20 s" in again


@pytest.mark.parametrize("set_by", [-3600, 3600])
def test_a_time_of_day_that_is_set_meanwhile_changes_nothing(
    clocks: Clocks, caplog: pytest.LogCaptureFixture, set_by: int
) -> None:
    patience = Patience(ADDRESS, longest_wait=30)
    patience.wait_after_loss("the connection was cut")
    clocks.time_of_day += set_by
    clocks.advance(4)
    patience.wait_after_failure()
    assert len(caplog.records) == 1
    clocks.advance(2)
    patience.wait_after_failure()
    patience.end(resumed=False)
    assert "again after 6 s: a new session" in caplog.records[-1].message
    assert len(caplog.records) == 3


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_session_leaves_it_to_another_to_say_so(
    clocks: Clocks, caplog: pytest.LogCaptureFixture, *, quiet: bool
) -> None:
    patience = Patience(ADDRESS, longest_wait=30, quiet=quiet)
    patience.wait_after_loss("the connection was cut")
    clocks.advance(6)
    patience.wait_after_failure()
    patience.end(resumed=True)
    assert {record.levelno for record in caplog.records} == {logging.INFO if quiet else logging.WARNING}
    assert len(caplog.records) == 3


def test_waits_double_up_to_the_longest_and_are_never_all_the_same() -> None:
    patience = Patience(ADDRESS, longest_wait=30)
    waits = [patience.wait_after_failure() for _ in range(40)]
    for number, wait in enumerate(waits):
        longest = min(30, 2**number)
        assert longest / 2 <= wait <= longest
    assert len(set(waits[10:])) > 1
