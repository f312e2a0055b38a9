"""What is posted without a broker, or by a command that is killed, is stored once in the end."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from refusals import SHORT, assert_refused
from system import CHELSEA, PATIENCE, ROOT, clean_environment, lines, run, wait_until

from registrar.broker import Doors, run_broker

if TYPE_CHECKING:
    from pathlib import Path

    from system import System

CAPTION = "a caption that nobody else may read"


@pytest.fixture(scope="module")
def registered(system: System) -> Path:
    return system.register("owner-with-an-outbox")


@pytest.fixture
def owner(registered: Path, tmp_path: Path) -> Path:
    """A folder of the owner's with nothing in its outbox."""
    return shutil.copytree(registered, tmp_path / "owner")


def post(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("publisher", "post", *arguments, "--home", home, "--json")


def flush(home: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run("publisher", "flush", "--home", home, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return lines(done)


def outbox(home: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run("publisher", "outbox", "--home", home, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return lines(done)


def stored_ids(system: System) -> list[str]:
    with sqlite3.connect(system.home / "registrar.sqlite3") as database:
        rows = database.execute("SELECT image_id FROM images").fetchall()
    database.close()
    return [str(image_id).replace("-", "") for (image_id,) in rows]


def assert_stored_once(system: System, image_id: str) -> None:
    assert stored_ids(system).count(image_id.replace("-", "")) == 1


def test_without_a_broker_an_image_waits_and_flush_sends_it(
    system: System, owner: Path, nowhere: tuple[str, ...]
) -> None:
    done = post(owner, CHELSEA, "--caption", CAPTION, *nowhere)
    assert_refused(done, "no broker answers at localhost:", "publisher flush sends what waits, and so does every later")
    (waiting,) = lines(done)
    assert waiting == {
        "event": "waiting",
        "image_id": waiting["image_id"],
        "owner": "owner-with-an-outbox",
        "channel": "public",
        "name": "chelsea.jpg",
        "file": str(CHELSEA),
        "since": waiting["since"],
        "code": "no_broker",
        "message": waiting["message"],
    }
    (listed,) = outbox(owner)
    assert {name: listed[name] for name in ("event", "image_id", "channel", "name", "since", "code")} == {
        name: waiting[name] for name in ("event", "image_id", "channel", "name", "since", "code")
    }
    still = run("publisher", "flush", "--home", owner, "--json", *nowhere)
    assert still.returncode == 1
    assert [(one["event"], one["image_id"]) for one in lines(still)] == [("waiting", waiting["image_id"])]
    (stored,) = flush(owner)
    assert (stored["event"], stored["image_id"], stored["name"]) == ("stored", waiting["image_id"], "chelsea.jpg")
    assert_stored_once(system, waiting["image_id"])
    assert (flush(owner), outbox(owner)) == ([], [])
    assert [(one["event"], one["image_id"]) for one in outbox(owner, "--all")] == [("stored", waiting["image_id"])]


def test_people_are_told_what_waits(owner: Path, nowhere: tuple[str, ...]) -> None:
    nothing = run("publisher", "outbox", "--home", owner)
    assert (nothing.returncode, nothing.stdout) == (0, "nothing waits to be sent\n")
    done = run("publisher", "post", CHELSEA, CHELSEA, "--home", owner, *nowhere)
    assert_refused(done, "no broker answers", "publisher flush")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["waiting", str(CHELSEA)]] * 2
    listed = run("publisher", "outbox", "--home", owner)
    assert listed.stdout.count("waiting    chelsea.jpg  on public since 20") == 2
    assert "no broker answers" in listed.stdout


def test_a_queue_is_no_failure(system: System, owner: Path, nowhere: tuple[str, ...]) -> None:
    done = post(owner, CHELSEA, "--queue", *nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    (waiting,) = lines(done)
    # Who posts once more without a broker hears of the new image alone.
    assert [one["event"] for one in lines(post(owner, CHELSEA, "--queue", *nowhere))] == ["waiting"]
    # The later post sends them first.
    earlier, second, stored = lines(post(owner, CHELSEA))
    assert (earlier["event"], earlier["image_id"]) == ("stored", waiting["image_id"])
    assert len({one["image_id"] for one in (earlier, second, stored)}) == 3
    for one in (earlier, second, stored):
        assert_stored_once(system, one["image_id"])


def test_what_is_no_image_is_a_failure_even_in_a_queue(owner: Path, nowhere: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no image")
    done = post(owner, tmp_path / "notes.png", CHELSEA, "--queue", *nowhere)
    assert done.returncode == 1
    assert [one["event"] for one in lines(done)] == ["failed", "waiting"]


def test_named_people_are_those_who_were_known_before(
    system: System, owner: Path, nowhere: tuple[str, ...], tmp_path: Path
) -> None:
    reader = system.register("reader-who-was-known")
    unknown = post(owner, CHELSEA, "--to", "reader-who-was-known", "--queue", *nowhere)
    assert unknown.returncode == 1
    assert [(one["event"], one["code"]) for one in lines(unknown)] == [("failed", "unknown_contact")]
    assert outbox(owner) == []
    (first,) = system.post(owner, CHELSEA, "--to", "reader-who-was-known")
    (waiting,) = lines(post(owner, CHELSEA, "--to", "reader-who-was-known", *nowhere))
    assert waiting["event"] == "waiting"
    with system.subscriber(reader, "--inbox", tmp_path / "inbox") as receiving:
        (second,) = flush(owner)
        awaited = {one["image_id"]: one["sha256"] for one in (first, second)}
        while awaited:
            saved = receiving.wait_for("saved")
            assert saved["sha256"] == awaited.pop(saved["image_id"], saved["sha256"])


def test_a_reader_gets_what_was_sealed_without_a_broker(
    system: System, owner: Path, nowhere: tuple[str, ...], tmp_path: Path
) -> None:
    reader = system.register("reader-of-what-waited")
    (waiting,) = lines(post(owner, CHELSEA, "--caption", CAPTION, *nowhere))
    with system.subscriber(reader, "--inbox", tmp_path / "inbox") as receiving:
        (stored,) = flush(owner)
        assert receiving.wait_for("saved", image_id=waiting["image_id"])["sha256"] == stored["sha256"]


def test_the_folder_shows_nobody_an_image_that_waits(owner: Path, nowhere: tuple[str, ...]) -> None:
    post(owner, CHELSEA, "--caption", CAPTION, "--keep-metadata", *nowhere)
    plain = CHELSEA.read_bytes()
    kept = [path for path in owner.rglob("*") if path.is_file() and "outbox" in str(path.relative_to(owner))]
    assert {path.suffix for path in kept} >= {".cms", ".sqlite3"}
    for path in kept:
        content = path.read_bytes()
        assert CAPTION.encode() not in content, path
        assert not any(plain[start : start + 64] in content for start in range(0, len(plain), 4096)), path
        assert path.name == "lock" or path.stat().st_mode & 0o077 == 0


def test_an_outbox_needs_an_identity(tmp_path: Path) -> None:
    assert_refused(run("publisher", "outbox", "--home", tmp_path / "none"), "there is no identity", "register first")
    assert list(tmp_path.iterdir()) == []


def test_a_broker_without_its_registrar_lets_images_wait(own_system: System) -> None:
    own_system.start()
    home = own_system.register("owner")
    own_system.stop()
    with run_broker(own_system.home, Doors("127.0.0.1", own_system.port, own_system.enrol_port)):
        done = run("publisher", "post", CHELSEA, CHELSEA, "--home", home, "--json", environment=SHORT)
    assert_refused(done, "answers, but no registrar behind it", "publisher flush")
    waiting = lines(done)
    assert [(one["event"], one["code"]) for one in waiting] == [("waiting", "no_registrar")] * 2
    own_system.start()
    # Two are sealed at a time, so either may be the older.
    assert {one["image_id"] for one in flush(home)} == {one["image_id"] for one in waiting}
    for one in waiting:
        assert_stored_once(own_system, one["image_id"])
    own_system.stop()


def test_two_that_flush_at_once_send_each_image_once(system: System, owner: Path, nowhere: tuple[str, ...]) -> None:
    waiting = lines(post(owner, *[CHELSEA] * 6, "--queue", *nowhere))
    flushing = [
        subprocess.Popen(
            [sys.executable, "-m", "publisher", "flush", "--home", owner, "--json"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment(),
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE)[0] for process in flushing]
    assert [process.returncode for process in flushing] == [0, 0]
    stored = [json.loads(line) for text in said for line in text.splitlines()]
    assert {one["event"] for one in stored} == {"stored"}
    assert sorted(one["image_id"] for one in stored) == sorted(one["image_id"] for one in waiting)
    for one in waiting:
        assert_stored_once(system, one["image_id"])


def post_and_kill(home: Path, seconds: float) -> None:
    """Post two images, and kill the command with -9 so long after a file has come into the outbox."""

    def files() -> set[Path]:
        return set((home / "outbox").glob("*.cms"))

    before = files()
    with subprocess.Popen(
        [sys.executable, "-m", "publisher", "post", CHELSEA, CHELSEA, "--channel", "killed", "--home", home],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=clean_environment(),
    ) as process:
        wait_until(lambda: process.poll() is not None or files() - before, "a sealed image")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()


@pytest.fixture
def moments() -> list[float]:
    """Seconds from a file's first byte to past the last reply; the seed is shown where the test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest keeps it
    chance = random.Random(seed)  # noqa: S311 - moments are no secrets
    return [chance.uniform(0, 0.1) for _ in range(12)]


def test_a_post_that_is_killed_is_stored_once_or_never_was(
    system: System, owner: Path, moments: list[float], tmp_path: Path
) -> None:
    started = len(stored_ids(system))
    reader = system.register("reader-of-what-was-killed")
    with system.subscriber(reader, "--inbox", tmp_path / "inbox", "--channel", "killed") as receiving:
        for seconds in moments:
            post_and_kill(owner, seconds)
        flush(owner)
        known = outbox(owner, "--all")
        assert {one["event"] for one in known} <= {"stored", "failed"}
        assert {one["code"] for one in known if one["event"] == "failed"} <= {"interrupted"}
        stored = {one["image_id"] for one in known if one["event"] == "stored"}
        assert len(stored_ids(system)) - started == len(stored)
        saved = [receiving.wait_for("saved")["image_id"] for _ in stored]
    assert sorted(saved) == sorted(stored)
    assert list((owner / "outbox").glob("*.cms")) == []
