"""How attempts are slowed down; time is a parameter."""

from __future__ import annotations

import datetime as dt

import pytest
from authorities import NOW

from registrar.throttle import Budget, Throttle, in_words

SECOND, HOUR = dt.timedelta(seconds=1), dt.timedelta(hours=1)


def attempt(throttle: Throttle, name: str, now: dt.datetime) -> float:
    """Try, and try again as soon as one may; return how long that was."""
    wait = throttle.wait(name, now)
    throttle.count(name, now + wait * SECOND)
    return wait


def test_each_attempt_waits_twice_as_long_as_the_one_before_up_to_a_limit() -> None:
    throttle, now, waits = Throttle(free=3, longest=300), NOW, []
    for _ in range(15):
        waits.append(attempt(throttle, "alice", now))
        now += waits[-1] * SECOND
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_a_wait_shrinks_with_time_and_is_not_lengthened_by_asking() -> None:
    throttle = Throttle(free=1, longest=300)
    for _ in range(3):
        throttle.count("alice", NOW)
    assert [throttle.wait("alice", NOW + seconds * SECOND) for seconds in (0, 1, 3.5, 4, 60)] == [4, 3, 0.5, 0, 0]


def test_others_do_not_wait_and_a_right_attempt_begins_anew() -> None:
    throttle = Throttle(free=1, longest=300)
    throttle.count("alice", NOW)
    assert throttle.wait("bob", NOW) == 0
    assert throttle.wait("alice", NOW) == 1
    throttle.forgive("alice")
    throttle.forgive("nobody")
    assert throttle.wait("alice", NOW) == 0


def test_a_pause_of_an_hour_is_forgotten_and_nothing_shorter() -> None:
    throttle = Throttle(free=1, longest=4000)
    for _ in range(20):
        throttle.count("alice", NOW)
    assert throttle.wait("alice", NOW + HOUR) == 400
    assert throttle.wait("alice", NOW + HOUR + SECOND) == 0
    throttle.count("alice", NOW + HOUR + SECOND)
    assert throttle.wait("alice", NOW + HOUR + SECOND) == 1


def test_a_clock_that_is_set_back_makes_nobody_wait_for_longer() -> None:
    throttle = Throttle(free=1, longest=300)
    throttle.count("alice", NOW + HOUR)
    assert throttle.wait("alice", NOW) == 1
    assert throttle.wait("alice", NOW + SECOND) == 0


def test_any_number_of_attempts_and_any_name_can_be_counted() -> None:
    throttle = Throttle(free=1, longest=300)
    for name in ("alice", "\ud800", "a" * 100_000):
        for _ in range(2000):
            throttle.count(name, NOW)
        assert throttle.wait(name, NOW) == 300


def test_memory_is_bounded_and_who_is_attacked_is_not_forgotten_for_others() -> None:
    throttle = Throttle(free=1, longest=300, names=100)
    for _ in range(8):
        throttle.count("alice", NOW)
    for number in range(10_000):
        throttle.count(f"nobody-{number}", NOW + SECOND)
        assert len(throttle) <= 100
    assert throttle.wait("alice", NOW) == 128


def test_what_is_forgotten_makes_room_first() -> None:
    throttle = Throttle(free=1, longest=300, names=10)
    for number in range(10):
        for _ in range(9):
            throttle.count(f"old-{number}", NOW)
    later = NOW + 2 * HOUR
    for number in range(2):
        throttle.count(f"new-{number}", later)
    assert len(throttle) == 2
    assert [throttle.wait(f"new-{number}", later) for number in range(2)] == [1, 1]


def test_a_budget_lets_a_burst_through_and_then_a_rate() -> None:
    budget = Budget(rate=4, burst=10)
    assert [budget.take(NOW) for _ in range(11)] == [True] * 10 + [False]
    assert [budget.take(NOW + SECOND) for _ in range(5)] == [True] * 4 + [False]
    # What is not used is not saved beyond a burst, and a clock that is set back gives nothing.
    assert [budget.take(NOW + HOUR) for _ in range(11)] == [True] * 10 + [False]
    assert not budget.take(NOW)
    assert budget.take(NOW + SECOND)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (1, "1 second"),
        (39.5, "40 seconds"),
        (120, "120 seconds"),
        (121, "3 minutes"),
        (300, "5 minutes"),
    ],
)
def test_a_wait_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
