"""A log that strangers cannot fill."""

from __future__ import annotations

import datetime as dt
import logging

import pytest
from authorities import NOW

from registrar.bounded_log import BoundedLog

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def log() -> BoundedLog:
    return BoundedLog(logging.getLogger("door"), most=3)


def test_so_many_lines_of_a_kind_a_minute_and_then_how_many_more(
    log: BoundedLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(9_815):
        log.warning("refused %s", number, now=NOW)
    log.warning("another %s", "kind", now=NOW)
    assert caplog.messages == ["refused 0", "refused 1", "refused 2", "another kind"]
    caplog.clear()
    log.tell_the_rest(NOW + 0.9 * MINUTE)
    assert caplog.messages == []
    log.tell_the_rest(NOW + MINUTE)
    assert caplog.messages == ["… and 9,812 more like it: refused %s"]
    caplog.clear()
    log.tell_the_rest(NOW + 3 * MINUTE)
    assert caplog.messages == []


def test_the_next_minute_has_lines_of_its_own(log: BoundedLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        log.warning("refused %s", number, now=NOW)
    log.warning("refused %s", "later", now=NOW + MINUTE)
    assert caplog.messages[3:] == ["… and 2 more like it: refused %s", "refused later"]


def test_a_clock_that_is_set_back_silences_nothing(log: BoundedLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        log.warning("refused", now=NOW)
    log.warning("refused again", now=NOW - 10 * MINUTE)
    log.warning("refused", now=NOW - 10 * MINUTE)
    assert caplog.messages == ["refused"] * 3 + ["refused again", "refused"]


def test_lines_that_have_waited_begin_no_new_minute(log: BoundedLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        log.warning("dropped", now=NOW)
        log.warning("refused", now=NOW - 0.1 * MINUTE)
    assert sorted(caplog.messages) == ["dropped"] * 3 + ["refused"] * 3


def test_what_went_wrong_is_shown(log: BoundedLog, caplog: pytest.LogCaptureFixture) -> None:
    try:
        int("the cause")
    except ValueError:
        log.warning("failed", now=NOW, exc_info=True)
    assert "the cause" in caplog.text
