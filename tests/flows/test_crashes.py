"""A reader that is killed at any step has each image exactly once afterwards, and knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flows.simulator import SimulatedSession
from flows.world import picture

from common import files
from subscriber import inbox
from subscriber.inbox import Inbox
from subscriber.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.world import World


class Killed(BaseException):
    """The end of the process, at this very line: nothing below may tidy up after it."""


def before(_original: Callable[..., Any], *_arguments: Any) -> None:  # noqa: ANN401 - those of whatever is replaced
    raise Killed


def after(original: Callable[..., Any], *arguments: Any) -> None:  # noqa: ANN401 - the same
    original(*arguments)
    raise Killed


def halfway(original: Callable[..., Any], path: Path, content: bytes) -> None:
    original(path, content[: len(content) // 2])
    raise Killed


# where the process ends, and at which call of those
STEPS = {
    "in the middle of the part": (inbox, "write_new", halfway, 1),
    "part written": (Path, "hardlink_to", before, 1),
    "linked": (Path, "hardlink_to", after, 1),
    "folder flushed": (Inbox, "save", after, 1),
    "ledger not written": (Ledger, "add", before, 1),
    "ledger written": (Ledger, "add", after, 1),
    "part not removed": (Inbox, "settle", before, 1),
    "part removed": (Inbox, "settle", after, 1),
    "nothing acknowledged": (SimulatedSession, "acknowledge", before, 1),
    "image acknowledged": (SimulatedSession, "acknowledge", after, 1),
    "announcement acknowledged": (SimulatedSession, "acknowledge", after, 2),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 3])
def test_a_crash(world: World, monkeypatch: pytest.MonkeyPatch, step: str, times: int) -> None:
    place, name, kill, call = STEPS[step]
    alice, bob = world.owner("alice"), world.reader("bob")
    bob.registrar.refresh_trust()
    earlier = alice.post()
    bob.work()
    posted = alice.post()
    for _ in range(times):
        calls = []

        def die(*arguments: Any, original: Any = getattr(place, name), calls: list[int] = calls) -> Any:  # noqa: ANN401 - those of whatever is replaced
            calls.append(1)
            return kill(original, *arguments) if len(calls) == call else original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(place, name, die)
            died = False
            try:
                bob.work()
            except Killed:
                died = True
            # What is behind the crash already is not tried a second time.
            assert died or times > 1
        bob.restart()
    bob.work()
    assert [path.name for path in bob.files] == ["boats-2.png", "boats.png"]
    assert [path.read_bytes() for path in bob.files] == [picture().content] * 2
    assert bob.entries == {str(one.header.image_id): "saved" for one in (earlier, posted)}
    assert bob.session.unacknowledged == []


def test_a_step_that_nobody_takes_kills_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write_new", before)
    alice, bob = world.owner("alice"), world.reader("bob")
    alice.post()
    bob.work()
    assert len(bob.files) == 1
