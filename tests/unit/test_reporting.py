"""What people are told of their images."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

import pytest

from common.console import Printer
from common.errors import RefusedError, SealcastError
from common.topics import ImageTopic
from publisher.courier import Outcome
from publisher.items import Item, State
from publisher.reporting import Report, show_item

NOW = dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)
END = dt.datetime(2026, 12, 1, 9, 30, tzinfo=dt.UTC)
FULL = RefusedError("the archive has no room", hint="remove some", code="quota_exceeded")


def item(state: State, expires_at: dt.datetime | None = None) -> Item:
    topic = ImageTopic("alice", "public", uuid.UUID(int=1))
    return Item(topic, "members", "boats.png", 1, 2, "ab" * 32, (), NOW, expires_at=expires_at, state=state)


@pytest.mark.parametrize("expires_at", [END, None])
@pytest.mark.parametrize("state", [State.STORED, State.WAITING])
def test_people_are_told_when_an_image_expires(
    capsys: pytest.CaptureFixture[str], state: State, expires_at: dt.datetime | None
) -> None:
    one, printer = item(state, expires_at), Printer(as_json=False)
    Report(printer).tell(Path("boats.png"), Outcome(one, None if state is State.STORED else SealcastError("no broker")))
    show_item(printer, one)
    told = capsys.readouterr().out.splitlines()
    until = f", until {END.astimezone():%Y-%m-%d %H:%M:%S}"
    assert len(told) == 2
    assert [line.endswith(until) for line in told] == [expires_at is not None] * 2


def test_what_was_refused_comes_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show_item(Printer(as_json=False), item(State.REFUSED))
    assert "publisher flush sends it once more, publisher remove gives it up" in capsys.readouterr().out
    show_item(Printer(as_json=False), item(State.WAITING))
    assert "publisher" not in capsys.readouterr().out


def test_one_and_the_same_hint_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(Printer(as_json=False), flushing=True)
    for error in (FULL, FULL, RefusedError("it is over", hint="post it again"), FULL, RefusedError("no")):
        report.tell(None, Outcome(item(State.REFUSED), error))
    assert report.failed == 5
    assert capsys.readouterr().err.splitlines() == [
        "error: boats.png: the archive has no room",
        "hint: remove some",
        "error: boats.png: the archive has no room",
        "error: boats.png: it is over",
        "hint: post it again",
        "error: boats.png: the archive has no room",
        "error: boats.png: no",
    ]
