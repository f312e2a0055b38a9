"""An owner removes images, and lets them expire, with the commands that people type."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from refusals import assert_refused
from system import CHELSEA, lines, run, wait_until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from system import System

SECOND = dt.timedelta(seconds=1)


@pytest.fixture(scope="module")
def registered(system: System) -> Path:
    return system.register("owner-who-removes")


@pytest.fixture
def owner(registered: Path, tmp_path: Path) -> Path:
    """A folder of the owner's with nothing in its outbox."""
    return shutil.copytree(registered, tmp_path / "owner")


def remove(home: Path, image_id: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("publisher", "remove", image_id, "--home", home, "--json", *arguments)


def is_stored(system: System, image_id: str) -> bool:
    with sqlite3.connect(system.home / "registrar.sqlite3") as database:
        rows = database.execute("SELECT image_id FROM images").fetchall()
    database.close()
    return image_id.replace("-", "") in {str(one).replace("-", "") for (one,) in rows}


def test_a_removed_image_is_gone_for_who_comes_later(system: System, owner: Path, tmp_path: Path) -> None:
    reader = system.register("reader-of-what-is-left")
    removed, kept = (system.post(owner, CHELSEA, "--channel", "removing")[0] for _ in range(2))
    assert is_stored(system, removed["image_id"])
    done = remove(owner, removed["image_id"])
    assert done.returncode == 0, done.stderr
    assert lines(done) == [{"event": "removed", "image_id": removed["image_id"], "was_stored": True}]
    assert not is_stored(system, removed["image_id"])
    with system.subscriber(reader, "--inbox", tmp_path / "inbox", "--channel", "removing") as receiving:
        assert receiving.wait_for("NEW_IMAGE")["image_id"] == kept["image_id"]
        assert receiving.wait_for("saved")["image_id"] == kept["image_id"]
    listed = lines(run("publisher", "outbox", "--all", "--home", owner, "--json"))
    assert [(one["event"], one["image_id"]) for one in listed] == [
        ("removed", removed["image_id"]),
        ("stored", kept["image_id"]),
    ]


def test_another_member_removes_nothing(system: System, owner: Path) -> None:
    (stored,) = system.post(owner, CHELSEA)
    other = system.register("other-who-removes")
    done = remove(other, stored["image_id"])
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert is_stored(system, stored["image_id"])


def test_who_mistypes_an_id_is_told(system: System, owner: Path) -> None:
    (stored,) = system.post(owner, CHELSEA)
    mistyped = "0192f3a0-0000-7000-8000-000000000000"
    assert lines(remove(owner, mistyped)) == [{"event": "removed", "image_id": mistyped, "was_stored": False}]
    told = [run("publisher", "remove", image_id, "--home", owner) for image_id in (mistyped, stored["image_id"])]
    assert [done.returncode for done in told] == [0, 0]
    assert [done.stdout for done in told] == [
        f"removed    {mistyped}  (unknown to the registrar; it will be refused if it comes)\n",
        f"removed    {stored['image_id']}\n",
    ]


def test_what_never_left_is_removed_without_a_broker(owner: Path, nowhere: tuple[str, ...]) -> None:
    (waiting,) = lines(run("publisher", "post", CHELSEA, "--home", owner, "--json", *nowhere))
    done = remove(owner, waiting["image_id"], *nowhere)
    assert lines(done) == [{"event": "removed", "image_id": waiting["image_id"], "was_stored": False}]
    assert lines(run("publisher", "flush", "--home", owner, "--json")) == []
    assert_refused(remove(owner, waiting["image_id"], *nowhere), "no broker answers", "start it")


@pytest.mark.parametrize("image_id", ["", "kyle.jpg", "0192F3A0-0000-7000-8000-000000000000", "#"])
def test_what_cannot_be_an_image_id_is_wrong_usage(owner: Path, image_id: str) -> None:
    assert_refused(remove(owner, image_id), "cannot be an image id", "see publisher remove --help", exit_code=2)


def post_for_moments(owner: Path) -> dict[str, Any]:
    """Post an image that lives for as few seconds as the way to the registrar takes, on a machine that may be busy."""
    for exponent in range(1, 7):
        done = run("publisher", "post", CHELSEA, "--expires", f"{2**exponent}s", "--home", owner, "--json")
        if done.returncode == 0:
            return lines(done)[0]
    raise AssertionError(done.stderr)


def test_an_image_that_expires_goes_by_itself(system: System, owner: Path) -> None:
    (long,) = system.post(owner, CHELSEA, "--expires", "1w")
    short = post_for_moments(owner)
    wait_until(lambda: not is_stored(system, short["image_id"]), "gone")
    assert is_stored(system, long["image_id"])


def test_what_expires_in_the_outbox_is_not_sent(system: System, owner: Path, nowhere: tuple[str, ...]) -> None:
    (short,) = lines(run("publisher", "post", CHELSEA, "--expires", "1s", "--home", owner, "--json", *nowhere))
    wait_until(lambda: dt.datetime.now(dt.UTC) > dt.datetime.fromisoformat(short["since"]) + SECOND, "over")
    done = run("publisher", "post", CHELSEA, "--expires", "1d", "--home", owner, "--json")
    # What waited from earlier fails, and keeps nobody back.
    assert done.returncode == 0
    failed, stored = lines(done)
    assert (failed["event"], failed["code"], failed["image_id"]) == ("failed", "expired", short["image_id"])
    assert stored["event"] == "stored"
    assert is_stored(system, stored["image_id"])
    assert not is_stored(system, short["image_id"])
    assert lines(run("publisher", "flush", "--home", owner, "--json")) == []


@pytest.mark.parametrize("lifetime", ["", "7", "7y", "-1d", "0s", "forever"])
def test_what_cannot_be_a_lifetime_is_wrong_usage(owner: Path, lifetime: str) -> None:
    done = run("publisher", "post", CHELSEA, "--home", owner, "--expires", lifetime)
    assert_refused(done, "cannot be a lifetime", "see publisher post --help", exit_code=2)
    assert not (owner / "outbox").exists()
