from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from authorities import NOW
from flows.simulator import Broker

from common import topics
from common.arrivals import Message
from common.connection import SessionOptions
from common.errors import RefusedError, SessionError
from common.revocation_lists import Reason
from registrar import ending
from registrar.accounts import Accounts
from registrar.connections import Connections
from registrar.database import migrate, open_database
from registrar.ending import Ending
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class World:
    """A registrar that knows alice, on a broker that tells who connects."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(f"sqlite:///{folder / 'registrar.sqlite3'}")
        migrate(self.engine)
        Accounts(self.engine).create("alice", "hash", NOW)
        self.connections = Connections(self.engine)
        self.broker = Broker()
        self.session = self.broker.session("a" * 32 + "-connections", SessionOptions(manual_acknowledgement=True))
        self.ending = Ending(self.connections, self.session, self._take_over, lambda: NOW)
        self.taken_over: list[str] = []
        self.silent = 0
        self.failing: dict[str, Exception] = {}

    @contextlib.contextmanager
    def _take_over(self, client_id: str) -> Iterator[None]:
        if self.silent:
            self.silent -= 1
            raise SessionError("the broker does not answer")
        if client_id in self.failing:
            raise self.failing[client_id]
        self.taken_over.append(client_id)
        yield

    def connect(self, client_id: str, user: str) -> None:
        line = f"1795944939: New client connected from 127.0.0.1:39262 as {client_id} (p5, c1, k60, u'{user}')."
        self.broker.publish(Message(topics.BROKER_LOG, line.encode()))
        self.ending.watch()

    def revoke(self) -> None:
        """Revoke alice, a look before her sessions are ended."""
        Revocations(self.engine).revoke("alice", Reason.SUPERSEDED, NOW)
        self.ending.end()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    one = World(tmp_path)
    with one.session:
        one.ending.subscribe()
        one.ending.watch()  # the connection
        yield one
    one.engine.dispose()


def test_it_takes_over_what_is_to_end_until_the_broker_says_so(world: World) -> None:
    world.connect("one", "alice")
    world.ending.end()
    world.revoke()
    world.ending.end()
    world.ending.end()
    assert world.taken_over == ["one", "one"]
    world.connect("one", "registrar")
    world.ending.end()
    assert world.taken_over == ["one", "one"]


def test_who_has_asked_for_it_has_the_reply_first(world: World) -> None:
    world.connect("one", "alice")
    world.revoke()
    assert world.taken_over == []
    world.ending.end()
    assert world.taken_over == ["one"]


def test_who_comes_back_between_is_ended_again(world: World) -> None:
    world.connect("one", "alice")
    world.revoke()
    world.ending.end()
    world.connect("one", "registrar")
    world.connect("one", "alice")
    world.ending.end()
    assert world.taken_over == ["one", "one"]


def test_a_broker_that_does_not_answer_is_tried_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.connect("one", "alice")
    world.revoke()
    world.silent = 1
    world.ending.end()
    assert "could not end a session, will try again: the broker does not answer" in caplog.text
    world.ending.end()
    assert world.taken_over == ["one"]


@pytest.mark.parametrize("error", [SessionError("the broker refused the session"), ValueError("unheard of")])
def test_one_that_cannot_be_ended_keeps_no_other_from_it(
    world: World, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    for client_id in ("one", "two", "three"):
        world.connect(client_id, "alice")
    world.failing["two"] = error
    world.revoke()
    world.ending.end()
    assert sorted(world.taken_over) == ["one", "three"]
    assert "will try again" in caplog.text
    assert "two" not in caplog.text


def test_a_connection_that_cannot_be_kept_is_kept_later(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ending, "_PAUSE_SECONDS", 0)

    def unavailable(*_: object) -> None:
        raise RefusedError("the registrar's database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(Connections, "note", unavailable)
        world.connect("one", "alice")
    assert "could not keep who is connected" in caplog.text
    world.connect("two", "alice")
    world.ending.watch()
    world.revoke()
    assert sorted(world.connections.to_end()) == ["one", "two"]


def test_a_connection_is_not_lost_over_anything_that_keeps_it_from_being_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("unheard of")

    with monkeypatch.context() as patched:
        patched.setattr(Connections, "note", fail)
        with pytest.raises(ValueError, match="unheard of"):
            world.connect("one", "alice")
    world.ending.watch()
    assert world.session.unacknowledged == []
    world.revoke()
    assert world.connections.to_end() == ["one"]


def test_other_lines_of_the_log_are_passed_over(world: World) -> None:
    world.broker.publish(Message(topics.BROKER_LOG, b"\xff no text"))
    world.broker.publish(Message(topics.BROKER_LOG, b"Client one disconnected."))
    for _ in range(2):
        world.ending.watch()
    world.connect("one", "alice")
    world.revoke()
    assert world.connections.to_end() == ["one"]
