"""The gallery of a real daemon, and beside one: what is posted appears, and what goes wrong costs no image."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from galleries import Browser, open_gallery, rest_of
from refusals import assert_refused
from system import CHELSEA, PATIENCE, Daemon, free_ports, run

if TYPE_CHECKING:
    from pathlib import Path

    from system import System

# Of the images of other tests, which a new member gets as well, a page would hear too.
HERE = ("--channel", "showing")


@pytest.fixture(scope="module")
def owner(system: System) -> Path:
    return system.register("showing-1")


@pytest.fixture(scope="module")
def reader(system: System) -> Path:
    return system.register("showing-2")


def test_what_is_posted_appears_and_an_open_page_does_not_keep_it_from_stopping(
    system: System, owner: Path, reader: Path
) -> None:
    with system.subscriber(reader, "--gallery", *HERE) as receiving:
        browser = open_gallery(receiving.wait_for("gallery")["address"])
        with browser.events() as events:
            (stored,) = system.post(owner, CHELSEA, "--caption", "a cat", *HERE)
            saved = receiving.wait_for("saved", image_id=stored["image_id"])
            shown = json.loads(next(events)["data"])
            where = f"{shown['owner']}/{shown['image_id']}"
            assert browser.get(f"/images/{where}").body == (reader / "inbox/showing-1/chelsea.jpg").read_bytes()
            assert browser.get(f"/thumbnails/{where}").headers["content-type"] == "image/webp"
            assert browser.get(f"/proofs/{where}").headers["content-type"] == "application/zip"
            assert receiving.stop() == 0
            assert rest_of(events) == []
    assert {name: shown[name] for name in ("image_id", "caption", "sha256", "channel")} == {
        "image_id": stored["image_id"], "caption": "a cat", "sha256": saved["sha256"], "channel": "showing",
    }  # fmt: skip


def test_a_gallery_beside_the_daemon_shows_what_that_saves(system: System, owner: Path, reader: Path) -> None:
    beside = Daemon("subscriber", "gallery", "--home", reader)
    try:
        browser = open_gallery(beside.wait_for("gallery")["address"])
        with browser.events() as events:
            with system.subscriber(reader, *HERE):
                (stored,) = system.post(owner, CHELSEA, *HERE)
                event = next(events)
            assert (event["event"], json.loads(event["data"])["image_id"]) == ("image", stored["image_id"])
            beside.process.send_signal(signal.SIGINT)
            assert beside.process.wait(PATIENCE) == 0
    finally:
        beside.kill()
    assert beside.errors == []


def test_a_port_that_is_taken_costs_the_gallery_and_no_image(system: System, owner: Path, reader: Path) -> None:
    (port,) = free_ports(1)
    taken = Daemon("subscriber", "gallery", "--home", reader, "--gallery-port", str(port))
    try:
        address = taken.wait_for("gallery")["address"]
        assert address.startswith(f"http://127.0.0.1:{port}/?token=")
        refused = run("subscriber", "gallery", "--home", reader, "--gallery-port", str(port))
        assert_refused(refused, f"the gallery cannot have port {port}: address already in use", "--gallery-port")
        with system.subscriber(reader, "--gallery", "--gallery-port", str(port)) as receiving:
            (stored,) = system.post(owner, CHELSEA)
            receiving.wait_for("saved", image_id=stored["image_id"])
            assert receiving.stop() == 0
        assert receiving.errors[0] == f"error: the gallery cannot have port {port}: address already in use\n"
        assert receiving.errors[1].startswith("hint: choose another with --gallery-port")
        assert Browser(port).enter(address).status == 303
    finally:
        taken.kill()


def test_a_gallery_needs_an_identity(tmp_path: Path) -> None:
    assert_refused(run("subscriber", "gallery", "--home", tmp_path), "there is no identity", "register first")
