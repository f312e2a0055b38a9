"""A reader that meets a damaged archive waits for its repair, and has every image afterwards."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

import pytest
from flows.interference import ANNOUNCEMENTS, IMAGES, assert_nothing_decided, assert_saved_once, names, withhold

from registrar.archive import FolderArchive
from registrar.verifying import Verification

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.members import Owner, Reader
    from flows.world import World

    from publisher.post import Posted


def stored(world: World, posted: Posted) -> Path:
    return next(world.folder.glob(f"archive/*/{posted.header.image_id}.cms"))


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def repair(world: World, backup: FolderArchive | None = None) -> None:
    # The files are as old as this test; the clock of the world stands at another time.
    now = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    assert list(Verification(world.handlers, repair=True, backup=backup, now=now).faults())


SPOILT = pytest.mark.parametrize("spoil", [alter, truncate, os.unlink])
WITHHELD = pytest.mark.parametrize(
    "withheld", [(IMAGES,), (IMAGES, ANNOUNCEMENTS)], ids=["announced", "from the catalogue"]
)


@SPOILT
@WITHHELD
def test_what_a_backup_brings_back_is_saved(
    world: World,
    alice: Owner,
    bob: Reader,
    spoil: Callable[[Path], None],
    withheld: tuple[str, ...],
) -> None:
    withhold(world, bob, *withheld)
    posted, sound = alice.post(), alice.post()
    backup = FolderArchive(world.folder / "backup")
    backup.put(posted.header.image_id, stored(world, posted).read_bytes())
    spoil(stored(world, posted))
    for _ in range(3):
        bob.work()
        bob.catch_up()
        bob.receiver.try_postponed()
    # Nothing is decided of it, and it keeps nobody back.
    assert (list(bob.entries), bob.ledger.mark(["#"])) == ([str(sound.header.image_id)], None)
    assert names(bob).count("refused") == 0
    repair(world, backup)
    bob.receiver.try_postponed()
    bob.catch_up()
    assert_saved_once(bob, sound, posted)
    assert bob.registrar.list("oldest", bob.ledger.mark(["#"])).images == ()


@SPOILT
def test_what_is_taken_out_is_waited_for_no_longer_and_may_come_again(
    world: World, alice: Owner, bob: Reader, spoil: Callable[[Path], None]
) -> None:
    withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted, sound = alice.post(), alice.post()
    spoil(stored(world, posted))
    bob.catch_up()
    repair(world)
    bob.receiver.try_postponed()
    bob.catch_up()
    assert bob.printer.named("refused")[0]["code"] == "unknown_image"
    assert bob.registrar.list("oldest", bob.ledger.mark(["#"])).images == ()
    assert_saved_once(bob, sound)
    alice.registrar.store(posted.sealed, posted.item.topic, name="boats.png", size=posted.header.size)
    bob.catch_up()
    assert_saved_once(bob, sound, posted)


def test_a_damaged_copy_is_fetched_anew_from_its_beginning(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    posted = alice.post()
    sealed = stored(world, posted).read_bytes()
    alter(stored(world, posted))
    bob.work()
    assert_nothing_decided(bob)
    stored(world, posted).write_bytes(sealed)
    bob.receiver.try_postponed()
    # Once in vain and once for good; what had been brought of it is not gone on with.
    assert bob.registrar.fetched(posted.header.image_id) == [0, 0]
    assert_saved_once(bob, posted)
