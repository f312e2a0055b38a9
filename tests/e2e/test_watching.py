"""Watching a folder with the real command and the real broker: once, whatever is killed; and what it refuses."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest
from flows.watching import image
from refusals import assert_refused
from system import Daemon, free_ports, run, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from system import System


@pytest.fixture(scope="module")
def registered(system: System) -> Path:
    return system.register("owner-who-watches")


@pytest.fixture
def owner(registered: Path, tmp_path: Path) -> Path:
    """A folder of the owner's that has watched nothing yet."""
    return shutil.copytree(registered, tmp_path / "owner")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def watching(owner: Path, photos: Path, *arguments: str | Path) -> Iterator[Daemon]:
    """Watch, and be ready."""
    daemon = Daemon("publisher", "watch", photos, "--home", owner, *arguments)
    try:
        assert daemon.next()["event"] == "ready"
        yield daemon
    finally:
        daemon.kill()


def stored(system: System, channel: str) -> list[str]:
    """Return the names of what the registrar has stored on a channel, one for each image."""
    with sqlite3.connect(system.home / "registrar.sqlite3") as database:
        rows = database.execute("SELECT name FROM images WHERE channel = ?", (channel,)).fetchall()
    database.close()
    return sorted(name for (name,) in rows)


def test_what_comes_into_the_folder_is_posted_and_what_was_there_is_left_alone(
    system: System, owner: Path, photos: Path
) -> None:
    (photos / "old.png").write_bytes(image(1))
    with watching(owner, photos, "--channel", "watched", "--channels-by-folder") as daemon:
        assert daemon.events[0] == {"event": "ready", "folder": str(photos), "left_alone": 1}
        # As Syncthing and rsync do it.
        (photos / ".new.png.Xy12Ab").write_bytes(image(2))
        (photos / ".new.png.Xy12Ab").rename(photos / "new.png")
        assert daemon.wait_for("stored")["name"] == "new.png"
        # A whole folder that is moved in.
        (photos.parent / "Watched Site" / "Gate").mkdir(parents=True)
        (photos.parent / "Watched Site" / "Gate" / "deep.png").write_bytes(image(3))
        (photos.parent / "Watched Site").rename(photos / "Watched Site")
        deep = daemon.wait_for("stored")
        assert (deep["name"], deep["channel"]) == ("deep.png", "watched-site/gate")
        (photos / "notes.txt").write_text("no image")
        skipped = daemon.wait_for("skipped")
        assert (skipped["file"], skipped["code"]) == (str(photos / "notes.txt"), "not_an_image")
        assert daemon.stop() == 0
        assert [line for line in daemon.errors if line.startswith("error: ")] == []
    assert stored(system, "watched") == ["new.png"]
    # What came meanwhile is posted by the next watch, and what was left alone when that is asked for; nothing else is.
    (photos / "later.png").write_bytes(image(4))
    with watching(owner, photos, "--channel", "watched", "--include-existing") as daemon:
        assert daemon.events[0]["left_alone"] == 0
        assert {daemon.next()["name"] for _ in range(2)} == {"later.png", "old.png"}
        assert daemon.stop() == 0
    assert stored(system, "watched") == ["later.png", "new.png", "old.png"]
    assert stored(system, "watched-site/gate") == ["deep.png"]


def test_a_file_that_grows_is_posted_when_it_is_complete(system: System, owner: Path, photos: Path) -> None:
    content = image(5)
    with watching(owner, photos, "--channel", "grown") as daemon:
        with (photos / "slow.png").open("wb") as file:
            file.write(content[:40])
            file.flush()
            # Another file that comes later is there before it.
            (photos / "quick.png").write_bytes(image(6))
            assert daemon.wait_for("stored")["name"] == "quick.png"
            file.write(content[40:])
        slow = daemon.next()
        assert (slow["event"], slow["name"]) == ("stored", "slow.png")
    assert stored(system, "grown") == ["quick.png", "slow.png"]


def test_without_a_broker_images_wait_and_are_sent_once_there_is_one(own_system: System, photos: Path) -> None:
    own_system.start()
    owner = own_system.register("owner")
    own_system.stop()
    with watching(owner, photos) as daemon:
        (photos / "one.png").write_bytes(image(1))
        waiting = daemon.wait_for("waiting")
        assert (waiting["name"], waiting["file"]) == ("one.png", str(photos / "one.png"))
        own_system.start()
        assert daemon.wait_for("stored")["image_id"] == waiting["image_id"]
        assert daemon.stop() == 0
        said = "".join(daemon.errors)
    # Once there is a broker, there may be a moment without the registrar.
    assert said.count("error: no broker answers at localhost:") == 1
    assert "this is tried again by itself, and nothing is lost meanwhile" in said
    assert stored(own_system, "public") == ["one.png"]


@pytest.fixture
def moments() -> list[float]:
    """Seconds after an image has come; the seed is shown where the test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest keeps it
    chance = random.Random(seed)  # noqa: S311 - moments are no secrets
    return [chance.uniform(0, 0.3) for _ in range(4)]


def test_a_watch_that_is_killed_posts_each_image_once(
    system: System, owner: Path, photos: Path, moments: list[float]
) -> None:
    for number, seconds in enumerate(moments):
        with watching(owner, photos, "--channel", "killed-watch") as daemon:
            outbox = owner / "outbox.sqlite3"
            before = rows(outbox)
            for name in ("a", "b"):
                path = photos / f".{number}{name}.png"
                path.write_bytes(image(100 + 2 * number + (name == "b")))
                path.rename(photos / f"{number}{name}.png")
            wait_until(lambda: rows(outbox) > before, "an image that is about to be posted")  # noqa: B023 - done in this turn
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.process.wait(seconds)
            daemon.process.kill()
    names = sorted(f"{number}{name}.png" for number in range(len(moments)) for name in "ab")
    with watching(owner, photos, "--channel", "killed-watch") as daemon:
        wait_until(lambda: len(stored(system, "killed-watch")) >= len(names), "all of them")
        assert daemon.stop() == 0
    assert stored(system, "killed-watch") == names


def rows(outbox: Path) -> int:
    with sqlite3.connect(outbox) as database:
        (count,) = database.execute("SELECT count(*) FROM images").fetchone()
    database.close()
    return int(count)


def test_a_folder_that_is_gone_is_said_and_watched_again_when_it_is_back(
    system: System, owner: Path, photos: Path
) -> None:
    with watching(owner, photos, "--channel", "back") as daemon:
        photos.rmdir()
        gone = daemon.wait_for("failed")
        assert (gone["file"], gone["code"]) == (str(photos), "no_folder")
        photos.mkdir()
        assert daemon.next()["event"] == "ready"
        (photos / "one.png").write_bytes(image(1))
        assert daemon.next()["name"] == "one.png"
    assert stored(system, "back") == ["one.png"]


def test_a_folder_is_watched_once_at_a_time(owner: Path, photos: Path, tmp_path: Path) -> None:
    nowhere = ("--port", str(free_ports(1)[0]), "--home", owner)
    with watching(owner, photos):
        (tmp_path / "link").symlink_to(photos)
        done = run("publisher", "watch", tmp_path / "link", *nowhere)
        assert_refused(done, "is watched already", "stop the other watch, or watch another folder")
        (photos / "sub").mkdir()
        with watching(owner, photos / "sub", *nowhere[:2]) as other:
            assert other.stop() == 0


def test_what_cannot_be_watched_is_said(owner: Path, tmp_path: Path, photos: Path) -> None:
    for path in (tmp_path / "none", owner / "key.pem"):
        assert_refused(run("publisher", "watch", path, "--home", owner), "cannot watch", "name a folder that exists")
    done = run("publisher", "watch", photos, "--home", owner, "--to", "nobody-has-this-name")
    assert_refused(done, "nobody-has-this-name", "", exit_code=1)
