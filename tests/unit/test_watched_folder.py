"""Which files in a watched folder count, and that no symbolic link leads out of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from common.errors import ConfigurationError, ImageError
from publisher.watching.channels import channel_of
from publisher.watching.folder import Folder, is_ignored
from publisher.watching.memory import Memory
from subscriber.inbox import Inbox

DEPTH = sys.getrecursionlimit() + 10


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "photos").mkdir()
    return Folder(tmp_path / "photos", tmp_path / "home")


def write(folder: Folder, *names: str) -> None:
    for name in names:
        path = folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def found(folder: Folder) -> list[str]:
    return sorted(str(file.path) for file in folder.files())


def looked_at(folder: Folder, name: str) -> list[str]:
    return [str(file.path) for file in folder.look(str(folder.root / name))]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.jpg", ".photo.jpg.Xy12Ab", ".syncthing.photo.jpg.tmp", "photo.jpg.part", "photo.jpg.filepart",
        "photo.tmp", "photo.JPG.TMP", "photo.jpg.crdownload", "photo.jpg.download", "photo.jpg~", "~$photo.jpg",
        "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information",
    ],
)  # fmt: skip
def test_what_is_hidden_unfinished_or_thrown_away_is_ignored(folder: Folder, name: str) -> None:
    write(folder, name, f"deep/{name}/photo.jpg", "photo.jpg")
    assert is_ignored(name)
    assert found(folder) == ["photo.jpg"]
    assert looked_at(folder, name) == looked_at(folder, f"deep/{name}/photo.jpg") == []


def test_everything_else_counts_in_every_sub_folder(folder: Folder) -> None:
    names = ["a.jpg", "deep/er/b.png", "partial", "tmp/c.jpg", "two words.jpg", os.fsdecode(b"\xff.jpg")]
    for name in names:
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).touch()
    assert found(folder) == sorted(names)
    assert looked_at(folder, "deep") == looked_at(folder, "deep/er/b.png") == ["deep/er/b.png"]
    assert looked_at(folder, "gone.jpg") == looked_at(folder, "../elsewhere.jpg") == []


def test_symbolic_links_are_not_followed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.jpg").write_bytes(b"secret")
    (folder.root / "file.jpg").symlink_to(tmp_path / "private" / "secret.jpg")
    (folder.root / "folder").symlink_to(tmp_path / "private")
    (folder.root / "round").symlink_to(folder.root)
    write(folder, "photo.jpg")
    assert found(folder) == ["photo.jpg"]
    for name in ("file.jpg", "folder", "folder/secret.jpg", "round/photo.jpg"):
        assert looked_at(folder, name) == []
        assert folder.stamp(PurePosixPath(name)) is None


def test_a_link_that_takes_the_place_of_what_was_seen_is_not_opened(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "photo.jpg").write_bytes(b"secret")
    write(folder, "deep/photo.jpg")
    path = PurePosixPath("deep/photo.jpg")
    descriptor = folder.open(path)
    assert os.read(descriptor, 100) == b"deep/photo.jpg"
    os.close(descriptor)
    (folder.root / "deep").rename(folder.root / "aside")
    (folder.root / "deep").symlink_to(tmp_path / "private")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        folder.open(path)
    (folder.root / "deep").unlink()
    (folder.root / "deep").mkdir()
    (folder.root / "deep" / "photo.jpg").symlink_to(tmp_path / "private" / "photo.jpg")
    with pytest.raises(OSError, match="symbolic links"):
        folder.open(path)


def test_folders_may_be_nested_deeply(folder: Folder) -> None:
    at = os.open(folder.root, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=at)
        deeper = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = deeper
    os.close(os.open("photo.jpg", os.O_CREAT, dir_fd=at))
    os.close(at)
    assert found(folder) == ["d/" * DEPTH + "photo.jpg"]
    assert len(list(folder.folders())) == DEPTH + 1
    # Python's own way to remove it goes by recursion.
    subprocess.run(["/bin/rm", "-r", folder.root / "d"], check=True)


def test_the_folder_itself_may_be_a_link(folder: Folder, tmp_path: Path) -> None:
    write(folder, "photo.jpg")
    (tmp_path / "link").symlink_to(folder.root)
    linked = Folder(tmp_path / "link", tmp_path / "home")
    assert found(linked) == ["photo.jpg"]
    assert linked.show(PurePosixPath("photo.jpg")) == tmp_path / "link" / "photo.jpg"


def test_the_folder_of_the_identity_is_passed_over(tmp_path: Path) -> None:
    write(
        folder := Folder(tmp_path, tmp_path / "alice"), "photo.jpg", "alice/inbox/bob/boats.jpg", "deep/alice/photo.jpg"
    )
    assert found(folder) == ["deep/alice/photo.jpg", "photo.jpg"]
    assert looked_at(folder, "alice") == looked_at(folder, "alice/inbox/bob/boats.jpg") == []
    # Who names what is in it means it.
    assert found(Folder(tmp_path / "alice" / "inbox", tmp_path / "alice")) == ["bob/boats.jpg"]
    assert found(Folder(tmp_path / "alice", tmp_path / "alice")) == ["inbox/bob/boats.jpg"]


def test_an_inbox_inside_is_passed_over_whoever_it_is_of(folder: Folder) -> None:
    Inbox(folder.root / "deep" / "family").prepare(lambda *_: False)
    write(folder, "photo.jpg", "deep/family/bob/only-for-you.jpg")
    assert found(folder) == ["photo.jpg"]
    assert looked_at(folder, "deep") == looked_at(folder, "deep/family/bob/only-for-you.jpg") == []
    assert [path.name for path in folder.folders()] == [folder.root.name, "deep"]
    assert found(Folder(folder.root / "deep" / "family", folder.root / "home")) == ["bob/only-for-you.jpg"]


def test_a_sub_folder_that_is_closed_is_said_once(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder, "photo.jpg", "closed\x1b[31m/secret.jpg")
    original = os.scandir

    def refuse(path: Path) -> object:
        if "closed" in path.name:
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for _ in range(2):
        assert found(folder) == ["photo.jpg"]
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot look into {folder.shown}/closed_[31m: permission denied"
    ]


@pytest.mark.parametrize("year", [1902, 2400])
def test_a_file_of_any_date_can_be_remembered(folder: Folder, tmp_path: Path, year: int) -> None:
    write(folder, "photo.jpg")
    seconds = (year - 1970) * 365 * 24 * 3600
    os.utime(folder.root / "photo.jpg", (seconds, seconds))
    (file,) = folder.files()
    with Memory(tmp_path, folder.root) as memory:
        memory.begin([file])
    with Memory(tmp_path, folder.root) as memory:
        assert memory.knows(file)
        write(folder, "photo.jpg")
        (now,) = folder.files()
        assert not memory.knows(now)


def test_a_fifo_is_no_file(folder: Folder) -> None:
    os.mkfifo(folder.root / "pipe.jpg")
    assert found(folder) == looked_at(folder, "pipe.jpg") == []


def test_a_folder_that_is_gone_is_no_folder(folder: Folder) -> None:
    place = folder.demand()
    assert folder.demand() == place
    folder.root.rmdir()
    with pytest.raises(ConfigurationError, match="no such file") as caught:
        folder.demand()
    assert caught.value.code == "no_folder"
    assert found(folder) == []


@pytest.mark.parametrize("said", ["its disk is not there", "it is a disk now"])
def test_a_disk_and_the_folder_that_is_there_without_it_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    was = "not there" in said
    monkeypatch.setattr(Path, "is_mount", lambda _: was)
    folder = Folder(tmp_path, tmp_path / "home")
    folder.demand()
    monkeypatch.setattr(Path, "is_mount", lambda _: not was)
    with pytest.raises(ConfigurationError, match=said):
        folder.demand()
    monkeypatch.setattr(Path, "is_mount", lambda _: was)
    folder.demand()


@pytest.mark.parametrize(
    ("path", "channel"),
    [
        ("photo.jpg", "otherwise"),
        ("family/photo.jpg", "family"),
        ("Site 7/Gate_B/photo.jpg", "site-7/gate-b"),
        ("100CANON/photo.jpg", "100canon"),
        ("Été à Orléans/photo.jpg", "ete-a-orleans"),
        ("Straße/photo.jpg", "strasse"),
        ("(old) -- x/photo.jpg", "old-x"),
        ("a/b/c/d/photo.jpg", "a/b/c/d"),
    ],
)
def test_a_sub_folder_makes_a_channel(path: str, channel: str) -> None:
    assert channel_of(PurePosixPath(path), "otherwise") == channel


@pytest.mark.parametrize("folder", ["日本", "東京 2024", "---", "a/b/c/d/e", "x" * 33, "+", "#", "a/#", "smörgås\x00ł"])
def test_what_makes_no_channel_is_said(folder: str) -> None:
    with pytest.raises(ImageError, match="makes no channel") as caught:
        channel_of(PurePosixPath(folder, "photo.jpg"), "otherwise")
    assert caught.value.code == "no_channel"
    assert caught.value.hint
