"""`publisher status`: who has an image, as the programs tell it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from refusals import assert_refused
from system import CHELSEA, PATIENCE, Daemon, lines, run, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from system import System


def status(home: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run("publisher", "status", *arguments, "--home", home, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return lines(done)


@pytest.fixture(scope="module")
def owner(system: System) -> Path:
    return system.register("status-1")


@pytest.fixture(scope="module")
def reader(system: System) -> Path:
    return system.register("status-2")


def test_following_ends_when_everybody_has_it(system: System, owner: Path, reader: Path) -> None:
    (stored,) = system.post(owner, CHELSEA, "--to", "status-2")
    image_id = stored["image_id"]
    following = Daemon("publisher", "status", image_id, "--follow", "--home", owner)
    try:
        asked = {"event": "status", "image_id": image_id, "channel": "public", "name": "chelsea.jpg", "people": 1}
        assert following.next() == {**asked, "saved": 0}
        assert following.next() == {"event": "not_yet", "image_id": image_id, "user": "status-2"}
        with system.subscriber(reader) as receiving:
            receiving.wait_for("saved", image_id=image_id)
            told = following.wait_for("saved", user="status-2")
        assert (told["image_id"], told["sha256"]) == (image_id, stored["sha256"])
        assert following.next() == {**asked, "saved": 1}
        assert following.process.wait(PATIENCE) == 0
    finally:
        following.kill()
    assert [event["event"] for event in status(owner, image_id)] == ["status", "saved"]
    assert {event["image_id"]: event["saved"] for event in status(owner)}[image_id] == 1
    refused = run("publisher", "status", image_id, "--home", reader)
    assert_refused(refused, "the image is not yours", "its owner")


def test_who_sends_no_receipts_is_not_known_to_have_it_and_following_can_be_stopped(
    system: System, owner: Path, reader: Path
) -> None:
    (stored,) = system.post(owner, CHELSEA, "--to", "status-2")
    with system.subscriber(reader, "--no-receipts") as receiving:
        receiving.wait_for("saved", image_id=stored["image_id"])
        assert receiving.stop() == 0
    following = Daemon("publisher", "status", stored["image_id"], "--follow", "--home", owner)
    try:
        following.wait_for("not_yet", user="status-2")
        following.process.send_signal(signal.SIGINT)
        assert following.process.wait(PATIENCE) == 0
    finally:
        following.kill()


def test_a_receipt_that_was_owed_at_a_kill_comes_with_the_next_start(system: System, owner: Path, reader: Path) -> None:
    # Whoever is killed right after saving has sent it, or not; either way the owner learns of it.
    (stored,) = system.post(owner, CHELSEA, "--to", "status-2")
    with system.subscriber(reader) as receiving:
        receiving.wait_for("saved", image_id=stored["image_id"])
        receiving.process.kill()
    with system.subscriber(reader):
        wait_until(lambda: status(owner, stored["image_id"])[0]["saved"] == 1, "the receipt")


def test_following_needs_an_image(owner: Path) -> None:
    done = run("publisher", "status", "--follow", "--home", owner)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--follow needs an image id" in done.stderr
