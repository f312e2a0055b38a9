"""What becomes of a packet is known to its sender, whichever comes first: its acknowledgement or the sender."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from common.outcomes import Outcomes, fail, fulfil


@pytest.mark.parametrize("acknowledged_first", [True, False])
def test_the_sender_learns_of_the_acknowledgement(*, acknowledged_first: bool) -> None:
    outcomes = Outcomes()
    if acknowledged_first:
        outcomes.conclude(7, None)
    future = outcomes.of(7)
    if not acknowledged_first:
        assert not future.done()
        outcomes.conclude(7, None)
    assert future.result(0) is True


@pytest.mark.parametrize("acknowledged_first", [True, False])
def test_the_sender_learns_of_the_refusal(*, acknowledged_first: bool) -> None:
    outcomes, refusal = Outcomes(), ValueError("no")
    if acknowledged_first:
        outcomes.conclude(7, refusal)
    future = outcomes.of(7)
    if not acknowledged_first:
        outcomes.conclude(7, refusal)
    assert future.exception(0) is refusal


def test_a_packet_id_can_be_used_again() -> None:
    outcomes = Outcomes()
    outcomes.conclude(7, ValueError("no"))
    outcomes.of(7)
    future = outcomes.of(7)
    assert not future.done()
    outcomes.conclude(7, None)
    assert future.result(0) is True


def test_packets_do_not_get_each_others_outcome() -> None:
    outcomes = Outcomes()
    one, other = outcomes.of(1), outcomes.of(2)
    outcomes.conclude(2, ValueError("no"))
    assert isinstance(other.exception(0), ValueError)
    assert not one.done()


def test_senders_and_acknowledgements_in_many_threads() -> None:
    outcomes, count = Outcomes(), 2000
    start = threading.Barrier(2)

    def send() -> list[Future[bool]]:
        start.wait(60)
        return [outcomes.of(packet_id) for packet_id in range(count)]

    def acknowledge() -> None:
        start.wait(60)
        for packet_id in range(count):
            outcomes.conclude(packet_id, None)

    with ThreadPoolExecutor(2) as pool:
        sending, acknowledging = pool.submit(send), pool.submit(acknowledge)
        acknowledging.result(60)
        assert [future.result(60) for future in sending.result(60)] == [True] * count


def test_only_the_first_outcome_counts() -> None:
    future: Future[str] = Future()
    fulfil(future, "first")
    fulfil(future, "second")
    assert not fail(future, ValueError("third"))
    assert future.result(0) == "first"
    other: Future[str] = Future()
    assert fail(other, ValueError("first"))
    fulfil(other, "second")
    assert isinstance(other.exception(0), ValueError)
