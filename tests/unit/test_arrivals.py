"""What arrives on a session, and what is let go."""

from __future__ import annotations

from common.arrivals import Arrivals, Message

IN_FLIGHT = 20


def waiting(arrivals: Arrivals) -> list[bytes]:
    payloads = []
    while isinstance(arrived := arrivals.next(timeout=0), Message):
        payloads.append(arrived.payload)
    return payloads


def test_what_is_sent_at_qos_0_does_not_fill_the_memory() -> None:
    arrivals = Arrivals("replies/")
    for number in range(10_000):
        arrivals.put(Message("images/x", b"%d" % number))
    assert waiting(arrivals) == [b"%d" % number for number in range(IN_FLIGHT)]
    arrivals.put(Message("images/x", b"later"))
    assert waiting(arrivals) == [b"later"]


def test_what_a_broker_waits_for_is_never_let_go() -> None:
    arrivals = Arrivals("replies/")
    for number in range(10_000):
        assert not arrivals.put(Message("images/x", b"%d" % number, packet_id=number + 1))
    assert len(waiting(arrivals)) == 10_000
