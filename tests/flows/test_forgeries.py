"""What a broker alters or makes up is not saved, and keeps out nothing that is true."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from cryptography.hazmat.primitives import serialization
from flows.interference import (
    ANNOUNCEMENTS,
    IMAGES,
    announcement_topic,
    assert_nothing_decided,
    assert_saved_once,
    carry_honestly,
    flip,
    interfere,
    names,
    reword,
    withhold,
)
from flows.members import picture

from common import messages, topics
from common.arrivals import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.members import Owner, Reader
    from flows.world import World

    from common.topics import ImageTopic


def test_an_altered_image_is_fetched(world: World, alice: Owner, bob: Reader) -> None:
    interfere(world, bob, lambda message: [flip(message) if message.topic.startswith(IMAGES) else message])
    posted = alice.post()
    bob.work()
    assert_saved_once(bob, posted)


@pytest.mark.parametrize("to", [(), ("bob",)])
def test_an_altered_image_with_an_announcement_to_match_is_fetched(
    world: World, alice: Owner, bob: Reader, to: tuple[str, ...]
) -> None:
    altered: list[Message] = []

    def change(message: Message) -> list[Message]:
        if message.topic.startswith(IMAGES):
            altered.append(flip(message))
            return altered[-1:]
        if message.topic.startswith(ANNOUNCEMENTS):
            return [reword(message, sha256_sealed=sha256(altered[-1].payload).hexdigest())]
        return [message]

    interfere(world, bob, change)
    posted = alice.post(to=to)
    bob.work()
    assert_saved_once(bob, posted)


def test_an_owner_cannot_send_one_image_and_have_another_announced(world: World, alice: Owner, bob: Reader) -> None:
    recipients = [alice.identity.registrar, bob.identity.certificate]
    topic, announced = alice.seal(recipients, caption="announced")
    _, other = alice.seal(recipients, caption="other", image_id=topic.image_id, topic=topic.image)
    interfere(
        world, bob, lambda message: [replace(message, payload=other) if message.topic == topic.image else message]
    )
    alice.registrar.store(announced, topic, name="boats.png", size=len(picture().content))
    bob.work()
    assert [saved["caption"] for saved in bob.printer.named("saved")] == ["announced"]


def test_a_refused_image_does_not_keep_the_next_one_back(alice: Owner, bob: Reader) -> None:
    recipients = [alice.identity.registrar, bob.identity.certificate]
    topic, sealed = alice.seal(recipients, width=picture().facts.width + 1)
    alice.registrar.store(sealed, topic, name="forged.png", size=len(picture().content))
    posted = alice.post()
    bob.work()
    assert names(bob) == ["NEW_IMAGE", "refused", "NEW_IMAGE", "saved"]
    refused = bob.printer.named("refused")[0]
    assert (refused["image_id"], refused["code"]) == (topic.image_id, "not_verified")
    assert refused["message"] == "the image could not be verified"
    assert bob.entries[str(topic.image_id)] == "not_verified"
    assert_saved_once(bob, posted)


UNFOUNDED: dict[str, Callable[[Message], Message]] = {
    "other owner": lambda message: reword(message, owner="carol"),
    "other channel": lambda message: reword(message, channel="private"),
    "other id": lambda message: reword(message, image_id=str(topics.new_image_id(NOW))),
    "one member more": lambda message: reword(message, note="hello"),
    "no JSON": lambda message: replace(message, payload=b"NEW_IMAGE"),
    "no text": lambda message: replace(message, payload=b"\xff" * 9),
    "other kind of topic": lambda message: reword(
        replace(message, topic=message.topic.replace("/public/", "/private/")), channel="private"
    ),
}


@pytest.mark.parametrize("change", UNFOUNDED.values(), ids=UNFOUNDED)
def test_a_forged_announcement_keeps_nothing_out(
    world: World, alice: Owner, bob: Reader, change: Callable[[Message], Message]
) -> None:
    withheld = withhold(world, bob, ANNOUNCEMENTS)
    posted = alice.post()
    carry_honestly(world)
    bob.hear(change(withheld[0]))
    bob.work()
    assert bob.printer.events[-1]["event"] == "refused"
    assert bob.printer.events[-1]["code"] == "invalid_announcement"
    assert_nothing_decided(bob)
    bob.hear(withheld[0])
    bob.work()
    assert_saved_once(bob, posted)


def test_an_announcement_before_the_registrars_keeps_nothing_out(alice: Owner, bob: Reader) -> None:
    topic, sealed = alice.seal([alice.identity.registrar, bob.identity.certificate])
    announcement = messages.Announcement(
        image_id=topic.image_id,
        name="early.png",
        owner="alice",
        channel="public",
        size=1,
        sealed_size=len(sealed),
        sha256_sealed=sha256(b"altered").hexdigest(),
        stored_at=NOW,
    )
    bob.hear(Message(topic.image, b"altered"), Message(topic.announcement, announcement.to_json()))
    bob.work()
    assert bob.printer.events[-1]["code"] == "unknown_image"
    assert_nothing_decided(bob)
    alice.registrar.store(sealed, topic, name="boats.png", size=len(picture().content))
    bob.work()
    assert bob.entries == {str(topic.image_id): "saved"}


def test_an_image_under_another_topic_is_not_saved_from_there(world: World, alice: Owner, bob: Reader) -> None:
    withheld = withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted = alice.post()
    carry_honestly(world)
    for message in withheld:
        moved = replace(message, topic=message.topic.replace("/public/", "/private/"))
        bob.hear(moved if moved.topic.startswith(IMAGES) else reword(moved, channel="private"))
    bob.work()
    assert bob.printer.events[-1]["code"] == "invalid_announcement"
    assert_nothing_decided(bob)
    bob.hear(*withheld)
    bob.work()
    assert_saved_once(bob, posted)


@pytest.mark.parametrize("revoked", [False, True])
def test_an_owners_certificate_may_have_ended_since(world: World, *, revoked: bool) -> None:
    short = authorities.default().new_member("alice", lifetime=(NOW - DAY, NOW + DAY))
    alice, bob = world.owner("alice", short), world.reader("bob")
    posted = alice.post()
    if revoked:
        world.clock.advance(seconds=1)
        world.publish_trust(world.authorities.crl({short.certificate: world.clock()}, number=2))
    else:
        world.clock.advance(days=2)
    world.broker.carry = lambda client_id, message: [message] if client_id != world.members.client_id else []
    bob.work()
    # What came natively is as good as its owner's certificate is now; the registrar can say when it was stored.
    assert_nothing_decided(bob)
    assert bob.session.unacknowledged == [posted.header.topic, announcement_topic(posted)]
    carry_honestly(world)
    bob.receiver.try_postponed()
    assert_saved_once(bob, posted)


def forge(alice: Owner, bob: Reader) -> ImageTopic:
    """Bring an image that the registrar never saw, as the broker could with a key of alice's."""
    topic, sealed = alice.seal([bob.identity.certificate], audience="named")
    announcement = messages.Announcement(
        image_id=topic.image_id,
        name=None,
        owner="alice",
        channel="public",
        size=1,
        sealed_size=len(sealed),
        sha256_sealed=sha256(sealed).hexdigest(),
        stored_at=NOW,
    )
    bob.hear(Message(topic.image, sealed), Message(topic.announcement, announcement.to_json()))
    return topic


def test_a_revocation_cannot_be_taken_back_with_an_older_list(world: World, alice: Owner, bob: Reader) -> None:
    revoking = world.authorities.crl({alice.identity.certificate: NOW}, number=5)
    old = world.authorities.crl(number=4).public_bytes(serialization.Encoding.PEM)
    world.publish_trust(revoking)
    bob.registrar.refresh_trust()
    world.broker.publish(Message(topics.TRUST_CRL, old, retained=True))
    forge(alice, bob)
    bob.work()
    assert bob.printer.events[-1]["code"] == "unknown_image"
    bob.restart()
    forge(alice, bob)
    bob.work()
    assert bob.printer.events[-1]["code"] == "unknown_image"
    assert_nothing_decided(bob)
    # Twin: a newer list without her.
    world.publish_trust(world.authorities.crl(number=6))
    topic = forge(alice, bob)
    bob.work()
    assert bob.entries == {str(topic.image_id): "saved"}
