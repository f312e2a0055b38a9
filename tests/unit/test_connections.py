from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import NOW
from sqlalchemy import event
from sqlalchemy.orm import Session

from common.certificates import fingerprint
from common.revocation_lists import Reason
from registrar.accounts import Accounts
from registrar.connections import MOST_SESSIONS, Connections, read_connection
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytest_plugins = ("databases",)
LINE = "New client connected from 127.0.0.1:50538 as {} (p5, c1, k60, u'{}')."
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def connections(engine: Engine) -> Connections:
    accounts = Accounts(engine)
    for user in ("alice", "bob"):
        accounts.create(user, "hash", NOW)
    return Connections(engine)


def revoke(engine: Engine, user: str, now: dt.datetime = NOW, device: str | None = None) -> None:
    Revocations(engine).revoke(user, Reason.SUPERSEDED, now, fingerprint=device)


def a_device(engine: Engine, user: str) -> str:
    certificate = authorities.default().new_member(user).certificate
    Accounts(engine).add_certificate(user, certificate, NOW)
    return fingerprint(certificate)


@pytest.mark.parametrize("time", ["", "1795944939: "])
@pytest.mark.parametrize(
    "client_id",
    ["a" * 32 + "-subscriber", "spaced out", "x (p5, c1, k60, u'bob').", " as y", "'), u'bob')", "a\nb", "ü"],
)
def test_the_name_is_the_certificate_s_whatever_the_client_id_says(time: str, client_id: str) -> None:
    assert read_connection(time + LINE.format(client_id, "mallory")) == (client_id, "mallory")


@pytest.mark.parametrize(
    "line",
    [
        "New client connected from 127.0.0.1:50538 as stranger (p5, c1, k60).",
        "Client some-client disconnected.",
        "Client x New client connected from 127.0.0.1:1 as y (p5, c1, k60, u'bob'). disconnected.",
        LINE.format("x", "bob") + " disconnected.",
        "",
    ],
)
def test_what_tells_of_no_connection_at_the_members_door(line: str) -> None:
    assert read_connection(line) is None


def test_a_revocation_ends_what_is_connected_and_what_connects_later(connections: Connections, engine: Engine) -> None:
    connections.note("one", "alice", NOW)
    connections.note("other", "bob", NOW)
    assert connections.to_end() == []
    revoke(engine, "alice")
    assert connections.to_end() == ["one"]
    connections.note("two", "alice", NOW + 3600 * SECOND)
    assert connections.to_end() == ["two", "one"]


def test_a_device_takes_the_others_with_it_until_the_broker_goes_by_the_list(
    connections: Connections, engine: Engine
) -> None:
    a_device(engine, "alice")
    connections.note("one", "alice", NOW)
    revoke(engine, "alice", device=a_device(engine, "alice"))
    connections.note("two", "alice", NOW + 14 * SECOND)
    connections.note("three", "alice", NOW + 16 * SECOND)
    connections.note("bob", "bob", NOW + SECOND)
    assert connections.to_end() == ["two", "one"]


def test_what_was_taken_over_is_forgotten_and_comes_back_with_whoever_connects(
    connections: Connections, engine: Engine
) -> None:
    connections.note("one", "alice", NOW)
    revoke(engine, "alice")
    connections.forget("one")
    assert connections.to_end() == []
    connections.note("one", "alice", NOW)
    assert connections.to_end() == ["one"]


def test_a_client_id_that_somebody_else_takes_over_is_theirs(connections: Connections, engine: Engine) -> None:
    connections.note("one", "alice", NOW)
    connections.note("one", "bob", NOW)
    revoke(engine, "alice")
    assert connections.to_end() == []


def test_of_too_many_sessions_the_oldest_end(connections: Connections) -> None:
    for number in range(MOST_SESSIONS + 2):
        connections.note(f"alice-{number}", "alice", NOW + number * SECOND)
    connections.note("bob", "bob", NOW - SECOND)
    assert connections.to_end() == ["alice-1", "alice-0"]


def test_two_registrars_note_the_same_connection_at_once(connections: Connections, engine: Engine) -> None:
    """The broker tells both of it: the other is done, or waits for its turn, when this one has found nothing yet."""
    other = threading.Thread(target=connections.note, args=("one", "alice", NOW))

    def have_the_other_first(*_: object) -> None:
        if other.ident is None:
            other.start()
            other.join(1)

    event.listen(Session, "before_flush", have_the_other_first)
    try:
        connections.note("one", "alice", NOW)
    finally:
        event.remove(Session, "before_flush", have_the_other_first)
        other.join()
    revoke(engine, "alice")
    assert connections.to_end() == ["one"]
