"""What is remembered of watched folders."""

from __future__ import annotations

import uuid
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from common.errors import ConfigurationError
from common.local_database import LocalDatabase
from publisher.watching.folder import File, Stamp
from publisher.watching.memory import DATABASE, LEFT_ALONE, Memory

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PHOTO = File(PurePosixPath("deep/photo\udcff.jpg"), Stamp(10, 1_000_000_007, 3))
OTHER = File(PurePosixPath("other.jpg"), Stamp(11, 2_000_000_000, 4))
ROOT, IMAGE_ID = Path("/photos"), uuid.UUID(int=7)


def begin(home: Path, *left_alone: File, root: Path = ROOT) -> None:
    with Memory(home, root) as memory:
        assert memory.is_new
        memory.begin(left_alone)


def renamed(file: File) -> File:
    return File(PurePosixPath("renamed.jpg"), file.stamp)


def moved(file: File) -> File:
    return File("elsewhere" / file.path, file.stamp)


def test_a_folder_is_new_once(tmp_path: Path) -> None:
    begin(tmp_path)
    with Memory(tmp_path, ROOT) as memory:
        assert not memory.is_new
    begin(tmp_path, root=Path("/others"))
    assert (tmp_path / DATABASE).stat().st_mode & 0o077 == 0


def test_what_is_finished_is_known_until_it_changes(tmp_path: Path) -> None:
    begin(tmp_path)
    with Memory(tmp_path, ROOT) as memory:
        assert not memory.knows(PHOTO)
        memory.intend("ab", IMAGE_ID)
        assert memory.find("ab") == (IMAGE_ID, False)
        memory.finish(PHOTO, "ab", IMAGE_ID)
    with Memory(tmp_path, ROOT) as memory:
        assert memory.knows(PHOTO)
        assert memory.find("ab") == (IMAGE_ID, True)
        assert memory.find("cd") is None
        # Some network file systems number their files anew.
        assert memory.knows(PHOTO._replace(stamp=PHOTO.stamp._replace(inode=9)))
        for changes in ({"size": 9}, {"mtime_ns": 9}):
            assert not memory.knows(PHOTO._replace(stamp=PHOTO.stamp._replace(**changes)))
        # Its bytes say whether it is another one.
        assert not memory.knows(renamed(PHOTO))


def test_what_was_left_alone_is_known_under_every_name_until_it_is_forgotten(tmp_path: Path) -> None:
    begin(tmp_path, PHOTO)
    with Memory(tmp_path, ROOT) as memory:
        memory.leave(OTHER, "not_an_image")
        assert memory.count(LEFT_ALONE) == 1
    with Memory(tmp_path, ROOT) as memory:
        assert memory.knows(PHOTO)
        assert memory.knows(renamed(PHOTO))
        assert not memory.knows(renamed(OTHER))
        memory.keep_names()
        assert memory.count(LEFT_ALONE) == 1
    with Memory(tmp_path, ROOT) as memory:
        memory.forget(LEFT_ALONE)
        assert not memory.knows(PHOTO)
        assert memory.knows(OTHER)
    with Memory(tmp_path, ROOT) as memory:
        assert not memory.knows(renamed(PHOTO))
        assert memory.count(LEFT_ALONE) == 0


def test_a_new_name_stays_known_when_another_file_gets_the_earlier_one(tmp_path: Path) -> None:
    begin(tmp_path, PHOTO)
    with Memory(tmp_path, ROOT) as memory:
        assert memory.knows(renamed(PHOTO))
        memory.keep_names()
        memory.finish(PHOTO._replace(stamp=OTHER.stamp), "ab", IMAGE_ID)
    with Memory(tmp_path, ROOT) as memory:
        assert memory.knows(renamed(PHOTO))


def test_all_files_of_a_folder_that_is_renamed_are_remembered_at_once_or_when_that_goes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [PHOTO, OTHER]
    begin(tmp_path, *files)
    begun: list[bool] = []
    transaction = LocalDatabase.transaction

    def fail_at_first(database: LocalDatabase) -> AbstractContextManager[None]:
        begun.append(True)
        if len(begun) == 1:
            raise ConfigurationError("the disk is full", code="watch_memory")
        return transaction(database)

    monkeypatch.setattr(LocalDatabase, "transaction", fail_at_first)
    with Memory(tmp_path, ROOT) as memory:
        assert all(memory.knows(moved(file)) for file in files)
        with pytest.raises(ConfigurationError):
            memory.keep_names()
        for _ in range(2):
            memory.keep_names()
        assert len(begun) == 2
        for file in files:
            memory.leave(file._replace(stamp=file.stamp._replace(mtime_ns=9)), "not_an_image")
    with Memory(tmp_path, ROOT) as memory:
        assert all(memory.knows(moved(file)) for file in files)


def test_folders_are_remembered_apart(tmp_path: Path) -> None:
    begin(tmp_path, PHOTO)
    begin(tmp_path, root=Path("/others"))
    with Memory(tmp_path, ROOT) as one, Memory(tmp_path, Path("/others")) as other:
        one.intend("ab", IMAGE_ID)
        assert other.find("ab") is None
        assert not other.knows(PHOTO)


def test_a_disk_that_is_mounted_later_is_a_new_folder(tmp_path: Path) -> None:
    # Else all that is on it would be new, and be posted.
    begin(tmp_path)
    with Memory(tmp_path, ROOT, is_mount=True) as memory:
        assert memory.is_new
        memory.begin([PHOTO])
    with Memory(tmp_path, ROOT) as without, Memory(tmp_path, ROOT, is_mount=True) as mounted:
        assert (without.knows(PHOTO), mounted.knows(PHOTO)) == (False, True)


def test_a_beginning_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with Memory(tmp_path, ROOT) as memory:
        monkeypatch.setattr(memory, "_keep", fail)
        with pytest.raises(KeyboardInterrupt):
            memory.begin([PHOTO])
    begin(tmp_path, PHOTO)
