"""A reader that is killed at any step has each image exactly once afterwards, and knows it."""

from __future__ import annotations

import functools
import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flows.interference import ANNOUNCEMENTS, IMAGES, carry_honestly, withhold
from flows.killing import Killed, Killer
from flows.members import Reader, Recorder, picture
from flows.simulator import SimulatedSession

from common.local_database import LocalDatabase
from subscriber import inbox
from subscriber.inbox import Inbox
from subscriber.keeping import Keeper
from subscriber.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.members import Owner
    from flows.world import World

    from common.arrivals import Message
    from publisher.post import Posted

# Every call with which a reader changes something, but for transactions.
CHANGES: list[tuple[Any, str]] = [
    (inbox, "make_private_folder"),
    (inbox, "flush_folder"),
    (Path, "hardlink_to"),
    (Path, "unlink"),
    (LocalDatabase, "write"),
    (SimulatedSession, "acknowledge"),
]


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(monkeypatch, CHANGES, inbox)


def prepare(reader: Reader) -> None:
    """Do once more what a reader does to its folders when it starts."""
    Keeper(Inbox(reader.home / "inbox"), reader.ledger, reader.verified, Recorder(), reader.world.clock)


def receive(reader: Reader) -> None:
    prepare(reader)
    reader.work()


def catch_up(reader: Reader) -> None:
    prepare(reader)
    reader.catch_up()


def do_both(reader: Reader) -> None:
    prepare(reader)
    reader.run(turns=8)


LIVES = {"natively": receive, "from the catalogue": catch_up, "both": do_both}


def assert_each_is_saved_once(reader: Reader, count: int) -> None:
    names = {"boats.png", *(f"boats-{number}.png" for number in range(2, count + 1))}
    assert {path.name for path in reader.files} == names
    assert all(path.read_bytes() == picture().content for path in reader.files)
    assert list(reader.entries.values()) == ["saved"] * count
    assert {str(entry.path) for entry in reader.ledger.entries()} == {str(path) for path in reader.files}
    assert reader.session.unacknowledged == []


def finish(reader: Reader, life: Callable[[Reader], None]) -> None:
    """Live to the end."""
    reader.restart()
    life(reader)


@pytest.fixture(params=LIVES)
def life(world: World, bob: Reader, request: pytest.FixtureRequest) -> Callable[[Reader], None]:
    """A way to live; what comes from the catalogue does not come from the broker."""
    carry_honestly(world)
    if request.param == "from the catalogue":
        withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    return LIVES[request.param]


@pytest.mark.parametrize("times", [1, 3])
def test_a_crash_at_every_moment(
    alice: Owner, bob: Reader, killer: Killer, life: Callable[[Reader], None], times: int
) -> None:
    for moment in itertools.count(1):
        alice.post()
        killed = False
        for _ in range(times):
            bob.restart()
            killed |= killer.ends(lambda: life(bob), moment)
        finish(bob, life)
        assert_each_is_saved_once(bob, moment)
        if not killed:
            break
    # Folders, file, link, ledger, acknowledgements: fewer moments would mean that the sweep has missed them.
    assert moment > 20


@pytest.mark.parametrize("seed", range(3))
def test_crashes_at_random_moments(
    alice: Owner, bob: Reader, killer: Killer, life: Callable[[Reader], None], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for posts in range(1, 6):
        alice.post()
        for _ in range(6):
            bob.restart()
            killer.ends(lambda: life(bob), chance.randint(1, 40))
        finish(bob, life)
        assert_each_is_saved_once(bob, posts)


def test_a_fetch_that_is_killed_at_every_moment(alice: Owner, bob: Reader, killer: Killer) -> None:
    for moment in itertools.count(1):
        image_id = alice.post().header.image_id
        bob.work()
        (entry,) = bob.ledger.entries(image_id)
        assert entry.path is not None
        entry.path.unlink()
        killed = killer.ends(functools.partial(bob.fetch, image_id), moment)
        bob.restart()
        bob.work()
        bob.fetch(image_id)
        assert_each_is_saved_once(bob, moment)
        if not killed:
            break
    assert moment > 20


def test_the_mark_is_where_everything_is_dealt_with(world: World, alice: Owner, bob: Reader, killer: Killer) -> None:
    withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    for moment in itertools.count(1):
        alice.post()
        bob.restart()
        killed = killer.ends(lambda: catch_up(bob), moment)
        bob.restart()
        mark = bob.ledger.mark(["#"])
        missing = [one for one in bob.registrar.list("oldest", mark).images if str(one.image_id) not in bob.entries]
        assert len(bob.entries) + len(missing) == moment
        bob.catch_up()
        assert bob.registrar.list("oldest", bob.ledger.mark(["#"])).images == ()
        if not killed:
            break


@pytest.fixture
def linked(world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch) -> tuple[Posted, Message]:
    """An image that is saved and not noted, and its announcement, which the broker has kept back."""
    withheld = withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted = alice.post()

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add", kill)
        with pytest.raises(Killed):
            bob.catch_up()
    bob.restart()
    # The part and its final name.
    assert [path.read_bytes() for path in bob.files] == [picture().content] * 2
    assert bob.entries == {}
    return posted, withheld[1]


def test_what_was_linked_and_then_removed_is_saved(alice: Owner, bob: Reader, linked: tuple[Posted, Message]) -> None:
    posted, announcement = linked
    alice.registrar.remove(posted.header.image_id)
    bob.hear(announcement)
    bob.work()
    assert_each_is_saved_once(bob, 1)
    (entry,) = bob.ledger.entries()
    assert (entry.sha256, entry.channel, entry.message) == (posted.header.sha256, "public", None)
    assert bob.printer.named("refused") == []
    assert bob.printer.named("saved")[0]["path"] == bob.files[0]


def test_what_was_linked_is_not_saved_twice_because_of_a_false_announcement(
    bob: Reader, linked: tuple[Posted, Message]
) -> None:
    bob.hear(replace(linked[1], payload=b"{}"))
    bob.work()
    bob.catch_up()
    assert_each_is_saved_once(bob, 1)


def test_what_was_only_begun_and_then_removed_is_refused(
    alice: Owner, bob: Reader, linked: tuple[Posted, Message]
) -> None:
    posted, announcement = linked
    (final,) = [path for path in bob.files if not path.name.startswith(".")]
    final.unlink()
    alice.registrar.remove(posted.header.image_id)
    bob.hear(announcement)
    bob.work()
    assert (bob.files, list(bob.entries.values())) == ([], ["removed"])
