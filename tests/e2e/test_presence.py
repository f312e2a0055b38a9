"""Who is online, as `publisher members` tells it, with the broker's last wills."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from system import lines, run, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from system import System


@pytest.fixture(scope="module")
def reader(system: System) -> Path:
    return system.register("presence-1")


def members(home: Path) -> dict[str, dict[str, Any]]:
    """Return what is said of the reader and of its device."""
    done = run("publisher", "members", "--home", home, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    events = lines(done)
    return {event["event"]: event for event in events if event["user"] == "presence-1"}


def device(home: Path) -> dict[str, Any]:
    return members(home)["device"]


def test_a_device_is_online_while_it_runs_and_offline_however_it_ends(system: System, reader: Path) -> None:
    assert device(reader)["presence"] is None
    with system.subscriber(reader) as receiving:
        wait_until(lambda: device(reader)["presence"] == "online", "online")
        assert members(reader)["member"]["online"]
        assert receiving.stop() == 0
    wait_until(lambda: device(reader)["presence"] == "offline", "offline after its end")
    with system.subscriber(reader) as receiving:
        wait_until(lambda: device(reader)["presence"] == "online", "online again")
        before = dt.datetime.now(dt.UTC)
        receiving.process.kill()
        wait_until(lambda: device(reader)["presence"] == "offline", "offline after a kill")
    said = members(reader)
    last_seen = dt.datetime.fromisoformat(said["member"]["last_seen"])
    assert abs((last_seen - before).total_seconds()) < 60
    assert said["device"]["last_seen"] is not None
    assert not said["member"]["online"]


def test_who_does_not_want_it_says_nothing(system: System, reader: Path) -> None:
    with system.subscriber(reader):
        wait_until(lambda: device(reader)["presence"] == "online", "online")
    with system.subscriber(reader, "--no-presence"):
        wait_until(lambda: device(reader)["presence"] is None, "nothing is said")
    assert device(reader)["presence"] is None
