"""What an owner is told of an image (docs/protocol.md, "Receipts"): what readers have signed, and nothing else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from authorities import DAY
from flows.members import Recorder
from flows.test_receipts import receipt_of

from common import topics
from common.arrivals import Message
from common.certificates import fingerprint
from common.errors import RefusedError
from common.registrar_client import RegistrarClient
from publisher.standing import Standing
from publisher.status_commands import follow_receipts

if TYPE_CHECKING:
    import uuid

    from flows.members import Owner, Reader
    from flows.world import World

    from common.messages import ReceiptsResult


def standing_of(owner: Owner, image_id: uuid.UUID) -> Standing:
    item = owner.outbox.get(image_id)
    assert item is not None
    return Standing(owner.identity, image_id, item.sha256, owner.world.clock)


def send(reader: Reader) -> None:
    reader.work()
    reader.receipts.send_owed()


def follow(owner: Owner, standing: Standing, *, turns: int = 20) -> list[dict[str, Any]]:
    """Return what following tells, until everybody has it or after some turns."""
    printer, left = Recorder(), iter(range(turns))
    follow_receipts(standing, owner.session, owner.registrar, printer, stop=lambda: next(left, None) is None)
    return printer.events


@pytest.fixture
def carol(world: World) -> Reader:
    return world.reader("carol")


def test_who_has_it_who_refuses_it_and_of_whom_nothing_is_known(
    world: World, alice: Owner, bob: Reader, carol: Reader
) -> None:
    world.reader("dave")
    image_id = alice.post().header.image_id
    send(bob)
    carol.registrar.acknowledge([receipt_of(carol, image_id, outcome="expired", sha256=None)])
    standing = standing_of(alice, image_id)
    new = standing.look(alice.registrar)
    assert {(receipt.reader, receipt.outcome) for receipt in new} == {("bob", "saved"), ("carol", "expired")}
    assert (standing.having, standing.silent, standing.is_complete) == ({"bob"}, ["dave"], False)
    assert standing.look(alice.registrar) == []


def test_an_image_for_one_person_is_complete_with_one(alice: Owner, bob: Reader, carol: Reader) -> None:
    image_id = alice.post(to=["bob"]).header.image_id
    carol.work()
    standing = standing_of(alice, image_id)
    standing.look(alice.registrar)
    assert (standing.readers, standing.is_complete) == (("bob",), False)
    send(bob)
    standing.look(alice.registrar)
    assert standing.is_complete


def test_who_is_revoked_later_had_it_all_the_same_and_who_was_before_has_not(
    world: World, alice: Owner, bob: Reader
) -> None:
    image_id = alice.post().header.image_id
    before = receipt_of(bob, image_id, sha256=alice_s_hash(alice, image_id))
    certificate = bob.identity.certificate
    world.clock.advance(days=1)
    revoked = world.authorities.crl({certificate: world.clock() - DAY / 2}, number=2)
    after = receipt_of(bob, image_id, sha256=alice_s_hash(alice, image_id))
    world.publish_trust(revoked)
    alice.registrar.refresh_trust()
    standing = standing_of(alice, image_id)
    standing.readers = ("bob",)
    assert standing.hear(after) == []
    assert [receipt.fingerprint for receipt in standing.hear(before)] == [fingerprint(certificate)]


def alice_s_hash(alice: Owner, image_id: uuid.UUID) -> str:
    item = alice.outbox.get(image_id)
    assert item is not None
    return item.sha256


def test_what_a_registrar_or_a_broker_makes_up_counts_for_nothing(alice: Owner, bob: Reader, carol: Reader) -> None:
    image_id, other = alice.post(to=["bob"]).header.image_id, alice.post().header.image_id
    digest = alice_s_hash(alice, image_id)
    sound = receipt_of(bob, image_id, sha256=digest)
    made_up = {
        "altered": sound[:-1] + bytes([sound[-1] ^ 1]),
        "in another's name": receipt_of(carol, image_id, reader="bob", sha256=digest),
        "of another device": receipt_of(bob, image_id, fingerprint="0" * 64, sha256=digest),
        "of another image": receipt_of(bob, other, sha256=digest),
        "of another owner's": receipt_of(bob, image_id, owner="carol", sha256=digest),
        "with another hash": receipt_of(bob, image_id, sha256="0" * 64),
        "of who was not named": receipt_of(carol, image_id, sha256=digest),
        "nothing": b"",
    }
    standing = standing_of(alice, image_id)
    standing.look(alice.registrar)
    assert {name: standing.hear(signed) for name, signed in made_up.items()} == {name: [] for name in made_up}
    assert not standing.is_complete
    assert [receipt.reader for receipt in standing.hear(sound)] == ["bob"]
    assert standing.is_complete


def test_following_tells_of_each_who_gets_it_and_ends_with_the_last(alice: Owner, bob: Reader, carol: Reader) -> None:
    image_id = alice.post().header.image_id
    standing = standing_of(alice, image_id)
    alice.session.subscribe(topics.receipts_of("alice", image_id))
    standing.look(alice.registrar)
    send(bob)
    (told,) = follow(alice, standing, turns=3)
    assert (told["event"], told["user"], told["sha256"]) == ("saved", "bob", alice_s_hash(alice, image_id))
    send(carol)
    (told,) = follow(alice, standing)
    assert (told["event"], told["user"]) == ("saved", "carol")
    assert follow(alice, standing) == []


def test_what_was_missed_is_asked_for_after_a_reconnection(alice: Owner, bob: Reader) -> None:
    image_id = alice.post().header.image_id
    standing = standing_of(alice, image_id)
    standing.look(alice.registrar)
    send(bob)
    assert follow(alice, standing, turns=2) == []
    alice.session.reconnect()
    assert [told["user"] for told in follow(alice, standing)] == ["bob"]


def test_what_a_stranger_sends_while_one_follows_is_passed_over(world: World, alice: Owner, bob: Reader) -> None:
    image_id = alice.post().header.image_id
    standing = standing_of(alice, image_id)
    alice.session.subscribe(topics.receipts_of("alice", image_id))
    standing.look(alice.registrar)
    world.broker.publish(Message(topics.receipt("alice", image_id, "bob"), b"no receipt"))
    send(bob)
    assert [told["user"] for told in follow(alice, standing)] == ["bob"]


def test_another_s_image_says_nothing(alice: Owner, bob: Reader) -> None:
    image_id = alice.post().header.image_id
    with pytest.raises(RefusedError) as caught:
        Standing(bob.identity, image_id, None, bob.world.clock).look(bob.registrar)
    assert caught.value.code == "not_owner"


def test_whoever_sends_junk_without_end_fills_nobody_s_terminal(
    alice: Owner, bob: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    standing = standing_of(alice, alice.post().header.image_id)
    standing.readers = (bob.identity.user,)
    assert standing.hear(b"junk") == []
    assert [record.levelno for record in caplog.records if record.getMessage().startswith("dropped a receipt")] == [
        logging.INFO
    ]


def test_a_registrar_that_does_not_go_on_keeps_nobody(
    alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = alice.post().header.image_id
    send(bob)
    pages: list[ReceiptsResult] = []

    def stay(registrar: RegistrarClient, image_id: uuid.UUID, mark: str | None) -> ReceiptsResult:
        assert len(pages) < 3, "it is asked without end"
        pages.append(receipts(registrar, image_id, mark).model_copy(update={"mark": "00", "complete": False}))
        return pages[-1]

    receipts = RegistrarClient.receipts
    monkeypatch.setattr(RegistrarClient, "receipts", stay)
    assert [receipt.reader for receipt in standing_of(alice, image_id).look(alice.registrar)] == ["bob"]
    assert len(pages) == 2
