"""What a reader keeps of the audit log, and what it says of a log that was cut or written anew."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING

import authorities
import pytest

from common import messages, topics
from common.signing import sign, verify_signature
from registrar.audit import Head
from registrar.audit_head import read_head, sign_head
from subscriber.witness import KEPT_HEAD

if TYPE_CHECKING:
    from flows.members import Reader
    from flows.world import World

HASHES = "a" * 64, "b" * 64


def publish(world: World, ordinal: int, hash_: str = HASHES[0]) -> bytes:
    """Publish a head a quarter of an hour later, and return it."""
    world.clock.advance(minutes=15)
    publication = sign_head(Head(ordinal, hash_), world.handlers, world.clock())
    world.service.retain(publication)
    return publication.payload


def kept(bob: Reader) -> bytes:
    return (bob.home / KEPT_HEAD).read_bytes()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_reader_keeps_the_newest_head_so_that_it_proves_something(
    world: World, bob: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    for ordinal, hash_ in ((0, HASHES[0]), (3, HASHES[0]), (3, HASHES[0]), (7, HASHES[1])):
        head = publish(world, ordinal, hash_)
        bob.daemon.turn(lambda: False, timeout=0)
        assert kept(bob) == head
    assert read_head(bob.home / KEPT_HEAD, world.handlers.certificate).ordinal == 7
    assert warnings(caplog) == []


@pytest.mark.parametrize(("ordinal", "hash_"), [(2, HASHES[0]), (3, HASHES[1]), (0, HASHES[1])])
def test_a_log_that_was_cut_or_written_anew_is_said_once_and_the_proof_stays(
    world: World, bob: Reader, caplog: pytest.LogCaptureFixture, ordinal: int, hash_: str
) -> None:
    proof = publish(world, 3)
    bob.daemon.turn(lambda: False, timeout=0)
    for _ in range(2):
        publish(world, ordinal, hash_)
        bob.daemon.turn(lambda: False, timeout=0)
    (warning,) = warnings(caplog)
    assert "was cut or written anew" in warning
    assert kept(bob) == proof


def test_a_log_that_was_written_anew_and_has_grown_leaves_a_head_of_each_day_before(
    world: World, bob: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    proofs = {}
    for ordinal in range(10):
        for later in (0, 1):
            head = publish(world, 2 * ordinal + later)
            bob.daemon.turn(lambda: False, timeout=0)
            proofs.setdefault(f"audit-head-{world.clock():%F}.cms", head)
        world.clock.advance(days=1)
        world.publish_trust(world.authorities.crl(number=int(world.clock().timestamp())))
    anew = publish(world, 1000, HASHES[1])
    bob.daemon.turn(lambda: False, timeout=0)
    proofs[f"audit-head-{world.clock():%F}.cms"] = anew
    assert kept(bob) == anew
    assert {path.name: path.read_bytes() for path in bob.home.glob("audit-head-*")} == dict([*proofs.items()][-7:])
    assert read_head(bob.home / [*proofs][-2], world.handlers.certificate).hash == HASHES[0]
    assert warnings(caplog) == []


def test_a_head_that_is_dated_ahead_is_not_kept_and_hides_nothing(
    world: World, bob: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    sound = publish(world, 3)
    bob.daemon.turn(lambda: False, timeout=0)
    world.service.retain(sign_head(Head(9, HASHES[0]), world.handlers, world.clock() + dt.timedelta(days=9000)))
    for _ in range(2):
        world.clock.advance(minutes=15)
        bob.daemon.turn(lambda: False, timeout=0)
    assert kept(bob) == sound
    publish(world, 2)
    bob.daemon.turn(lambda: False, timeout=0)
    ahead, cut = warnings(caplog)
    assert "does not count: it says that it was signed at" in ahead
    assert "was cut or written anew" in cut


def test_replicas_may_publish_in_another_order(world: World, bob: Reader, caplog: pytest.LogCaptureFixture) -> None:
    newest = publish(world, 3)
    bob.daemon.turn(lambda: False, timeout=0)
    world.clock.advance(seconds=20)
    world.service.retain(sign_head(Head(2, HASHES[1]), world.handlers, world.clock()))
    bob.daemon.turn(lambda: False, timeout=0)
    assert (kept(bob), warnings(caplog)) == (newest, [])


def test_a_head_that_the_registrar_has_not_signed_is_not_kept(
    world: World, bob: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    sound = publish(world, 3)
    bob.daemon.turn(lambda: False, timeout=0)
    mallory = authorities.default().member("mallory")
    content = verify_signature(sound, with_image_header=False).content.replace(b'"ordinal":3', b'"ordinal":9')
    assert messages.read(messages.AuditHead, content).ordinal == 9
    for forged in (sign(content, mallory.key, mallory.certificate), content, b""):
        world.clock.advance(minutes=15)
        world.members.publish(topics.AUDIT_HEAD, forged, retain=True)
        bob.daemon.turn(lambda: False, timeout=0)
        assert kept(bob) == sound
    assert len(warnings(caplog)) >= 2
