"""The same image listed by the signed catalogue and announced by a broker: the catalogue's word stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from authorities import NOW
from flows.interference import (
    ANNOUNCEMENTS,
    IMAGES,
    announcement_topic,
    assert_saved_once,
    names,
    reword,
    withhold,
)
from flows.members import picture

from common import messages
from common.arrivals import Message
from common.errors import RefusedError, VerificationError
from common.topics import ImageTopic

if TYPE_CHECKING:
    from flows.members import Owner, Reader
    from flows.world import World

    from publisher.post import Posted

FAULT = RefusedError("the registrar failed", code="internal")


@pytest.mark.parametrize("payload", [b"{}", b"no JSON", b'{"event":"NEW_IMAGE"}'])
def test_a_false_announcement_does_not_have_a_listed_image_passed(
    world: World, alice: Owner, bob: Reader, payload: bytes
) -> None:
    withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted = alice.post()
    bob.registrar.faults += [FAULT]
    bob.catch_up()
    bob.hear(Message(announcement_topic(posted), payload))
    bob.work()
    assert bob.session.unacknowledged == []
    bob.receiver.try_postponed()
    assert names(bob) == ["NEW_IMAGE", "saved"]
    bob.catch_up()
    assert_saved_once(bob, posted)


def test_nor_does_one_that_came_first(world: World, alice: Owner, bob: Reader) -> None:
    withheld = withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted = alice.post()
    bob.registrar.faults += [FAULT]
    bob.hear(reword(withheld[1], sha256_sealed="0" * 64))
    bob.work()
    assert bob.session.unacknowledged == [announcement_topic(posted)]
    # The catalogue's takes its place, and what the broker sent stays to be acknowledged.
    bob.catch_up()
    bob.hear(replace(withheld[1], payload=b"{}"))
    bob.work()
    assert set(bob.session.unacknowledged) == {announcement_topic(posted)}
    bob.receiver.try_postponed()
    assert names(bob) == ["NEW_IMAGE", "saved"]
    assert_saved_once(bob, posted)


def test_what_a_false_announcement_settled_is_taken_from_the_catalogue_again(
    world: World, alice: Owner, bob: Reader
) -> None:
    withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted = alice.post()
    bob.registrar.faults += [FAULT]
    bob.catch_up()
    bob.receiver.postponed.settle(posted.item.topic)
    bob.catch_up()
    assert bob.registrar.list("oldest", bob.ledger.mark(["#"])).images == ()
    assert_saved_once(bob, posted)


def test_what_is_listed_and_refused_as_an_announcement_only_is_not_passed(
    world: World, alice: Owner, bob: Reader
) -> None:
    withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted = alice.post()
    bob.registrar.faults += [VerificationError("under another topic", code="invalid_announcement")]
    bob.catch_up()
    assert (names(bob), bob.ledger.mark(["#"])) == (["NEW_IMAGE", "refused"], None)
    bob.catch_up()
    assert_saved_once(bob, posted)


def forge_announcement(posted: Posted) -> Message:
    forged = messages.Announcement(
        image_id=posted.header.image_id,
        name="boats.png",
        owner="alice",
        channel="public",
        size=1,
        sealed_size=1,
        sha256_sealed="0" * 64,
        stored_at=NOW,
    )
    return Message(announcement_topic(posted), forged.to_json())


@pytest.mark.parametrize("to", [(), ("carol",)], ids=["removed", "for somebody else"])
def test_another_owner_s_image_with_the_same_id_decides_nothing(
    world: World, alice: Owner, bob: Reader, to: tuple[str, ...]
) -> None:
    mallory, carol = world.owner("mallory"), world.identity("carol")
    posted = alice.seal_picture()
    image_id = posted.header.image_id
    recipients = [carol.certificate] if to else [alice.identity.registrar]
    theirs = ImageTopic("mallory", "public", image_id)
    _, sealed = mallory.seal(recipients, image_id=image_id, topic=theirs.image)
    mallory.registrar.store(sealed, theirs, name=None if to else "forged.png", size=len(picture().content))
    if not to:
        mallory.registrar.remove(image_id)
    bob.hear(forge_announcement(posted))
    bob.work()
    assert names(bob)[-2:] == ["NEW_IMAGE", "refused"]
    assert not bob.ledger.knows("alice", image_id)
    if to:
        mallory.registrar.remove(image_id)
    alice.registrar.store(posted.sealed, posted.item.topic, name="boats.png", size=posted.header.size)
    bob.run()
    assert_saved_once(bob, posted)
