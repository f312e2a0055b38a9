"""The archive is held against the catalogue: every fault is found, what can be mended is, and nothing is deleted."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

import pytest
from flows.members import picture

from common.topics import ImageTopic, new_image_id
from registrar.archive import FolderArchive
from registrar.verifying import Fault, Verification

if TYPE_CHECKING:
    from pathlib import Path

    from flows.members import Owner, Reader
    from flows.world import World

HOUR = dt.timedelta(hours=1)


def verify(world: World, *, repair: bool = False, backup: FolderArchive | None = None) -> list[Fault]:
    # The files are as old as this test; the clock of the world stands at another time.
    now = dt.datetime.now(dt.UTC) + 2 * HOUR
    verification = Verification(world.handlers, repair, backup, now)
    found = list(verification.faults())
    assert verification.images >= len([one for one in found if one.kind != "unknown"])
    return found


def place(world: World, topic: ImageTopic) -> Path:
    return next(world.folder.glob(f"archive/*/{topic.image_id}.cms"))


def post(alice: Owner, *to: str) -> ImageTopic:
    header = alice.post(to=to).header
    return ImageTopic("alice", "public", header.image_id)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_sound_archive_has_no_fault(world: World, alice: Owner, bob: Reader) -> None:
    assert bob.identity.user == "bob"
    post(alice)
    post(alice, "bob")
    assert verify(world) == []
    assert verify(world, repair=True) == []


@pytest.mark.parametrize(("spoil", "kind"), [(damage, "damaged"), (os.unlink, "missing")])
def test_a_fault_is_found_and_without_repair_left_as_it_is(
    world: World, alice: Owner, spoil: object, kind: str
) -> None:
    topics = [post(alice) for _ in range(3)]
    assert callable(spoil)
    spoil(place(world, topics[1]))
    for _ in range(2):
        assert [(one.kind, one.image_id, one.owner, one.mended) for one in verify(world)] == [
            (kind, topics[1].image_id, "alice", None)
        ]


@pytest.mark.parametrize("spoil", [damage, os.unlink])
def test_a_backup_mends_it(world: World, alice: Owner, bob: Reader, tmp_path: Path, spoil: object) -> None:
    topic = post(alice)
    backup = FolderArchive(tmp_path / "backup")
    backup.put(topic.image_id, place(world, topic).read_bytes())
    assert callable(spoil)
    spoil(place(world, topic))
    assert [one.mended for one in verify(world, repair=True, backup=backup)] == ["restored from the backup"]
    assert verify(world) == []
    bob.work()
    assert [path.read_bytes() for path in bob.files] == [picture().content]


@pytest.mark.parametrize("spoil", [damage, os.unlink])
def test_without_one_it_is_taken_out_and_may_be_sent_again(world: World, alice: Owner, spoil: object) -> None:
    topic = post(alice)
    sealed = place(world, topic).read_bytes()
    assert callable(spoil)
    spoil(place(world, topic))
    # A backup with the same fault does not help.
    assert [one.mended for one in verify(world, repair=True)] == ["taken out of the catalogue"]
    assert verify(world) == []
    assert next(world.handlers.clear_away(world.clock())).topic == topic.announcement
    size = len(picture().content)
    alice.registrar.store(sealed, topic, name="boats.png", size=size)
    assert place(world, topic).read_bytes() == sealed
    assert verify(world) == []


def test_what_is_damaged_is_set_aside_not_deleted(world: World, alice: Owner) -> None:
    topic = post(alice)
    damage(place(world, topic))
    damaged = place(world, topic).read_bytes()
    verify(world, repair=True)
    assert [path.read_bytes() for path in world.folder.glob("archive/set-aside/*")] == [damaged]


def test_an_image_for_members_without_an_entry_gets_one(world: World, alice: Owner, bob: Reader) -> None:
    topic = post(alice)
    before = world.catalogue.get(topic.image_id)
    assert before is not None
    forget(world, topic)
    assert [(one.kind, one.mended) for one in verify(world)] == [("unknown", None)]
    assert [one.mended for one in verify(world, repair=True)] == ["taken into the catalogue"]
    assert world.catalogue.get(topic.image_id) == before
    bob.work()
    assert len(bob.files) == 1


def test_what_nobody_here_can_open_is_set_aside(world: World, alice: Owner, bob: Reader) -> None:
    assert bob.identity.user == "bob"
    topic = post(alice, "bob")
    forget(world, topic)
    stray = new_image_id(world.clock())
    world.archive.put(stray, b"no image")
    assert {one.mended for one in verify(world, repair=True)} == {"set aside"}
    assert len(list(world.folder.glob("archive/set-aside/*"))) == 2
    assert verify(world) == []


def test_what_is_being_stored_is_left_alone(world: World) -> None:
    world.archive.put(new_image_id(world.clock()), b"its entry comes in a moment")
    now = dt.datetime.now(dt.UTC)
    assert list(Verification(world.handlers, repair=True, backup=None, now=now).faults()) == []


def test_a_removed_image_is_no_fault_and_does_not_come_back(world: World, alice: Owner) -> None:
    topic = post(alice)
    sealed = place(world, topic).read_bytes()
    alice.registrar.remove(topic.image_id)
    world.archive.put(topic.image_id, sealed)
    assert verify(world, repair=True) == []
    assert world.catalogue.get(topic.image_id) is None


def forget(world: World, topic: ImageTopic) -> None:
    """Lose the entry, as a database from an older backup would have."""
    from sqlalchemy import text  # noqa: PLC0415 - behind the catalogue's back

    with world._engine.begin() as connection:  # noqa: SLF001 - the same
        connection.execute(text("DELETE FROM recipients"))
        connection.execute(text("DELETE FROM images WHERE image_id = :id"), {"id": topic.image_id.hex})
