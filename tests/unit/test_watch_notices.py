"""The kernel's notices of what changes in folders, from real ones; and what is said where it gives none."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from system import wait_until

from publisher.watching import notices as notices_module
from publisher.watching.folder import Folder
from publisher.watching.notices import Notices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    return Folder(tmp_path / "photos", tmp_path / "home")


@pytest.fixture
def notices(folder: Folder) -> Iterator[Notices]:
    with Notices(folder.folders) as one:
        yield one


def hear(notices: Notices, path: Path) -> None:
    """Wait until there is a notice of this path."""
    heard: set[str] = set()

    def is_heard() -> bool:
        heard.update(notices.wait(0.5) or ())
        return str(path) in heard

    wait_until(is_heard, f"a notice of {path}, but of {heard}")


def hear_of_anything(notices: Notices) -> None:
    wait_until(lambda: notices.wait(0.5) is None, "a notice that anything may have changed")


def test_a_change_in_any_folder_is_heard(folder: Folder, notices: Notices) -> None:
    for path in (folder.root / "photo.jpg", folder.root / "deep" / "photo.jpg"):
        path.write_bytes(b"begun")
        hear(notices, path)
        with path.open("ab") as file:
            file.write(b"more")
        hear(notices, path)


def test_a_folder_that_comes_is_listened_to_as_well(folder: Folder, notices: Notices) -> None:
    (folder.root / "new").mkdir()
    hear_of_anything(notices)
    (folder.root / "new" / "photo.jpg").touch()
    hear(notices, folder.root / "new" / "photo.jpg")
    # Another one of the same name.
    shutil.rmtree(folder.root / "new")
    hear(notices, folder.root / "new")
    (folder.root / "new").mkdir()
    hear_of_anything(notices)
    (folder.root / "new" / "photo.jpg").touch()
    hear(notices, folder.root / "new" / "photo.jpg")


def test_a_name_that_is_not_utf_8_does_not_end_it(folder: Folder, notices: Notices) -> None:
    (folder.root / os.fsdecode(b"\xff.jpg")).touch()
    hear_of_anything(notices)
    (folder.root / os.fsdecode(b"\xff")).mkdir()
    hear_of_anything(notices)
    (folder.root / "photo.jpg").touch()
    hear(notices, folder.root / "photo.jpg")


def test_nothing_is_listened_to_behind_a_link_or_in_what_is_ignored(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder.root / "link").symlink_to(tmp_path / "elsewhere")
    (folder.root / ".hidden").mkdir()
    with Notices(folder.folders) as notices:
        (tmp_path / "elsewhere" / "photo.jpg").touch()
        (folder.root / ".hidden" / "photo.jpg").touch()
        (folder.root / "last.jpg").touch()
        heard: set[str] = set()
        while str(folder.root / "last.jpg") not in heard:
            heard |= notices.wait(0.5) or set()
    assert heard == {str(folder.root / "last.jpg")}


def test_without_notices_it_waits_and_says_why_once(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(notices_module, "RustNotify", refuse)
    with Notices(folder.folders) as notices:
        (folder.root / "photo.jpg").touch()
        assert notices.wait(0.01) == set()
    assert [record.getMessage() for record in caplog.records] == [
        "the system does not tell what changes, so that it is seen at the next rescan: OS file watch limit reached"
    ]
