"""A reader that is killed at any step has each image exactly once afterwards, and knows it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flows.members import picture
from flows.simulator import SimulatedSession

from subscriber import inbox
from subscriber.inbox import Inbox
from subscriber.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.members import Reader
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
STEPS: dict[str, tuple[Any, str, Callable[..., None], int]] = {
    "in the middle of the part": (inbox, "write_new", halfway, 1),
    "part written": (Path, "hardlink_to", before, 1),
    "linked": (Path, "hardlink_to", after, 2),  # the first name is taken
    "folder flushed": (Inbox, "save", after, 1),
    "ledger not written": (Ledger, "add", before, 1),
    "ledger written": (Ledger, "add", after, 1),
    "part not removed": (Inbox, "settle", before, 1),
    "part removed": (Inbox, "settle", after, 1),
    "nothing acknowledged": (SimulatedSession, "acknowledge", before, 1),
    "image acknowledged": (SimulatedSession, "acknowledge", after, 1),
    "all acknowledged": (SimulatedSession, "acknowledge", after, 2),
}


def work_until_killed(reader: Reader, monkeypatch: pytest.MonkeyPatch, step: str) -> bool:
    """Start the reader anew, and return whether it came to the step, and so to its end."""
    place, name, kill, call = STEPS[step]
    original, reading_thread, calls = getattr(place, name), threading.get_ident(), 0
    armed = False

    def trap(*arguments: object) -> object:
        nonlocal calls
        is_readers = armed and threading.get_ident() == reading_thread
        calls += is_readers
        return kill(original, *arguments) if is_readers and calls == call else original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, trap)
        reader.restart()
        armed = True
        try:
            reader.work()
        except Killed:
            return True
        finally:
            armed = False
    return False


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 3])
def test_a_crash(world: World, monkeypatch: pytest.MonkeyPatch, step: str, times: int) -> None:
    alice, bob = world.owner("alice"), world.reader("bob")
    earlier = alice.post()
    bob.work()
    posted = alice.post()
    killed = [work_until_killed(bob, monkeypatch, step) for _ in range(times)]
    assert killed[0]
    bob.restart()
    bob.work()
    assert [path.name for path in bob.files] == ["boats-2.png", "boats.png"]
    assert [path.read_bytes() for path in bob.files] == [picture().content] * 2
    assert bob.entries == {str(one.header.image_id): "saved" for one in (earlier, posted)}
    assert bob.session.unacknowledged == []
