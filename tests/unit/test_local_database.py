"""A small database: kept where there is room, and read where nothing can be written."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from faults.full_disk import small_disk
from system import ROOT

from common.errors import ConfigurationError
from common.local_database import LocalDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from faults.full_disk import SmallDisk

SCHEMA = "CREATE TABLE IF NOT EXISTS words (word TEXT NOT NULL);"
DISK = 400_000  # bytes
NAME = "words ?#%.sqlite3"

# What both do: open the database of a folder, and say what is in it or what is wrong.
PROGRAM = """
import os, sys
from pathlib import Path
from common.errors import ConfigurationError
from common.local_database import LocalDatabase
path, schema = Path(sys.argv[2]), sys.argv[3]
def words(database):
    return [row["word"] for row in database.read("SELECT word FROM words")]
try:
    if sys.argv[1] == "read":
        print(words(LocalDatabase(path, schema, code="words", read_only=True)))
    else:
        database = LocalDatabase(path, schema, code="words")
        database.write("INSERT INTO words VALUES (?)", sys.argv[1])
        print(words(database), flush=True)
        if sys.argv[1] == "killed":
            os._exit(0)
        database.close()
except ConfigurationError as error:
    print(error.code, error.message)
"""


class Disk:
    """A folder on a small disk that can be made read-only."""

    def __init__(self, disk: SmallDisk, folder: Path) -> None:
        self.disk = disk
        self._mounted = folder

    def run(self, word: str) -> str:
        return self._enter(sys.executable, "-c", PROGRAM, word, str(self._mounted / NAME), SCHEMA).strip()

    def make_read_only(self) -> None:
        # The mount, not the file system: an ordinary user may not change the options of that one again.
        self._enter("mount", "-o", "remount,bind,ro", str(self._mounted))

    def files(self) -> set[str]:
        return {path.name for path in self.disk.folder.iterdir()}

    def _enter(self, *command: str) -> str:
        return subprocess.run([*self.disk.enter, *command], capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path, DISK) as one:
        yield Disk(one, tmp_path)


def test_a_read_only_folder_is_read(disk: Disk) -> None:
    assert disk.run("kept") == "['kept']"
    before = disk.files()
    disk.make_read_only()
    assert disk.run("read") == "['kept']"
    assert disk.files() == before == {NAME}
    # Twin: who wants to write is told.
    assert disk.run("more").endswith(f"{NAME}: read-only file system")


def test_what_a_killed_program_has_committed_is_read_in_a_read_only_folder(disk: Disk) -> None:
    assert disk.run("killed") == "['killed']"
    assert f"{NAME}-wal" in disk.files()
    disk.make_read_only()
    assert disk.run("read") == "['killed']"


def test_a_log_that_cannot_be_read_is_told_and_not_passed_over(disk: Disk) -> None:
    disk.run("kept")
    disk.run("killed")
    # As after a copy of the folder without what readers share.
    (disk.disk.folder / f"{NAME}-shm").unlink()
    disk.make_read_only()
    assert disk.run("read").startswith("words cannot use ")


def test_a_full_folder_is_read(disk: Disk) -> None:
    assert disk.run("kept") == "['kept']"
    disk.disk.fill()
    for _ in range(2):
        assert disk.run("read") == "['kept']"
    assert "disk" in disk.run("more")
    disk.disk.make_room()
    assert disk.run("more") == "['kept', 'more']"


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_what_was_never_begun_reads_as_empty_and_is_not_made(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / NAME
    if content is not None:
        path.write_bytes(content)
    before = list(tmp_path.iterdir())
    database = LocalDatabase(path, SCHEMA, code="words", read_only=True)
    assert database.read("SELECT word FROM words") == []
    database.close()
    assert list(tmp_path.iterdir()) == before


def test_who_only_reads_changes_nothing_and_sees_what_is_written_meanwhile(tmp_path: Path) -> None:
    writing = LocalDatabase(tmp_path / NAME, SCHEMA, code="words")
    reading = LocalDatabase(tmp_path / NAME, SCHEMA, code="words", read_only=True)
    writing.write("INSERT INTO words VALUES ('new')")
    assert [row["word"] for row in reading.read("SELECT word FROM words")] == ["new"]
    with pytest.raises(ConfigurationError, match="readonly"):
        reading.write("INSERT INTO words VALUES ('more')")
    reading.close()
    writing.close()


def test_an_error_names_the_file_once_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 300)
    with pytest.raises(ConfigurationError) as caught:
        LocalDatabase(path, SCHEMA, code="words")
    assert caught.value.message == f"cannot use {path}: file name too long"
