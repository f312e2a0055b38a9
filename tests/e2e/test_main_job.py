"""The main job, with the commands that people type, on the real Mosquitto."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING

import pictures
import pytest
from system import CHELSEA, PASSWORD, run

if TYPE_CHECKING:
    from pathlib import Path

    from system import System


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    file = tmp_path / "kyle.jpg"
    file.write_bytes(CHELSEA.read_bytes())
    return file


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_enrolling_says_what_happened(system: System, tmp_path: Path) -> None:
    first = json.loads(system.try_to_register("dora", tmp_path / "one").stdout)
    again = json.loads(system.try_to_register("dora", tmp_path / "two").stdout)
    wrong = system.try_to_register("dora", tmp_path / "three", password="wrong but long enough")
    assert first["message"] == "Registration Successful"
    assert again["message"] == "Connection Successful"
    assert first["fingerprint"] != again["fingerprint"]
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[0] == "error: Login Failed"
    whoami = json.loads(run("subscriber", "whoami", "--home", tmp_path / "one", "--json").stdout)
    assert {name: whoami[name] for name in ("user", "fingerprint", "words")} == {
        "user": "dora",
        "fingerprint": first["fingerprint"],
        "words": first["words"],
    }
    listed = run("registrar", "members", "--home", system.home, "--json").stdout.splitlines()
    numbers = {member["user"]: member["devices"] for member in map(json.loads, listed)}
    assert numbers["dora"] == 2
    listed = run("registrar", "members", "dora", "--home", system.home, "--json").stdout.splitlines()
    devices = [json.loads(line) for line in listed]
    assert [device["fingerprint"] for device in devices] == [first["fingerprint"], again["fingerprint"]]
    assert [device["words"] for device in devices] == [first["words"], again["words"]]
    assert {device["revoked_at"] for device in devices} == {None}
    nobody = run("registrar", "members", "dorothy", "--home", system.home)
    assert (nobody.returncode, nobody.stderr.splitlines()[0]) == (1, "error: there is no user 'dorothy'")


def test_the_same_device_may_enrol_again_and_reads_what_was_sealed_to_it_before(
    system: System, photograph: Path
) -> None:
    owner, reader = system.register("eve-1"), system.register("eve-2")
    with system.subscriber(reader):
        pass
    system.post(owner, photograph, "--to", "eve-2", "--keep-metadata")
    again = system.try_to_register("eve-2", reader)
    assert json.loads(again.stdout)["message"] == "Connection Successful"
    with system.subscriber(reader) as receiving:
        saved = receiving.wait_for("saved", owner="eve-1")
    assert saved["sha256"] == sha256(photograph.read_bytes())


def test_every_member_hears_and_saves_the_very_bytes(system: System, photograph: Path) -> None:
    alice, bob, carol = (system.register(user) for user in ("alice", "bob", "carol"))
    with system.subscriber(bob) as at_bobs, system.subscriber(carol) as at_carols:
        (stored,) = system.post(alice, photograph, "--keep-metadata", "--caption", "a cat")
        expected = sha256(photograph.read_bytes())
        assert (stored["event"], stored["sha256"], stored["name"]) == ("stored", expected, "kyle.jpg")
        assert stored["topic"] == f"sealcast/v1/images/alice/public/{stored['image_id']}"
        for receiving in (at_bobs, at_carols):
            heard = receiving.wait_for("NEW_IMAGE", owner="alice")
            assert heard == {
                "event": "NEW_IMAGE",
                "image_id": stored["image_id"],
                "owner": "alice",
                "channel": "public",
                "name": "kyle.jpg",
                "size": len(photograph.read_bytes()),
            }
            saved = receiving.next()
            assert (saved["event"], saved["sha256"], saved["name"]) == ("saved", expected, "kyle.jpg")
            assert receiving.stop() == 0  # by then it has tidied up
    path = bob / "inbox" / "alice" / "kyle.jpg"
    assert path.read_bytes() == photograph.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["kyle.jpg"]


def test_metadata_is_removed_unless_it_is_to_be_kept(system: System, photograph: Path) -> None:
    owner, reader = system.register("fay-1"), system.register("fay-2")
    with system.subscriber(reader) as receiving:
        (stored,) = system.post(owner, photograph)
        assert "GPS position" in stored["removed"]
        saved = receiving.wait_for("saved", owner="fay-1")
    content = (reader / "inbox" / "fay-1" / "kyle.jpg").read_bytes()
    assert saved["sha256"] == sha256(content) == stored["sha256"]
    assert b"Camera 1" in photograph.read_bytes()
    assert b"Camera 1" not in content


@pytest.mark.parametrize("cipher", ["aes-256-gcm", "aes-128-cbc-hmac-sha256"])
def test_named_people_alone_can_open(system: System, photograph: Path, cipher: str) -> None:
    number = "a" if cipher == "aes-256-gcm" else "b"
    owner, reader, other = (system.register(f"gus-{number}-{role}") for role in ("owner", "reader", "other"))
    with system.subscriber(reader) as entitled, system.subscriber(other) as not_entitled:
        (stored,) = system.post(owner, photograph, "--to", f"gus-{number}-reader", "--cipher", cipher)
        assert entitled.wait_for("NEW_IMAGE", image_id=stored["image_id"])["name"] is None
        assert entitled.wait_for("saved", image_id=stored["image_id"])["sha256"] == stored["sha256"]
        assert not_entitled.wait_for("NEW_IMAGE", image_id=stored["image_id"])["name"] is None
        refused = not_entitled.next()
        assert (refused["event"], refused["code"]) == ("refused", "not_recipient")
    assert not (other / "inbox" / f"gus-{number}-owner").exists()


def test_who_is_no_direct_recipient_gets_the_key_released(tmp_path_factory: pytest.TempPathFactory) -> None:
    from system import System  # noqa: PLC0415 - only for this test's own one

    system = System.create(tmp_path_factory.mktemp("release"), {"SEALCAST_MAXIMUM_DIRECT_RECIPIENTS": "1"})
    system.start()
    try:
        alice, bob = system.register("alice"), system.register("bob")
        with system.subscriber(bob) as receiving:
            (stored,) = system.post(alice, CHELSEA)
            assert receiving.wait_for("saved", image_id=stored["image_id"])["sha256"] == stored["sha256"]
    finally:
        system.stop()


def test_a_member_who_joins_later_gets_what_was_posted_for_every_member(system: System, photograph: Path) -> None:
    owner = system.register("hal-1")
    (stored,) = system.post(owner, photograph)
    late = system.register("hal-2")
    with system.subscriber(late) as receiving:
        saved = receiving.wait_for("saved", image_id=stored["image_id"])
    assert saved["sha256"] == stored["sha256"]


def test_images_come_while_the_reader_is_away_once_each(system: System, photograph: Path) -> None:
    owner, reader = system.register("ida-1"), system.register("ida-2")
    with system.subscriber(reader) as receiving:
        assert receiving.stop() == 0
    stored = [system.post(owner, photograph, "--caption", str(number))[0] for number in range(12)]
    with system.subscriber(reader) as receiving:
        saved = [receiving.wait_for("saved", owner="ida-1") for _ in stored]
    assert [one["image_id"] for one in saved] == [one["image_id"] for one in stored]
    with system.subscriber(reader) as receiving:
        (more,) = system.post(owner, photograph)
        # Nothing is saved a second time: the next event is of the next image.
        assert receiving.wait_for("NEW_IMAGE", owner="ida-1")["image_id"] == more["image_id"]
        receiving.wait_for("saved", owner="ida-1")
        assert receiving.stop() == 0  # by then it has tidied up
    assert len(list((reader / "inbox" / "ida-1").iterdir())) == len(stored) + 1


def test_channels_are_chosen_by_filter(system: System, photograph: Path) -> None:
    owner, reader = system.register("jo-1"), system.register("jo-2")
    with system.subscriber(reader, "--channel", "site-7/#") as receiving:
        system.post(owner, photograph, "--channel", "family")
        (wanted,) = system.post(owner, photograph, "--channel", "site-7/gate")
        heard = receiving.wait_for("NEW_IMAGE", owner="jo-1")
        assert (heard["image_id"], heard["channel"]) == (wanted["image_id"], "site-7/gate")
        receiving.wait_for("saved")
    with system.subscriber(reader, "--channel", "family") as receiving:
        system.post(owner, photograph, "--channel", "site-7/gate")
        (wanted,) = system.post(owner, photograph, "--channel", "family", "--caption", "two")
        while (heard := receiving.wait_for("NEW_IMAGE", owner="jo-1"))["image_id"] != wanted["image_id"]:
            assert heard["channel"] == "family"


def test_count_ends_the_subscriber(system: System, photograph: Path) -> None:
    owner, reader = system.register("kim-1"), system.register("kim-2")
    with system.subscriber(reader, "--count", "1", "--channel", "kim") as receiving:
        system.post(owner, photograph, "--channel", "kim")
        receiving.wait_for("saved")
        assert receiving.process.wait(60) == 0


def test_every_format_arrives(system: System, tmp_path: Path) -> None:
    owner, reader = system.register("lou-1"), system.register("lou-2")
    files = []
    for suffix in ("png", "jpeg", "webp", "gif", "tiff", "avif", "bmp"):
        file = tmp_path / f"picture.{suffix}"
        file.write_bytes(pictures.plain(f"image/{suffix}"))
        files.append(file)
    with system.subscriber(reader, "--channel", "formats") as receiving:
        stored = system.post(owner, *files, "--keep-metadata", "--channel", "formats")
        assert [one["name"] for one in stored] == [file.name for file in files]
        saved = [receiving.wait_for("saved") for _ in files]
    # Several are posted at once, so they need not arrive in their order.
    assert {one["name"]: one["sha256"] for one in saved} == {file.name: sha256(file.read_bytes()) for file in files}


def test_one_bad_file_does_not_keep_the_others_back(system: System, photograph: Path, tmp_path: Path) -> None:
    owner = system.register("mia")
    bad = tmp_path / "notes.txt"
    bad.write_text("no picture")
    done = run("publisher", "post", bad, photograph, "--home", owner, "--json")
    failed, stored = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert (failed["event"], failed["file"], failed["code"]) == ("failed", str(bad), "not_an_image")
    assert (stored["event"], stored["name"]) == ("stored", "kyle.jpg")


def test_the_same_name_twice_is_kept_twice(system: System, photograph: Path) -> None:
    owner, reader = system.register("ned-1"), system.register("ned-2")
    with system.subscriber(reader) as receiving:
        system.post(owner, photograph, photograph)
        paths = {receiving.wait_for("saved", owner="ned-1")["path"] for _ in range(2)}
    assert paths == {str(reader / "inbox" / "ned-1" / name) for name in ("kyle.jpg", "kyle-2.jpg")}


def test_no_password_is_anywhere(system: System) -> None:
    system.register("ora")
    secret = PASSWORD.encode()
    assert system.daemon is not None
    assert not any(PASSWORD in line for line in system.daemon.errors)
    for folder in (system.home, system.members):
        for file in folder.rglob("*"):
            if file.is_file():
                assert secret not in file.read_bytes(), file


def test_the_registrar_cannot_open_what_is_for_named_people(system: System, photograph: Path) -> None:
    owner, _ = system.register("pat-1"), system.register("pat-2")
    (named,) = system.post(owner, photograph, "--to", "pat-2")
    (public,) = system.post(owner, photograph)
    with sqlite3.connect(system.home / "registrar.sqlite3") as database:
        keys = dict(database.execute("SELECT image_id, wrapped_key FROM images"))
    keys = {str(image_id).replace("-", ""): key for image_id, key in keys.items()}
    assert keys[named["image_id"].replace("-", "")] is None
    assert keys[public["image_id"].replace("-", "")] is not None
    assert os.access(system.home / "archive", os.R_OK)


def test_a_pin_may_be_read_aloud(system: System, tmp_path: Path) -> None:
    words = run("registrar", "fingerprint", "--words", "--home", system.home).stdout
    enrolled = system.try_to_register("words", tmp_path / "right", "--ca-fingerprint", words)
    assert enrolled.returncode == 0, enrolled.stderr
    others = "abandon " * 23 + "art"
    refused = system.try_to_register("words", tmp_path / "wrong", "--ca-fingerprint", others)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[0] == "error: the certificate authority is not the pinned one"
