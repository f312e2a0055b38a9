"""`subscriber list` and `subscriber fetch`, beside a running daemon and without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from refusals import assert_refused
from system import CHELSEA, PATIENCE, lines, run, wait_until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from system import System


def listed(home: Path) -> list[dict[str, Any]]:
    done = run("subscriber", "list", "--home", home, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return lines(done)


def fetch(home: Path, image_id: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return run("subscriber", "fetch", image_id, "--home", home, "--json", *more)


@pytest.fixture(scope="module")
def owner(system: System) -> Path:
    return system.register("reading-1")


@pytest.fixture(scope="module")
def reader(system: System) -> Path:
    return system.register("reading-2")


@pytest.fixture(scope="module")
def saved(system: System, owner: Path, reader: Path) -> dict[str, Any]:
    """An image that the daemon has saved, and one that was not for this reader."""
    with system.subscriber(reader) as receiving:
        (stored,) = system.post(owner, CHELSEA, "--caption", "a cat")
        (other,) = system.post(owner, CHELSEA, "--to", "reading-1")
        event = receiving.wait_for("saved", image_id=stored["image_id"])
        receiving.wait_for("refused", image_id=other["image_id"])
        # While the daemon runs.
        assert stored["image_id"] in {entry["image_id"] for entry in listed(reader)}
    return event


def entry_of(home: Path, image_id: str) -> dict[str, Any]:
    (entry,) = [entry for entry in listed(home) if entry["image_id"] == image_id]
    return entry


def test_what_is_in_the_inbox_is_listed_without_a_broker(reader: Path, saved: dict[str, Any]) -> None:
    entry = entry_of(reader, saved["image_id"])
    at = entry.pop("at")
    assert at.endswith("+00:00")
    expected = {name: saved[name] for name in ("event", "image_id", "owner", "channel", "name", "path", "sha256")}
    assert entry == expected | {"gone": False}


def test_what_was_refused_is_listed_with_its_reason(reader: Path, saved: dict[str, Any]) -> None:
    refused = [entry for entry in listed(reader) if entry["event"] == "refused" and entry["owner"] == saved["owner"]]
    assert [(entry["code"], entry["message"], entry["channel"]) for entry in refused] == [
        ("not_recipient", "the image is for other people", "public")
    ]
    shown = run("subscriber", "list", "--home", reader).stdout
    assert f"saved    {saved['path']}  from reading-1 on public" in shown
    assert f"refused  {refused[0]['image_id']}  from reading-1 on public: the image is for other people" in shown


def test_what_is_here_is_not_fetched_and_what_is_gone_comes_back(reader: Path, saved: dict[str, Any]) -> None:
    from pathlib import Path  # noqa: PLC0415 - at run time here only

    path = Path(saved["path"])
    before = path.read_bytes()
    # Not even a broker is asked.
    done = fetch(reader, saved["image_id"], "--port", "1")
    assert (done.returncode, [line["event"] for line in lines(done)]) == (0, ["already_saved"])
    assert lines(done)[0]["path"] == saved["path"]
    path.unlink()
    assert entry_of(reader, saved["image_id"])["gone"]
    assert "gone from there" in run("subscriber", "list", "--home", reader).stdout
    done = fetch(reader, saved["image_id"])
    assert done.returncode == 0, done.stderr
    assert lines(done) == [saved]
    assert path.read_bytes() == before
    assert not entry_of(reader, saved["image_id"])["gone"]
    assert [file for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_fetching_works_beside_the_daemon(system: System, owner: Path, reader: Path) -> None:
    with system.subscriber(reader, "--channel", "elsewhere") as receiving:
        (stored,) = system.post(owner, CHELSEA)
        done = fetch(reader, stored["image_id"])
        assert done.returncode == 0, done.stderr
        (event,) = lines(done)
        assert (event["event"], event["sha256"]) == ("saved", stored["sha256"])
        (wanted,) = system.post(owner, CHELSEA, "--channel", "elsewhere")
        receiving.wait_for("saved", image_id=wanted["image_id"])
        assert receiving.stop() == 0
    # What was fetched is known: on all channels again, the daemon does not save it once more.
    with system.subscriber(reader) as receiving:
        (more,) = system.post(owner, CHELSEA)
        while receiving.wait_for("saved", owner="reading-1")["image_id"] != more["image_id"]:
            pass
        assert stored["image_id"] not in {event["image_id"] for event in receiving.events if "image_id" in event}


def test_an_image_for_other_people_is_refused_each_time(system: System, owner: Path, reader: Path) -> None:
    (stored,) = system.post(owner, CHELSEA, "--to", "reading-1")
    for _ in range(2):
        done = fetch(reader, stored["image_id"])
        assert (done.returncode, done.stderr) == (1, "error: the image is for other people\n")
        (event,) = lines(done)
        assert (event["event"], event["code"]) == ("refused", "not_recipient")
        assert event["message"] == "the image is for other people"
    assert fetch(owner, stored["image_id"]).returncode == 0


def test_an_image_that_nobody_has_is_refused(reader: Path) -> None:
    unknown = "019ab000-0000-7000-8000-000000000000"
    done = fetch(reader, unknown)
    assert_refused(done, "there is no such image", "check the image id")
    assert [(line["event"], line["code"]) for line in lines(done)] == [("refused", "unknown_image")]
    assert unknown not in {entry["image_id"] for entry in listed(reader)}


def test_what_cannot_be_is_explained(reader: Path, tmp_path: Path, saved: dict[str, Any]) -> None:
    done = run("subscriber", "fetch", "boats.png", "--home", reader)
    assert_refused(done, "cannot be an image id", "see subscriber fetch --help", exit_code=2)
    for command in (["list"], ["fetch", saved["image_id"]]):
        assert_refused(run("subscriber", *command, "--home", tmp_path), "there is no identity", "register first")
    assert list(tmp_path.iterdir()) == []
    unknown = "019ab000-0000-7000-8000-000000000000"
    done = run("subscriber", "fetch", unknown, "--home", reader, "--port", "1")
    assert_refused(done, "no broker answers", "--port")


def test_a_new_inbox_is_empty_and_another_inbox_may_be_named(
    system: System, tmp_path: Path, saved: dict[str, Any]
) -> None:
    third = system.register("reading-3")
    before = sorted(third.rglob("*"))
    assert listed(third) == []
    # To look makes nothing: it works in a folder that is read-only as well.
    assert sorted(third.rglob("*")) == before
    done = fetch(third, saved["image_id"], "--inbox", tmp_path / "pictures")
    assert done.returncode == 0, done.stderr
    assert lines(done)[0]["path"] == str(tmp_path / "pictures" / "reading-1" / "chelsea.jpg")


def test_a_fetch_that_cannot_save_says_so_and_can_be_repeated(
    system: System, tmp_path: Path, saved: dict[str, Any]
) -> None:
    fourth = system.register("reading-4")
    (tmp_path / saved["owner"]).write_text("in the way")
    done = fetch(fourth, saved["image_id"], "--inbox", tmp_path)
    assert_refused(done, f"cannot make the folder {tmp_path / saved['owner']}", "choose another folder")
    assert (done.stdout, listed(fourth)) == ("", [])
    assert fetch(fourth, saved["image_id"]).returncode == 0


def test_a_command_is_run_for_each_image_and_prints_nothing_between_the_json_lines(
    system: System, owner: Path, tmp_path: Path
) -> None:
    reader = system.register("reading-3")
    script = tmp_path / "show it"
    script.write_text('#!/bin/sh\necho "$1: $SEALCAST_IMAGE_CAPTION"\n')
    script.chmod(0o755)
    channel = ("--channel", "reading/commands")  # nobody else's images
    with system.subscriber(reader, "--exec", f"'{script}'", "--count", "1", *channel) as receiving:
        system.post(owner, CHELSEA, "--caption", "$(a cat)", *channel)
        saved = receiving.wait_for("saved")
        assert receiving.process.wait(PATIENCE) == 0
        wait_until(lambda: receiving.errors, "the command's output")
        assert receiving.errors == [f"{saved['path']}: $(a cat)\n"]


def test_a_command_that_is_not_there_is_refused_before_anything_is_received(reader: Path) -> None:
    done = run("subscriber", "run", "--home", reader, "--exec", "no-such-program-anywhere")
    assert_refused(done, "no program 'no-such-program-anywhere'", "script")
