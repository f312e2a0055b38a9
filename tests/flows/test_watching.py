"""A watched folder: each new image is posted once, when it is complete, and nothing else is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import typer
from flows.watching import LONG_AGO, Watched, image

from common.console import Printer

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_new_is_posted_once_also_after_a_restart(watched: Watched) -> None:
    with watched.life() as live:
        watched.write("one.png", image(1))
        live()
        assert watched.stored == [("public", "one.png")]
        live(LONG_AGO)
    watched.write("two.png", image(2))
    watched.live(LONG_AGO)
    assert watched.stored == [("public", "one.png"), ("public", "two.png")]
    assert watched.said("stored") == ["one.png", "two.png"]


def test_the_folder_stays_as_it_is(watched: Watched) -> None:
    path = watched.write("one.png", image(1))
    before = path.stat()
    watched.live()
    assert watched.said("stored") == ["one.png"]
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_ino) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_ino,
    )
    assert list(watched.root.iterdir()) == [path]


def test_what_was_there_before_is_left_alone_unless_it_is_asked_for(watched: Watched) -> None:
    watched.write("old.png", image(1))
    watched.live(include_existing=None)
    assert watched.stored == []
    # Under another name it is no new image either, nor after a restart.
    (watched.root / "old.png").rename(watched.root / "renamed.png")
    watched.live(include_existing=False)
    watched.write("new.png", image(2))
    watched.live(include_existing=None)
    assert watched.stored == [("public", "new.png")]
    watched.live(include_existing=True)
    assert watched.stored == [("public", "new.png"), ("public", "renamed.png")]


@pytest.mark.parametrize(("answer", "posted"), [("y", ["old.png", "older.png"]), ("n", [])])
def test_a_person_is_asked_about_what_is_there_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, answer: str, posted: list[str]
) -> None:
    asked: list[str] = []

    def ask(question: str, *, err: bool) -> bool:
        assert err
        asked.append(question)
        return answer == "y"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", ask)
    watched.write("old.png", image(1))
    watched.write("older.png", image(2), age=2 * LONG_AGO)
    for _ in range(2):
        watched.live(include_existing=None)
    assert asked == [f"{watched.root} has 2 files already. Post what is there, too, for every member?"]
    assert sorted(watched.said("stored")) == posted


def test_the_same_bytes_are_posted_once_whatever_they_are_called(watched: Watched) -> None:
    watched.write("one.png", image(1))
    watched.write("copy.png", image(1))
    watched.live(LONG_AGO)
    (watched.root / "one.png").rename(watched.root / "renamed.png")
    watched.live(LONG_AGO)
    assert len(watched.stored) == 1


def test_an_edited_image_is_a_new_one(watched: Watched) -> None:
    watched.write("one.png", image(1), age=2 * LONG_AGO)
    watched.live()
    watched.write("one.png", image(2))
    watched.live()
    assert watched.stored == [("public", "one.png")] * 2


def test_the_oldest_is_posted_first(watched: Watched) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        watched.write(f"{name}.png", image(number), age=LONG_AGO - number)
    watched.live()
    assert [name for _, name in watched.stored] == ["c.png", "a.png", "b.png"]


def test_a_file_that_changes_is_waited_for(watched: Watched) -> None:
    with watched.life() as live:
        for size in (10, 30, 60):
            watched.write("slow.png", image(1)[:size], age=0)
            live(1.0)
        watched.write("slow.png", image(1), age=0)
        live(1.0)
        assert watched.printer.events == []
        live(1.5)
        assert watched.said("stored") == ["slow.png"]


def test_what_somebody_has_open_to_write_is_waited_for(watched: Watched) -> None:
    watched.written["slow.png"] = True
    with watched.life() as live:
        watched.write("slow.png", image(1))
        live(LONG_AGO)
        assert watched.printer.events == []
        watched.written["slow.png"] = False
        live(2.5)
        assert watched.said("stored") == ["slow.png"]


def test_where_nobody_can_tell_who_writes_it_has_to_be_seen_unchanged(watched: Watched) -> None:
    watched.written["far.png"] = None
    with watched.life() as live:
        # Its own time is of another clock, and may be set before it is complete.
        watched.write("far.png", image(1))
        live(1.5)
        assert watched.printer.events == []
        live(1.0)
        assert watched.said("stored") == ["far.png"]


def test_an_image_that_breaks_off_is_waited_for_longer_and_said_once(watched: Watched) -> None:
    with watched.life() as live:
        watched.write("slow.png", image(1)[:60], age=0)
        live(59)
        assert watched.printer.events == []
        live(2)
        assert watched.said("skipped") == ["slow.png"]
        live(LONG_AGO)
    watched.live(LONG_AGO)
    assert watched.said("skipped") == ["slow.png"]
    watched.write("slow.png", image(1), age=0)
    watched.live(3)
    assert watched.said("stored") == ["slow.png"]


def test_what_is_no_image_is_said_once_and_tried_again_when_it_changes(watched: Watched) -> None:
    watched.write("notes.txt", b"no image", age=2 * LONG_AGO)
    for _ in range(2):
        watched.live(LONG_AGO)
    (skipped,) = watched.printer.events
    assert (skipped["event"], skipped["code"]) == ("skipped", "not_an_image")
    watched.write("notes.txt", image(1))
    watched.live()
    assert watched.said("stored") == ["notes.txt"]


def test_a_sub_folder_is_a_channel_where_that_is_wanted(watched: Watched) -> None:
    watched.write("Site 7/Gate/one.png", image(1), age=LONG_AGO + 2)
    watched.write("two.png", image(2))
    watched.write("日本/three.png", image(3))
    watched.channels_by_folder = True
    watched.live()
    assert watched.stored == [("site-7/gate", "one.png"), ("public", "two.png")]
    assert [(one["code"], one["file"].name) for one in watched.printer.named("skipped")] == [
        ("no_channel", "three.png")
    ]
    # Without the wish there is nothing in its way.
    watched.channels_by_folder = False
    watched.live()
    assert watched.stored[2:] == [("public", "three.png")]


def test_a_name_that_others_have_chosen_fools_no_terminal(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    watched.printer = Printer(as_json=False)
    watched.write("\x1b[2Jone\u202e.png", image(1), age=LONG_AGO + 1)
    watched.write("\x1b[2Jnotes.txt", b"no image")
    watched.live()
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()] == [
        ["stored", f"{watched.root}/_[2Jone_.png"],
        ["skipped", f"{watched.root}/_[2Jnotes.txt"],
    ]
    assert said.err == ""


def test_two_folders_are_remembered_apart(watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.write("one.png", image(1))
    watched.live()
    other = Watched(watched.owner, tmp_path / "others", monkeypatch)
    other.write("one.png", image(1))
    other.live()
    watched.live()
    assert len(watched.stored) == 2
