"""Receipts (docs/protocol.md, "Receipts"): what an owner learns of each reader, and what nobody can make up."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from authorities import NOW
from flows.interference import IMAGES, names, withhold
from system import wait_until

from common import certificates, messages, topics
from common.arrivals import Message
from common.errors import RefusedError, SessionError
from common.receipts import read_receipt, sign_receipt
from registrar.retained import rebuild
from subscriber.ledger import Entry
from subscriber.receipts import owed_by, sending

if TYPE_CHECKING:
    import uuid

    from flows.members import Owner, Reader
    from flows.world import World


def receipts(owner: Owner, image_id: uuid.UUID) -> list[messages.Receipt]:
    """Return what the registrar has of an image, each verified as its owner would."""
    now = owner.world.clock()
    page = owner.registrar.receipts(image_id, None)
    assert page.complete
    return [read_receipt(signed, owner.identity.trust, now=now)[0] for signed in page.receipts]


def receipt_of(reader: Reader, image_id: uuid.UUID, /, **changes: Any) -> bytes:  # noqa: ANN401 - any member of a receipt
    """Return a receipt as a hostile reader would sign it."""
    now, identity = reader.world.clock(), reader.identity
    members: dict[str, Any] = {
        "image_id": image_id,
        "owner": "alice",
        "reader": identity.user,
        "fingerprint": certificates.fingerprint(identity.certificate),
        "outcome": "saved",
        "sha256": "ab" * 32,
        "handled_at": now,
        "signed_at": now,
    }
    return sign_receipt(messages.Receipt(**members | changes), identity.key, identity.certificate)


def refusal(reader: Reader, *signed: bytes) -> str:
    with pytest.raises(RefusedError) as caught:
        reader.registrar.acknowledge(signed)
    return caught.value.code


def test_the_owner_learns_who_has_saved_an_image(alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    assert receipts(alice, posted.header.image_id) == []
    bob.work()
    assert bob.receipts.send_owed()
    (receipt,) = receipts(alice, posted.header.image_id)
    assert (receipt.reader, receipt.outcome, receipt.sha256) == ("bob", "saved", posted.header.sha256)
    assert receipt.handled_at == bob.ledger.entries()[0].at
    assert receipt.fingerprint == certificates.fingerprint(bob.identity.certificate)
    assert not bob.receipts.send_owed()


def test_an_owner_who_is_looking_hears_of_it_at_once(alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    alice.session.subscribe(topics.receipts_of("alice", posted.header.image_id))
    alice.session.receive(timeout=0)
    bob.work()
    bob.receipts.send_owed()
    heard = alice.session.receive(timeout=0)
    assert isinstance(heard, Message)
    assert heard.topic == topics.receipt("alice", posted.header.image_id, "bob")
    receipt, _ = read_receipt(heard.payload, alice.identity.trust, now=alice.world.clock())
    assert [receipt] == receipts(alice, posted.header.image_id)
    # Whoever knows a client id can take its session over.
    assert (heard.response_topic, heard.retained) == (None, False)


@pytest.mark.parametrize("level", ["01a20f24-ce00-7040-be21-3ade01d17fba", "zz"])
def test_nothing_is_retained_where_receipts_go(world: World, level: str) -> None:
    """A member may write there, and the broker would keep it for good."""
    topic = f"{topics.PREFIX}/receipts/alice/{level}/bob"
    world.broker.publish(Message(topic, bytes(100_000), retained=True))
    wait_until(lambda: not world.members.unacknowledged, "the registrar has looked at everything")
    assert topic not in world.broker.retained
    for came_meanwhile in (topic, f"{topics.PREFIX}/requests/foo/bob/{'a' * 32}"):
        world.broker.retained[came_meanwhile] = Message(came_meanwhile, b"x", retained=True)
    with world.broker.session("f" * 32 + "-rebuild") as session:
        rebuild(session, world.handlers, world.clock)
    assert not any("/receipts/" in one or "/requests/" in one for one in world.broker.retained)


def test_a_receipt_that_a_kill_came_before_is_sent_at_the_next_start(alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    bob.work()
    bob.restart()
    assert bob.receipts.send_owed()
    assert [receipt.reader for receipt in receipts(alice, posted.header.image_id)] == ["bob"]


def test_without_a_registrar_receipts_are_owed_and_images_saved(world: World, alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    bob.work()
    world.broker.carry = lambda _client_id, message: [] if "/acknowledge/" in message.topic else [message]
    with pytest.raises(SessionError):
        bob.receipts.send_owed()
    assert bob.entries[str(posted.header.image_id)] == "saved"
    world.broker.carry = lambda _client_id, message: [message]
    assert bob.receipts.send_owed()
    assert len(receipts(alice, posted.header.image_id)) == 1


def test_a_reply_that_is_lost_has_the_receipt_sent_again_and_kept_once(world: World, alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    bob.work()
    (entry,) = bob.ledger.owed_receipts(8)
    bob.receipts.send_owed()
    first = receipts(alice, posted.header.image_id)
    bob.ledger.owe_receipt(entry)
    world.clock.advance(seconds=10)
    assert bob.receipts.send_owed()
    assert receipts(alice, posted.header.image_id) == first


def test_an_image_that_is_refused_and_later_saved_is_saved(world: World, alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    image_id = posted.header.image_id
    bob.registrar.acknowledge([receipt_of(bob, image_id, outcome="not_verified", sha256=None)])
    assert [receipt.outcome for receipt in receipts(alice, image_id)] == ["not_verified"]
    world.clock.advance(seconds=10)
    bob.work()
    bob.receipts.send_owed()
    assert [receipt.outcome for receipt in receipts(alice, image_id)] == ["saved"]
    world.clock.advance(seconds=10)
    bob.registrar.acknowledge([receipt_of(bob, image_id, outcome="expired", sha256=None)])
    assert [receipt.outcome for receipt in receipts(alice, image_id)] == ["saved"]


def test_what_a_reader_refuses_its_owner_learns_by_its_code(world: World, alice: Owner, bob: Reader) -> None:
    topic, sealed = alice.seal([world.authorities.registrar.certificate], width=1)
    alice.registrar.store(sealed, topic, name="forged.png", size=1)
    bob.work()
    bob.receipts.send_owed()
    (receipt,) = receipts(alice, topic.image_id)
    assert (receipt.outcome, receipt.sha256) == ("not_verified", None)


def test_for_whom_an_image_is_who_asks_and_who_is_no_member(world: World, alice: Owner, bob: Reader) -> None:
    world.reader("carol")
    for_all, for_bob = alice.post().header.image_id, alice.post(to=["bob"]).header.image_id
    assert alice.registrar.receipts(for_all, None).readers == ("bob", "carol")
    assert alice.registrar.receipts(for_bob, None).readers == ("bob",)
    with pytest.raises(RefusedError) as caught:
        bob.registrar.receipts(for_bob, None)
    assert caught.value.code == "not_owner"
    alice.registrar.remove(for_bob)
    with pytest.raises(RefusedError) as caught:
        alice.registrar.receipts(for_bob, None)
    assert caught.value.code == "removed"


def test_nobody_says_that_an_image_came_which_is_for_others(world: World, alice: Owner, bob: Reader) -> None:
    carol = world.reader("carol")
    image_id = alice.post(to=["bob"]).header.image_id
    carol.work()
    assert carol.entries[str(image_id)] == "not_recipient"
    assert not carol.receipts.send_owed()
    assert carol.registrar.acknowledge([receipt_of(carol, image_id)]).taken == ()
    assert receipts(alice, image_id) == []
    bob.work()
    bob.receipts.send_owed()
    assert [receipt.reader for receipt in receipts(alice, image_id)] == ["bob"]


def test_a_receipt_is_its_reader_s_own(world: World, alice: Owner, bob: Reader) -> None:
    carol = world.reader("carol")
    image_id = alice.post().header.image_id
    assert refusal(carol, receipt_of(bob, image_id)) == "wrong_signer"
    assert refusal(carol, receipt_of(carol, image_id, reader="bob")) == "invalid_request"
    assert refusal(carol, receipt_of(carol, image_id, fingerprint="0" * 64)) == "invalid_request"
    assert refusal(carol, b"no receipt") == "invalid_request"
    assert carol.registrar.acknowledge([receipt_of(carol, image_id, owner="bob")]).taken == ()
    assert receipts(alice, image_id) == []
    assert carol.registrar.acknowledge([receipt_of(carol, image_id)]).taken == (image_id,)


def test_a_receipt_of_an_image_that_is_gone_is_owed_no_more(alice: Owner, bob: Reader) -> None:
    image_id = alice.post().header.image_id
    bob.work()
    alice.registrar.remove(image_id)
    assert bob.receipts.send_owed()
    assert not bob.receipts.send_owed()


def test_of_whose_image_a_receipt_is_owed_and_by_whom() -> None:
    entry = Entry("alice", topics.new_image_id(NOW), "public", "saved", NOW)
    owes = owed_by("bob")
    assert owes(entry)
    assert owes(dataclasses.replace(entry, outcome="expired"))
    # It is for others, or is gone; it is bob's own; bob sends none.
    assert not any(owes(dataclasses.replace(entry, outcome=code)) for code in ("not_recipient", "removed"))
    assert not owes(dataclasses.replace(entry, owner="bob"))
    assert not owed_by(None)(entry)


def test_what_is_owed_is_sent_beside_the_saving_if_wanted(world: World, alice: Owner, bob: Reader) -> None:
    image_id = alice.post().header.image_id
    bob.work()
    with sending(bob.receipts, world.settings, wanted=False):
        assert bob.ledger.owed_receipts(8)
    assert bob.ledger.owed_receipts(8)
    with sending(bob.receipts, world.settings, wanted=True):
        wait_until(lambda: receipts(alice, image_id), "a receipt")
        later = alice.post().header.image_id
        bob.work()
        wait_until(lambda: receipts(alice, later), "the next receipt")
        wait_until(lambda: not bob.ledger.owed_receipts(8), "nothing is owed")


def test_many_receipts_go_together(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    posted = [alice.post() for _ in range(messages.MOST_RECEIPTS + 1)]
    bob.catch_up()
    rounds = 0
    while bob.receipts.send_owed():
        rounds += 1
    assert rounds == 2
    assert all(len(receipts(alice, one.header.image_id)) == 1 for one in posted)
    assert names(bob).count("saved") == len(posted)
