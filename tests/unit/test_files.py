from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from common import files
from common.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_made_with_its_parents_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert files.make_private_folder(folder) == folder
    assert mode_of(folder) == 0o700
    assert files.make_private_folder(folder) == folder


def test_a_file_is_written_as_a_whole_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"first", b"", b"second"):
        files.write_private(path, content)
        assert path.read_bytes() == content
        assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_others_can_read_is_replaced_by_one_that_they_cannot(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    files.write_private(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o600)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_the_old_file_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "file"
    files.write_private(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*(("os.fsync", fail) if failing == "fsync" else ("pathlib.Path.replace", fail)))
    with pytest.raises(ConfigurationError) as raised:
        files.write_private(path, b"new")
    monkeypatch.undo()
    assert raised.value.message == f"cannot write {path}: no space left on device"
    assert (raised.value.code, raised.value.hint) == ("unwritable", "make room, or mend the folder's permissions")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_where_no_file_can_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "missing" / "file", tmp_path / "folder"):
        with pytest.raises(ConfigurationError, match="cannot write"):
            files.write_private(path, b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigurationError, match="cannot make the folder"):
            files.make_private_folder(folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_new_file_replaces_nothing_and_follows_no_link(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    files.write_new(path, b"first")
    for taken in (path, link):
        with pytest.raises(FileExistsError):
            files.write_new(taken, b"second")
    assert path.read_bytes() == b"first"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_what_only_the_owner_can_read_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(mode)
    assert files.read_private(path) == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_what_others_can_use_is_not(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as raised:
        files.read_private(path)
    assert (raised.value.code, raised.value.hint) == ("exposed_key", f"run: chmod 600 {path}")


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        files.read_private(tmp_path / "key")
    assert raised.value.message == f"cannot read {tmp_path / 'key'}: no such file or directory"
    assert raised.value.code == "unreadable"
