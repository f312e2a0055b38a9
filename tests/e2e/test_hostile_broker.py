"""A hostile broker: the real Mosquitto with the broker's own key, through which every message passes an attacker.

The reader is connected to it, owner and registrar to the honest one; the attacker carries everything in between, and
changes what it likes. Nothing wrong is ever saved, and what the attacker did keeps no honest image out afterwards.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hostile_broker import ANNOUNCEMENTS, IMAGES, REPLIES, HostileBroker, carry_honestly, flip, reword
from system import CHELSEA, PASSWORD, System, free_ports, run, wait_until

from common import console, revocation_lists, topics
from common.identity import CERTIFICATE, CRL, Identity
from common.revocation_lists import crl_number
from common.settings import Settings
from common.topics import new_image_id
from registrar.authority import Authority, Revocation
from registrar.broker import Doors, run_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from system import Daemon

    from common.arrivals import Message


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A Sealcast of its own: a reader of this one hears of every image in it."""
    one = System.create(tmp_path_factory.mktemp("hostile"))
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def alice(own: System) -> Path:
    return own.register("alice")


@pytest.fixture(scope="module")
def bob(own: System) -> Path:
    return own.register("bob")


@pytest.fixture
def hostile(own: System, tmp_path: Path) -> Iterator[HostileBroker]:
    home = tmp_path / "attacker"
    shutil.copytree(own.home / "broker" / "trust", home / "broker" / "trust")
    doors = Doors("127.0.0.1", *free_ports(2))
    with run_broker(home, doors), HostileBroker(own, doors).carrying() as attacker:
        yield attacker


@pytest.fixture
def reading(own: System, bob: Path, hostile: HostileBroker) -> Iterator[Daemon]:
    with own.subscriber(bob, *hostile.port) as daemon:
        # What a test holds back may not come by the catalogue that is asked for after every connection.
        wait_until(hostile.has_carried_a_listing, "the catalogue's last page")
        yield daemon


def assert_next_is_saved(own: System, alice: Path, reading: Daemon, hostile: HostileBroker) -> None:
    """Post one more, which nobody alters: it is saved, and nothing else was before it."""
    carry_honestly(hostile)
    (posted,) = own.post(alice, CHELSEA)
    while (event := reading.next())["event"] != "saved":
        assert event["event"] in {"NEW_IMAGE", "refused"}
    assert (event["image_id"], event["sha256"]) == (posted["image_id"], posted["sha256"])


def test_an_honest_carrier_is_not_noticed(
    own: System, alice: Path, hostile: HostileBroker, reading: Daemon, tmp_path: Path
) -> None:
    assert_next_is_saved(own, alice, reading, hostile)
    done = register_there(own, hostile, "carol", tmp_path / "carol")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("retained", [False, True])
def test_a_replay_is_not_saved_again(
    own: System, alice: Path, bob: Path, hostile: HostileBroker, reading: Daemon, *, retained: bool
) -> None:
    (posted,) = own.post(alice, CHELSEA)
    reading.wait_for("saved", image_id=posted["image_id"])
    old = hostile.sent(posted["image_id"])
    before = saved_by(bob)
    for message in old * 2:
        hostile.say(replace(message, retained=retained))
    assert_next_is_saved(own, alice, reading, hostile)
    assert reading.stop() == 0
    for message in old:
        hostile.say(replace(message, retained=retained))
    with own.subscriber(bob, *hostile.port) as again:
        assert_next_is_saved(own, alice, again, hostile)
    assert len(saved_by(bob) - before) == 2


def saved_by(reader: Path) -> set[str]:
    """Return the names of what was saved of alice; hidden names are of images that are being saved."""
    return {file.name for file in (reader / "inbox" / "alice").iterdir() if not file.name.startswith(".")}


def test_an_image_under_another_name_channel_or_id_is_refused(
    own: System, alice: Path, bob: Path, hostile: HostileBroker, reading: Daemon
) -> None:
    (posted,) = own.post(alice, CHELSEA)
    reading.wait_for("saved", image_id=posted["image_id"])
    image, announcement = hostile.sent(posted["image_id"])
    image_id = new_image_id(console.now())
    for topic in (
        topics.ImageTopic("bob", "public", image_id),
        topics.ImageTopic("alice", "private", image_id),
        topics.ImageTopic("alice", "public", image_id),
    ):
        hostile.say(replace(image, topic=topic.image))
        moved = replace(announcement, topic=topic.announcement)
        hostile.say(reword(moved, owner=topic.owner, channel=topic.channel, image_id=str(image_id)))
        refused = reading.wait_for("refused", image_id=str(image_id))
        assert refused["code"] == "unknown_image"
    # Swapped with another owner's image of the same id.
    topic = topics.ImageTopic("bob", "public", image_id)
    hostile.say(replace(image, topic=topic.image))
    assert_next_is_saved(own, alice, reading, hostile)
    assert not (bob / "inbox" / "bob").exists()


@pytest.mark.parametrize("to", [(), ("--to", "bob")], ids=["members", "named"])
def test_flipped_bits_are_mended_from_the_archive(
    own: System, alice: Path, hostile: HostileBroker, reading: Daemon, to: tuple[str, ...]
) -> None:
    flipped: list[Message] = []

    def change(message: Message) -> list[Message]:
        if message.topic.startswith(IMAGES):
            flipped.append(flip(message))
            return flipped[-1:]
        if message.topic.startswith(ANNOUNCEMENTS):
            return [reword(message, sha256_sealed=hashlib.sha256(flipped[-1].payload).hexdigest())]
        return [message]

    hostile.change = change
    (posted,) = own.post(alice, CHELSEA, *to)
    saved = reading.wait_for("saved", image_id=posted["image_id"])
    assert (saved["sha256"], saved["name"]) == (posted["sha256"], CHELSEA.name)
    assert len(flipped) == 1
    assert_next_is_saved(own, alice, reading, hostile)


def test_an_altered_announcement_is_believed_in_nothing(
    own: System, alice: Path, hostile: HostileBroker, reading: Daemon
) -> None:
    changes: list[dict[str, object]] = [
        {"name": "other.exe"},
        {"sha256_sealed": "0" * 64},
        {"size": 1, "sealed_size": 1, "stored_at": "2001-01-01T00:00:00Z"},
    ]
    for members in changes:
        hostile.change = lambda message, members=members: [  # type: ignore[misc]  # a default that the type has not
            reword(message, **members) if message.topic.startswith(ANNOUNCEMENTS) else message
        ]
        (posted,) = own.post(alice, CHELSEA)
        saved = reading.wait_for("saved", image_id=posted["image_id"])
        assert (saved["sha256"], saved["name"]) == (posted["sha256"], CHELSEA.name)
    assert_next_is_saved(own, alice, reading, hostile)


def test_a_forged_announcement_keeps_no_image_out(
    own: System, alice: Path, hostile: HostileBroker, reading: Daemon
) -> None:
    withheld: list[Message] = []

    def withhold(message: Message) -> list[Message]:
        if not message.topic.startswith((IMAGES, ANNOUNCEMENTS)):
            return [message]
        withheld.append(message)
        return []

    hostile.change = withhold
    (posted,) = own.post(alice, CHELSEA)
    image, announcement = hostile.sent(posted["image_id"])
    hostile.say(flip(image))
    hostile.say(replace(announcement, payload=b"no announcement"))
    assert reading.wait_for("refused", image_id=posted["image_id"])["code"] == "invalid_announcement"
    hostile.say(announcement)
    assert reading.wait_for("saved", image_id=posted["image_id"])["sha256"] == posted["sha256"]
    assert_next_is_saved(own, alice, reading, hostile)


def test_altered_replies_are_not_believed_and_lose_nothing(
    own: System, alice: Path, bob: Path, hostile: HostileBroker, reading: Daemon
) -> None:
    altered = threading.Event()

    def change(message: Message) -> list[Message]:
        if message.topic.startswith(IMAGES):
            return []
        if message.topic.startswith(REPLIES) and message.topic.endswith("/fetch"):
            altered.set()
            return [flip(message)]
        return [message]

    hostile.change = change
    (posted,) = own.post(alice, CHELSEA)
    assert reading.wait_for("NEW_IMAGE")["image_id"] == posted["image_id"]
    assert altered.wait(60)
    assert reading.stop() == 0
    assert [event["event"] for event in reading.events] == ["ready", "NEW_IMAGE"]
    carry_honestly(hostile)
    with own.subscriber(bob, *hostile.port) as again:
        assert again.wait_for("saved")["image_id"] == posted["image_id"]
        assert_next_is_saved(own, alice, again, hostile)


def test_an_owner_is_not_told_that_an_image_is_stored(alice: Path, hostile: HostileBroker) -> None:
    hostile.change = lambda message: [flip(message) if message.topic.startswith(REPLIES) else message]
    done = run("publisher", "post", CHELSEA, "--home", alice, "--json", *hostile.port)
    assert done.returncode == 1
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["failed"]
    assert "the registrar's reply could not be verified\nhint: " in done.stderr


def test_an_older_revocation_list_is_not_taken(
    own: System, alice: Path, bob: Path, hostile: HostileBroker, reading: Daemon
) -> None:
    mallory = own.register("mallory")
    old = hostile.on(topics.TRUST_CRL)[-1]
    signing = Authority.load(own.home, Settings())
    now = console.now()
    revoked = Identity.load(mallory, now=now).certificate
    number = crl_number(signing.trust(now).crls[0]) + 1000
    # Bob hears of a revocation that the registrar of this test has not made: only the list can keep mallory out.
    revocation = Revocation(revoked, now - dt.timedelta(hours=1))
    crl = revocation_lists.to_pem(signing.issue_crls([revocation], number, now))
    hostile.say(replace(old, payload=crl, retained=True))
    assert_next_is_saved(own, alice, reading, hostile)
    assert (bob / CRL).read_bytes() == crl
    hostile.say(replace(old, retained=True))
    for session in range(2):
        (posted,) = own.post(mallory, CHELSEA)
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(own.subscriber(bob, *hostile.port)) if session else reading
            assert reader.wait_for("refused")["image_id"] == posted["image_id"]
            assert_next_is_saved(own, alice, reader, hostile)
            assert reader.stop() == 0
        assert (bob / CRL).read_bytes() == crl
    assert not (bob / "inbox" / "mallory").exists()


def register_there(own: System, hostile: HostileBroker, user: str, home: Path) -> Any:  # noqa: ANN401 - what run() returns
    return run(
        "publisher", "register", user, "--broker", "localhost", *hostile.port,
        "--enrol-port", str(hostile.doors.enrol_port), "--ca-fingerprint", own.fingerprint,
        "--password-stdin", "--key-size", "2048", "--home", home, "--json", stdin=PASSWORD + "\n",
    )  # fmt: skip


@pytest.mark.parametrize("topic", [topics.TRUST_CA, topics.TRUST_REGISTRAR])
def test_nobody_enrols_with_an_impostor(
    own: System, alice: Path, hostile: HostileBroker, tmp_path: Path, topic: str
) -> None:
    true = hostile.on(topic)[-1]
    hostile.say(replace(true, payload=(alice / CERTIFICATE).read_bytes(), retained=True))
    done = register_there(own, hostile, "dora", tmp_path / "dora")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert hostile.asked == []  # so no password was sealed to the impostor's key
    assert not (tmp_path / "dora" / CERTIFICATE).exists()
    hostile.say(true)
    done = register_there(own, hostile, f"dora-{topic[-2:]}", tmp_path / "dora")
    assert done.returncode == 0, done.stderr
