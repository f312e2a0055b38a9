"""A watch that is killed at any step posts each image once."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flows.killing import Killer
from flows.watching import Watched, image

from common.local_database import LocalDatabase
from publisher import outbox
from publisher.courier import Courier

if TYPE_CHECKING:
    from flows.members import Owner

# Every call with which a watch changes something, but for transactions.
CHANGES: list[tuple[Any, str]] = [
    (outbox, "flush_folder"),
    (Path, "unlink"),
    (LocalDatabase, "write"),
    (Courier, "deliver"),
]


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(monkeypatch, CHANGES, outbox)


@pytest.mark.parametrize("times", [1, 2])
def test_a_kill_at_every_moment(
    alice: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killer: Killer, times: int
) -> None:
    watched = Watched(alice, tmp_path / "photos", monkeypatch)
    watched.live()
    for moment in itertools.count(1):
        watched.write(f"{moment}.png", image(moment))
        killed = False
        for _ in range(times):
            killed |= killer.ends(watched.live, moment)
        watched.live()
        assert watched.stored == [("public", f"{number}.png") for number in range(1, moment + 1)]
        if not killed:
            break
    # Memory, outbox, memory again, reply: fewer moments would mean that the sweep has missed them.
    assert moment > 15
    assert list((alice.identity.home / "outbox").glob("*.cms")) == []


def test_a_kill_at_the_very_first_moments_leaves_alone_what_was_there(
    alice: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killer: Killer
) -> None:
    for moment in itertools.count(1):
        watched = Watched(alice, tmp_path / f"photos-{moment}", monkeypatch)
        for number in range(3):
            watched.write(f"{number}.png", image(number))
        killed = killer.ends(lambda one=watched: one.live(include_existing=None), moment)  # type: ignore[misc]
        watched.live(include_existing=None)
        assert watched.stored == []
        if not killed:
            break
    assert moment > 5
