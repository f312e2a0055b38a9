"""What may pass is tried again, and costs no image."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import pytest
from authorities import DAY
from flows.interference import (
    ANNOUNCEMENTS,
    IMAGES,
    announcement_topic,
    assert_nothing_decided,
    assert_saved_once,
    carry_honestly,
    names,
    withhold,
)
from flows.members import picture
from flows.simulator import IN_FLIGHT, SimulatedSession

from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError, VerificationError
from subscriber import inbox, postponed
from subscriber.ledger import Ledger
from subscriber.postponed import MOST_UNACKNOWLEDGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flows.members import Owner, Reader
    from flows.world import World

    from common.arrivals import Message

PASSING = [
    SessionError("nobody answers", code="no_registrar"),
    RefusedError("busy", code="busy", retry_after=7),
    RefusedError("the database does not answer", code="unavailable", retry_after=60),
    RefusedError("the registrar failed", code="internal"),
    RefusedError("the request was sent twice", code="replayed"),
    VerificationError("altered on its way", code="untrusted_reply"),
    ConfigurationError("cannot write crl.pem", code="unwritable"),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.code)
def test_a_passing_fault_is_tried_again(world: World, alice: Owner, bob: Reader, fault: SealcastError) -> None:
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [fault, fault]
    posted = alice.post()
    bob.work()
    bob.receiver.try_postponed()
    assert_nothing_decided(bob)
    assert bob.session.unacknowledged == [announcement_topic(posted)]
    bob.receiver.try_postponed()
    bob.receiver.try_postponed()
    assert names(bob) == ["NEW_IMAGE", "saved"]
    assert_saved_once(bob, posted)


@contextlib.contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def write_half(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "write_new", write_half)
        yield


@contextlib.contextmanager
def full_ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise ConfigurationError("cannot use ledger.sqlite3: database or disk is full", code="ledger")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add", refuse)
        yield


@pytest.mark.parametrize("full", [full_disk, full_ledger])
@pytest.mark.parametrize("width", [0, 1], ids=["good", "bad"])
def test_a_full_disk_is_tried_again(
    alice: Owner,
    bob: Reader,
    monkeypatch: pytest.MonkeyPatch,
    full: Callable[[pytest.MonkeyPatch], contextlib.AbstractContextManager[None]],
    width: int,
) -> None:
    recipients = [alice.identity.registrar, bob.identity.certificate]
    topic, sealed = alice.seal(recipients, width=picture().facts.width + width)
    with full(monkeypatch):
        alice.registrar.store(sealed, topic, name="boats.png", size=len(picture().content))
        bob.work()
        assert bob.entries == ({} if full is full_ledger or not width else {str(topic.image_id): "not_verified"})
    bob.receiver.try_postponed()
    assert bob.entries == {str(topic.image_id): "not_verified" if width else "saved"}
    assert len(bob.files) == 1 - width
    assert len(bob.printer.named("NEW_IMAGE")) == 1
    assert bob.session.unacknowledged == []


@pytest.mark.parametrize("full", [full_disk, full_ledger])
def test_a_full_disk_is_said_once_and_so_is_that_it_is_over(
    alice: Owner,
    bob: Reader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    full: Callable[[pytest.MonkeyPatch], contextlib.AbstractContextManager[None]],
) -> None:
    with full(monkeypatch):
        posted = [alice.post() for _ in range(3)]
        bob.work()
        for _ in range(3):
            bob.receiver.try_postponed()
        (begun,) = caplog.messages
        assert begun.endswith("; 1 image waits, going on when that is mended")
        assert "no space left on device" in begun or "disk is full" in begun
        assert set(bob.session.unacknowledged) == {
            topic for one in posted for topic in (one.header.topic, announcement_topic(one))
        }
        assert bob.entries == {}
        if full is full_disk:
            assert bob.files == []
    bob.receiver.try_postponed()
    assert caplog.messages[1:] == ["going on: what kept images from being saved is over"]
    assert_saved_once(bob, *posted)


def test_a_full_disk_costs_one_download(
    world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    withhold(world, bob, IMAGES)
    with full_disk(monkeypatch):
        posted = alice.post()
        bob.work()
        for _ in range(3):
            bob.receiver.try_postponed()
    bob.receiver.try_postponed()
    assert bob.registrar.fetched(posted.header.image_id) == [0]
    assert_saved_once(bob, posted)


def test_an_image_that_fails_for_good_keeps_nobody_back(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [RefusedError("the registrar failed", code="internal")] * 3
    broken = [alice.post() for _ in range(3)]
    bob.work()
    bob.registrar.faults += [RefusedError("the registrar failed", code="internal")] * 3
    bob.receiver.try_postponed()
    # Each of them was tried, since the fault of one says nothing about the next.
    assert bob.registrar.faults == []
    posted = [alice.post() for _ in range(2 * IN_FLIGHT)]
    bob.work()
    assert {event["image_id"] for event in bob.printer.named("saved")} == {one.header.image_id for one in posted}
    bob.receiver.try_postponed()
    assert_saved_once(bob, *broken, *posted)


def test_more_may_fail_than_the_broker_keeps_in_flight(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [SessionError("nobody answers", code="no_registrar")] * 2 * IN_FLIGHT
    posted = [alice.post() for _ in range(2 * IN_FLIGHT)]
    bob.work()
    assert bob.registrar.faults == []
    # The first are not acknowledged; the others are, and a crash would have the catalogue bring them again.
    assert bob.session.unacknowledged == [announcement_topic(one) for one in posted[:MOST_UNACKNOWLEDGED]]
    carry_honestly(world)
    bob.restart()
    bob.work()
    assert len(bob.entries) == MOST_UNACKNOWLEDGED
    bob.catch_up()
    assert_saved_once(bob, *posted)


def test_images_that_cannot_be_had_keep_nobody_back_however_many(
    world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postponed, "MOST", 3)
    withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    bob.registrar.faults += [RefusedError("the registrar failed", code="internal")] * 5
    broken = [alice.post() for _ in range(5)]
    sound = alice.post()
    bob.catch_up()
    assert (len(bob.receiver.postponed), bob.ledger.mark(["#"])) == (3, None)
    assert [saved["image_id"] for saved in bob.printer.named("saved")] == [sound.header.image_id]
    # A crash would forget all of it, and begin with the first.
    bob.restart()
    bob.catch_up()
    assert_saved_once(bob, *broken, sound)


def test_those_that_may_not_wait_are_tried_again_all_the_same(
    world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postponed, "MOST", 3)
    withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    bob.registrar.faults += [RefusedError("the registrar failed", code="internal")] * 5
    posted = [alice.post() for _ in range(5)]
    bob.catch_up()
    bob.catch_up()
    assert len(bob.files) == 2
    assert bob.ledger.mark(["#"]) is None
    bob.receiver.try_postponed()
    bob.catch_up()
    assert bob.registrar.list("oldest", bob.ledger.mark(["#"])).images == ()
    assert len(bob.printer.named("NEW_IMAGE")) == 5
    assert_saved_once(bob, *posted)


def test_what_is_let_go_is_caught_up_with(
    world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postponed, "MOST", 3)
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [SessionError("nobody answers", code="no_registrar")] * 6
    posted = [alice.post() for _ in range(5)]
    bob.work()
    assert bob.session.unacknowledged == [announcement_topic(one) for one in posted[:3]]
    bob.catch_up()
    assert bob.ledger.mark(["#"]) is None
    bob.registrar.faults.clear()
    bob.receiver.try_postponed()
    bob.catch_up()
    assert_saved_once(bob, *posted)


def test_while_nobody_answers_each_round_tries_one(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    silence = SessionError("nobody answers", code="no_registrar")
    bob.registrar.faults += [silence] * 3
    posted = [alice.post() for _ in range(3)]
    bob.work()
    assert bob.registrar.faults == []
    bob.registrar.faults += [silence] * 3
    bob.receiver.try_postponed()
    assert len(bob.registrar.faults) == 2
    # One image that fails every time does not keep the others back.
    bob.registrar.faults.clear()
    failed = [announcement_topic(one) for one in posted]
    assert bob.session.unacknowledged == failed
    bob.receiver.try_postponed()
    assert [saved["image_id"] for saved in bob.printer.named("saved")] == [
        one.header.image_id for one in (*posted[1:], posted[0])
    ]
    assert_saved_once(bob, *posted)


def test_each_message_is_acknowledged_once(
    world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    withhold(world, bob, IMAGES)
    monkeypatch.setattr(postponed, "MOST_UNACKNOWLEDGED", 1)
    acknowledge, acknowledged = SimulatedSession.acknowledge, []

    def note(session: SimulatedSession, message: Message) -> None:
        if session is bob.session and message.packet_id:
            acknowledged.append(message.packet_id)
        acknowledge(session, message)

    monkeypatch.setattr(SimulatedSession, "acknowledge", note)
    bob.restart()
    bob.registrar.faults += [RefusedError("the registrar failed", code="internal")] * 2
    posted = [alice.post() for _ in range(3)]
    bob.work()
    bob.receiver.try_postponed()
    assert len(acknowledged) == len(set(acknowledged)) == 3
    assert_saved_once(bob, *posted)


def test_what_is_postponed_survives_reconnections_and_a_crash(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [SessionError("nobody answers", code="no_registrar")]
    posted = alice.post()
    bob.work()
    for _ in range(2):
        bob.session.reconnect()
        bob.work()
        assert bob.session.unacknowledged == [announcement_topic(posted)]
    bob.restart()
    bob.work()
    assert_saved_once(bob, posted)


def test_without_a_revocation_list_in_date_nobody_is_trusted(world: World, alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    world.clock.advance(days=30)
    bob.work()
    bob.receiver.try_postponed()
    assert_nothing_decided(bob)
    assert names(bob) == ["NEW_IMAGE"]
    world.publish_trust(world.authorities.crl(number=2, lifetime=(world.clock(), world.clock() + DAY)))
    bob.receiver.try_postponed()
    assert_saved_once(bob, posted)
