from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from authorities import default
from hypothesis import given
from hypothesis import strategies as st
from sealed_images import make_header
from vectors.world import IMAGE_ID

from common.errors import ConfigurationError
from common.files import INBOX_MARK
from common.topics import new_image_id
from subscriber.inbox import Inbox, safe_name

if TYPE_CHECKING:
    from pathlib import Path

    from common.messages import ImageHeader


def header(**changes: object) -> ImageHeader:
    return make_header([default().registrar], **changes)


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.png", "cat.png"),
        ("CAT.PNG", "CAT.PNG"),
        ("cat", "cat.png"),
        ("cat.jpg", "cat.jpg.png"),
        ("cat.png.exe", "cat.png.exe.png"),
        ("Katze auf Sofa.png", "Katze auf Sofa.png"),
        ("猫.png", "猫.png"),
        (".png", "png.png"),
        ("...", "image.png"),
        (" ", "image.png"),
        (".bashrc", "bashrc.png"),
        ("../../etc/passwd", "_.._etc_passwd.png"),
        ("a/b\\c.png", "a_b_c.png"),
        ('con:*?"<>|.png', "con_______.png"),
        ("a\0b\nc\x9b.png", "a_b_c_.png"),
        ("x" * 300 + ".png", "x" * 200 + ".png"),
        ("é" * 150, "é" * 100 + ".png"),
    ],
)
def test_a_name_becomes_safe(name: str, expected: str) -> None:
    assert safe_name(name, "image/png") == expected


@pytest.mark.parametrize(
    ("name", "media_type"), [("a.jpeg", "image/jpeg"), ("a.JPG", "image/jpeg"), ("a.tif", "image/tiff")]
)
def test_other_ways_to_write_a_suffix_stay(name: str, media_type: str) -> None:
    assert safe_name(name, media_type) == name


@given(name=st.text(min_size=1, max_size=300))
def test_no_name_is_a_path_or_hidden_or_too_long(name: str) -> None:
    safe = safe_name(name.encode(errors="replace").decode(), "image/webp")
    assert not set(safe) & set("/\\\0\n")
    assert not safe.startswith(".")
    assert safe.lower().endswith(".webp")
    assert len(safe.encode()) <= 220


def never_known(_owner: str, _image_id: object) -> bool:
    return False


def test_an_image_is_saved_under_its_owner_for_the_reader_alone(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    path = inbox.save(b"image", header(name="cat.png"))
    assert path == tmp_path / "inbox" / "alice" / "cat.png"
    assert path.read_bytes() == b"image"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    inbox.settle("alice", IMAGE_ID)
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_is_taken_gets_a_number_and_nothing_is_replaced(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    moment = header().sent_at
    paths = []
    for content in (b"first", b"second", b"third"):
        image_id = new_image_id(moment)
        paths.append(inbox.save(content, header(name="cat.png", image_id=image_id)))
        inbox.settle("alice", image_id)
    assert [path.name for path in paths] == ["cat.png", "cat-2.png", "cat-3.png"]
    assert [path.read_bytes() for path in paths] == [b"first", b"second", b"third"]


def test_an_inbox_that_is_made_anew_has_its_mark_before_anything_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(tmp_path / "inbox")
    inbox.prepare(never_known)
    shutil.rmtree(inbox.folder)
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.hardlink_to", lambda *_: fail_with(errno.ENOSPC))
        with pytest.raises(ConfigurationError):
            inbox.save(b"image", header())
    assert (inbox.folder / INBOX_MARK).is_file()
    # Without an image nobody posts any of it; with one it goes as before.
    assert inbox.save(b"image", header()).read_bytes() == b"image"


def test_an_image_that_comes_again_before_it_is_settled_is_the_same(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    first = inbox.save(b"image", header())
    assert Inbox(tmp_path).save(b"image", header()) == first
    inbox.settle("alice", IMAGE_ID)
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_what_is_saved_and_not_settled_yet_is_found(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    assert inbox.find_saved("alice", IMAGE_ID) is None
    path = inbox.save(b"image", header())
    assert inbox.find_saved("alice", IMAGE_ID) == (path, b"image")
    assert inbox.find_saved("bob", IMAGE_ID) is None
    path.unlink()
    # It may have been written in part only.
    assert inbox.find_saved("alice", IMAGE_ID) is None


def test_a_saved_image_that_cannot_be_looked_for_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(tmp_path)
    inbox.save(b"image", header())
    monkeypatch.setattr("pathlib.Path.iterdir", lambda _: fail_with(errno.EIO))
    with pytest.raises(ConfigurationError, match=r"cannot read .*: input/output error"):
        inbox.find_saved("alice", IMAGE_ID)


def test_what_a_crash_left_half_written_is_written_again(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice" / f".{IMAGE_ID}.part").write_bytes(b"im")
    path = inbox.save(b"image", header())
    assert path.read_bytes() == b"image"
    inbox.settle("alice", IMAGE_ID)
    assert hidden(path.parent) == []


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    inbox, elsewhere = Inbox(tmp_path / "inbox"), tmp_path / "elsewhere"
    (tmp_path / "inbox" / "alice").mkdir()
    (tmp_path / "inbox" / "alice" / "cat.png").symlink_to(elsewhere)
    assert inbox.save(b"image", header(name="cat.png")).name == "cat-2.png"
    assert not elsewhere.exists()


@pytest.mark.parametrize("place", ["file", "below a file"])
def test_an_inbox_that_cannot_be_is_explained(tmp_path: Path, place: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    folder = file if place == "file" else file / "inbox"
    with pytest.raises(ConfigurationError, match="cannot make the folder") as raised:
        Inbox(folder)
    assert raised.value.hint
    assert file.read_text() == ""


def test_an_inbox_that_cannot_be_written_is_found_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", lambda _: fail_with(errno.EROFS))
        with pytest.raises(ConfigurationError) as raised:
            Inbox(tmp_path).prepare(never_known)
    assert raised.value.message == f"cannot write to the inbox {tmp_path}: read-only file system"
    assert "--inbox" in str(raised.value.hint)
    Inbox(tmp_path).prepare(never_known)
    assert [path.name for path in tmp_path.iterdir()] == [INBOX_MARK]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_is_found_out_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("pathlib.Path.hardlink_to", lambda *_: fail_with(number))
    with pytest.raises(ConfigurationError) as raised:
        Inbox(tmp_path).prepare(never_known)
    assert raised.value.message == f"the inbox {tmp_path} is on a file system without hard links"
    assert "--inbox" in str(raised.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_program_left_is_tidied_up_where_the_ledger_knows_the_image(tmp_path: Path) -> None:
    inbox, other_id = Inbox(tmp_path), new_image_id(header().sent_at)
    for image_id in (IMAGE_ID, other_id):
        inbox.save(b"image", header(name="cat.png", image_id=image_id))
    (tmp_path / ".trial").touch()
    (tmp_path / "alice" / ".hidden.part").touch()
    inbox.prepare(lambda owner, image_id: (owner, image_id) == ("alice", IMAGE_ID))
    left = {path.name for path in (tmp_path / "alice").iterdir()}
    assert left == {"cat.png", "cat-2.png", f".{other_id}.part", ".hidden.part"}
    assert hidden(tmp_path) == [tmp_path / INBOX_MARK]


def fail_with(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.hardlink_to"])
def test_an_image_that_cannot_be_saved_leaves_nothing_and_can_be_saved_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    inbox = Inbox(tmp_path)
    inbox.prepare(never_known)
    with monkeypatch.context() as patched:
        patched.setattr(failing, lambda *_: fail_with(errno.ENOSPC))
        with pytest.raises(ConfigurationError) as raised:
            inbox.save(b"image", header())
    assert raised.value.message == f"cannot save to {tmp_path / 'alice'}: no space left on device"
    # No word of another try, which a fetch for a person does not make.
    assert (raised.value.code, raised.value.hint) == ("inbox", "make room, or mend the folder's permissions")
    assert list((tmp_path / "alice").iterdir()) == []
    assert inbox.save(b"image", header()).read_bytes() == b"image"


def test_a_file_in_place_of_the_owner_s_folder_stays(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    (tmp_path / "alice").write_text("in the way")
    with pytest.raises(ConfigurationError):
        inbox.save(b"image", header())
    assert (tmp_path / "alice").read_text() == "in the way"
    assert inbox.find_saved("alice", IMAGE_ID) is None
