"""Receiving (docs/protocol.md, "Flows"): what is saved, what is fetched, what is acknowledged."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from authorities import NOW
from flows.interference import (
    ANNOUNCEMENTS,
    IMAGES,
    assert_nothing_decided,
    assert_saved_once,
    carry_honestly,
    names,
    withhold,
)
from flows.simulator import IN_FLIGHT, SimulatedSession
from flows.world import World

from common import certificates, topics
from common.arrivals import Message
from common.errors import RefusedError
from common.signing import verify_detached
from subscriber.inbox import Inbox
from subscriber.ledger import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from flows.members import Owner, Reader


def test_an_image_and_its_announcement(alice: Owner, bob: Reader) -> None:
    posted = alice.post(caption="at dusk")
    bob.work()
    heard, saved = bob.printer.events
    assert (heard["event"], heard["image_id"], heard["name"]) == ("NEW_IMAGE", posted.header.image_id, "boats.png")
    assert (saved["event"], saved["owner"], saved["caption"]) == ("saved", "alice", "at dusk")
    assert_saved_once(bob, posted)


def test_what_the_owner_has_signed_is_kept_beside_the_image(alice: Owner, bob: Reader) -> None:
    posted = alice.post(caption="at dusk")
    bob.work()
    (entry,) = bob.ledger.entries()
    signature = bob.ledger.signature("alice", posted.header.image_id)
    assert entry.path is not None
    assert signature is not None
    signed = verify_detached(signature, entry.path.read_bytes())
    assert entry.header == posted.header
    assert signed.image_header == posted.header.to_json().decode()
    assert entry.fingerprint == certificates.fingerprint(signed.certificate)


def test_an_announcement_without_its_image_has_it_fetched(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    posted = alice.post()
    bob.work()
    assert_saved_once(bob, posted)


def test_an_image_that_comes_after_all_is_not_saved_again(world: World, alice: Owner, bob: Reader) -> None:
    withheld = withhold(world, bob, IMAGES)
    posted = alice.post()
    bob.work()
    carry_honestly(world)
    bob.hear(withheld[0])
    bob.work()
    assert_saved_once(bob, posted)


def test_an_image_without_its_announcement_waits(world: World, alice: Owner, bob: Reader) -> None:
    withheld = withhold(world, bob, ANNOUNCEMENTS)
    posted = alice.post()
    bob.work()
    assert_nothing_decided(bob)
    assert bob.session.unacknowledged == [posted.header.topic]
    carry_honestly(world)
    bob.hear(withheld[0])
    bob.work()
    assert_saved_once(bob, posted)


def test_images_past_the_bounds_are_fetched(tmp_path: Path) -> None:
    with World(tmp_path, waiting_images=2) as world:
        alice, bob = world.owner("alice"), world.reader("bob")
        withheld = withhold(world, bob, ANNOUNCEMENTS)
        posted = [alice.post() for _ in range(4)]
        bob.work()
        assert bob.session.unacknowledged == [one.header.topic for one in posted[2:]]
        carry_honestly(world)
        bob.hear(*withheld)
        bob.work()
        assert_saved_once(bob, *posted)


def test_what_was_dealt_with_is_acknowledged_and_no_more(alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    bob.work()
    bob.session.reconnect(forgotten=True)
    bob.hear(Message(posted.header.topic, b"anything"))
    bob.work()
    assert names(bob) == ["NEW_IMAGE", "saved"]
    assert_saved_once(bob, posted)


def test_nothing_is_acknowledged_before_file_and_ledger(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    carol = world.reader("carol")
    acknowledge = SimulatedSession.acknowledge
    seen = []

    def look(session: SimulatedSession, message: Message) -> None:
        if message.topic.startswith((IMAGES, ANNOUNCEMENTS)) and session is carol.session:
            seen.append((len(carol.files), list(carol.entries.values())))
        acknowledge(session, message)

    monkeypatch.setattr(SimulatedSession, "acknowledge", look)
    carol.restart()
    alice.post()
    carol.work()
    assert seen == [(1, ["saved"])] * 2


def test_who_is_no_direct_recipient_gets_the_key_released(tmp_path: Path) -> None:
    with World(tmp_path, maximum_direct_recipients=1) as world:
        alice, bob = world.owner("alice"), world.reader("bob")
        posted = alice.post()
        assert posted.header.recipients == (certificates.fingerprint(alice.identity.registrar),)
        bob.work()
        assert_saved_once(bob, posted)


def test_keys_are_released_for_more_than_the_broker_keeps_in_flight(tmp_path: Path) -> None:
    with World(tmp_path, maximum_direct_recipients=1) as world:
        alice, bob = world.owner("alice"), world.reader("bob")
        posted = [alice.post() for _ in range(IN_FLIGHT)]
        bob.work()
        assert_saved_once(bob, *posted)


def test_who_joins_later_gets_what_was_for_every_member(world: World, alice: Owner) -> None:
    posted = alice.post()
    bob = world.reader("bob")
    bob.run()
    assert_saved_once(bob, posted)


def test_no_key_is_released_to_who_is_not_meant(world: World, alice: Owner, bob: Reader) -> None:
    carol = world.reader("carol")
    posted = alice.post(to=["carol"])
    bob.work()
    carol.work()
    assert names(bob) == ["NEW_IMAGE", "refused"]
    refused = bob.printer.named("refused")[0]
    assert (refused["code"], refused["message"]) == ("not_recipient", "the image is for other people")
    assert bob.entries == {str(posted.header.image_id): "not_recipient"}
    assert (bob.files, bob.session.unacknowledged) == ([], [])
    assert_saved_once(carol, posted)


def test_the_daemon_and_a_fetch_beside_it_save_an_image_once(
    alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted = alice.post()
    beside = threading.Thread(target=bob.fetch, args=(posted.header.image_id,))
    save = Inbox.save

    def save_while_another_wants_to(*arguments: Any) -> Path:  # noqa: ANN401 - those of save
        monkeypatch.undo()
        beside.start()
        beside.join(0.2)
        assert beside.is_alive()
        return save(*arguments)

    monkeypatch.setattr(Inbox, "save", save_while_another_wants_to)
    bob.work()
    beside.join()
    assert names(bob) == ["NEW_IMAGE", "saved", "already_saved"]
    assert_saved_once(bob, posted)


def test_what_was_refused_can_be_fetched_once_more(world: World, alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    bob.ledger.add(Entry("alice", posted.header.image_id, "public", "not_verified", world.clock()))
    bob.work()
    assert (bob.files, bob.session.unacknowledged) == ([], [])
    bob.fetch(posted.header.image_id)
    assert_saved_once(bob, posted)


def test_what_is_refused_once_more_stays_so(world: World, alice: Owner, bob: Reader) -> None:
    world.reader("carol")
    posted = alice.post(to=["carol"])
    bob.work()
    with pytest.raises(RefusedError, match="the image is for other people"):
        bob.fetch(posted.header.image_id)
    assert names(bob) == ["NEW_IMAGE", "refused", "refused"]
    assert bob.entries == {str(posted.header.image_id): "not_recipient"}
    assert bob.files == []


def test_what_another_program_has_saved_meanwhile_is_not_refused(alice: Owner, bob: Reader) -> None:
    posted = alice.post()
    bob.work()
    bob.keeper.refuse(posted.item.topic, RefusedError("the image was removed by alice", code="removed"))
    assert names(bob) == ["NEW_IMAGE", "saved"]
    assert_saved_once(bob, posted)


def test_a_removed_announcement_is_nothing_to_do(bob: Reader) -> None:
    topic = topics.ImageTopic("alice", "public", topics.new_image_id(NOW))
    bob.hear(Message(topic.announcement, b"", retained=False))
    bob.work()
    assert (bob.printer.events, bob.session.unacknowledged) == ([], [])
