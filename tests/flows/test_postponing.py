"""What may pass is tried again, and costs no image."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import pytest
from authorities import DAY
from flows.interference import (
    IMAGES,
    announcement_topic,
    assert_nothing_decided,
    assert_saved_once,
    names,
    withhold,
)
from flows.members import picture

from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError, VerificationError
from subscriber import inbox
from subscriber.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flows.members import Owner, Reader
    from flows.world import World


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
        raise ConfigurationError("the disk is full", code="ledger")

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
