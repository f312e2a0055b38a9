"""The archive is held against the catalogue: every fault is found, what can be mended is, and nothing is deleted."""

from __future__ import annotations

import datetime as dt
import errno
import os
from typing import TYPE_CHECKING

import pytest
from authorities import DAY
from flows.members import picture

from common.errors import ConfigurationError, RefusedError, VerificationError
from common.topics import ImageTopic, new_image_id
from registrar.archive import FolderArchive
from registrar.catalogue import Catalogue
from registrar.verifying import Fault, Verification

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator
    from pathlib import Path

    from flows.members import Owner, Reader
    from flows.world import World

    from common.certificates import Trust
    from registrar.catalogue import Record

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
    topic, _ = post(alice), post(alice)
    backup = FolderArchive(tmp_path / "backup")
    backup.put(topic.image_id, place(world, topic).read_bytes())
    assert callable(spoil)
    spoil(place(world, topic))
    assert [one.mended for one in verify(world, repair=True, backup=backup)] == ["restored"]
    assert verify(world) == []
    bob.work()
    assert [path.read_bytes() for path in bob.files] == [picture().content] * 2


@pytest.mark.parametrize("spoil", [damage, os.unlink])
def test_without_one_it_is_taken_out_and_may_be_sent_again(world: World, alice: Owner, spoil: object) -> None:
    topic, _ = post(alice), post(alice)
    sealed = place(world, topic).read_bytes()
    assert callable(spoil)
    spoil(place(world, topic))
    assert [one.mended for one in verify(world, repair=True)] == ["taken_out"]
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
    assert [one.mended for one in verify(world, repair=True)] == ["taken_in"]
    assert world.catalogue.get(topic.image_id) == before
    bob.work()
    assert len(bob.files) == 1


def test_what_nobody_here_can_open_is_set_aside(world: World, alice: Owner, bob: Reader) -> None:
    assert bob.identity.user == "bob"
    topic = post(alice, "bob")
    forget(world, topic)
    stray = new_image_id(world.clock())
    world.archive.put(stray, b"no image")
    assert {one.mended for one in verify(world, repair=True)} == {"set_aside"}
    assert len(list(world.folder.glob("archive/set-aside/*"))) == 2
    assert verify(world) == []


def test_what_is_being_stored_is_left_alone(world: World, alice: Owner) -> None:
    world.archive.put(new_image_id(world.clock()), b"its entry comes in a moment")
    now = dt.datetime.now(dt.UTC)
    post(alice)
    verification = Verification(world.handlers, repair=False, backup=None, now=now)
    assert (list(verification.faults()), verification.young) == ([], 1)


def test_the_file_of_a_removed_image_is_found_and_discarded(world: World, alice: Owner) -> None:
    """A store that was killed after the removal was settled leaves it."""
    topic, kept = post(alice), post(alice)
    sealed = place(world, topic).read_bytes()
    alice.registrar.remove(topic.image_id)
    world.archive.put(topic.image_id, sealed)
    assert [(one.kind, one.mended) for one in verify(world)] == [("removed", None)]
    assert [(one.kind, one.mended) for one in verify(world, repair=True)] == [("removed", "discarded")]
    assert not world.archive.contains(topic.image_id)
    assert world.catalogue.get(topic.image_id) is None
    assert world.archive.contains(kept.image_id)


def test_an_archive_that_is_elsewhere_is_not_taken_for_an_empty_one(world: World, alice: Owner) -> None:
    topic = post(alice)
    place(world, topic).unlink()
    with pytest.raises(ConfigurationError) as caught:
        verify(world, repair=True)
    assert caught.value.code == "no_archive"
    assert world.catalogue.get(topic.image_id) is not None


def test_what_was_lost_is_taken_in_when_its_file_is_back(world: World, alice: Owner) -> None:
    topic, _ = post(alice), post(alice)
    sealed = place(world, topic).read_bytes()
    place(world, topic).unlink()
    assert [one.mended for one in verify(world, repair=True)] == ["taken_out"]
    world.archive.put(topic.image_id, sealed)
    assert [one.mended for one in verify(world, repair=True)] == ["taken_in"]
    assert world.catalogue.get(topic.image_id) is not None


def test_a_database_that_does_not_answer_is_no_reason_to_set_anything_aside(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = post(alice)
    forget(world, topic)

    def silent(*_arguments: object) -> None:
        raise RefusedError("the registrar's database does not answer", code="unavailable", retry_after=5)

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "add", silent)
        with pytest.raises(RefusedError):
            verify(world, repair=True)
    assert world.archive.contains(topic.image_id)
    assert [one.mended for one in verify(world, repair=True)] == ["taken_in"]


def test_a_revocation_list_out_of_date_is_no_reason_either(world: World, alice: Owner) -> None:
    topic = post(alice)
    forget(world, topic)
    later = dt.datetime.now(dt.UTC) + 40 * DAY
    with pytest.raises(VerificationError):
        list(Verification(world.handlers, repair=True, backup=None, now=later).faults())
    assert world.archive.contains(topic.image_id)


def test_an_entry_that_comes_during_the_repair_keeps_its_file(
    world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner's device sends again what was killed between the file and its entry, for named people."""
    assert bob.identity.user == "bob"
    posted = alice.post(to=["bob"])
    topic = ImageTopic("alice", "public", posted.header.image_id)
    forget(world, topic)
    read = Verification._read  # noqa: SLF001 - the moment of the race

    def store_meanwhile(self: Verification, image_id: uuid.UUID, trust: Trust) -> Record:
        alice.registrar.store(posted.sealed, topic, name=None, size=posted.header.size)
        return read(self, image_id, trust)

    monkeypatch.setattr(Verification, "_read", store_meanwhile)
    verify(world, repair=True)
    assert world.archive.contains(topic.image_id)
    assert world.catalogue.get(topic.image_id) is not None


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADMSG])
def test_a_bad_sector_is_a_damaged_image_and_no_end(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    topics = [post(alice) for _ in range(3)]
    read = FolderArchive._open  # noqa: SLF001 - below it is the disk

    def fail(self: FolderArchive, image_id: uuid.UUID) -> object:
        if image_id == topics[1].image_id:
            raise OSError(number, os.strerror(number))
        return read(self, image_id)

    monkeypatch.setattr(FolderArchive, "_open", fail)
    assert [(one.kind, one.image_id) for one in verify(world)] == [("damaged", topics[1].image_id)]


def test_an_image_that_is_removed_during_the_pass_is_no_fault(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = [post(alice) for _ in range(2)]
    pages = world.catalogue.pages

    def remove_first(_self: Catalogue) -> Iterator[list[Record]]:
        for page in list(pages()):
            alice.registrar.remove(topics[0].image_id)
            yield page

    monkeypatch.setattr(Catalogue, "pages", remove_first)
    assert verify(world) == []


def forget(world: World, topic: ImageTopic) -> None:
    """Lose the entry, as a database from an older backup would have."""
    from sqlalchemy import text  # noqa: PLC0415 - behind the catalogue's back

    with world._engine.begin() as connection:  # noqa: SLF001 - the same
        connection.execute(text("DELETE FROM recipients"))
        connection.execute(text("DELETE FROM images WHERE image_id = :id"), {"id": topic.image_id.hex})
