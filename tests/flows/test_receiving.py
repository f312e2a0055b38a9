"""Receiving (docs/protocol.md, "Flows"): what is saved, what is refused, what is fetched, what is tried again."""

from __future__ import annotations

import contextlib
import errno
import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import authorities
import pytest
from authorities import DAY, NOW
from cryptography.hazmat.primitives import serialization
from flows.simulator import SimulatedSession
from flows.world import World, picture

from common import certificates, messages, topics
from common.arrivals import Message
from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError, VerificationError
from subscriber import inbox
from subscriber.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flows.world import Owner, Reader

    from common.topics import ImageTopic
    from publisher.post import Posted

IMAGES, ANNOUNCEMENTS = f"{topics.PREFIX}/images/", f"{topics.PREFIX}/announcements/"


def interfere(world: World, reader: Reader, change: Callable[[Message], list[Message]]) -> None:
    """Be a hostile broker towards this reader."""
    world.broker.carry = lambda client_id, message: (
        change(message) if client_id == reader.session.client_id else [message]
    )


def withhold(world: World, reader: Reader, *heads: str) -> list[Message]:
    """Keep messages on these topics from the reader; return the growing list of them."""
    withheld: list[Message] = []

    def change(message: Message) -> list[Message]:
        if message.topic.startswith(heads):
            withheld.append(message)
            return []
        return [message]

    interfere(world, reader, change)
    return withheld


def carry_honestly(world: World) -> None:
    world.broker.carry = lambda _client_id, message: [message]


def flip(message: Message) -> Message:
    middle = len(message.payload) // 2
    flipped = message.payload[middle] ^ 1
    return replace(message, payload=message.payload[:middle] + bytes([flipped]) + message.payload[middle + 1 :])


def reword(message: Message, **members: Any) -> Message:  # noqa: ANN401 - any member of the announcement
    return replace(message, payload=json.dumps(json.loads(message.payload) | members).encode())


def announcement_topic(posted: Posted) -> str:
    topic = topics.parse_image(posted.header.topic)
    assert topic is not None
    return topic.announcement


def names(reader: Reader) -> list[str]:
    return [event["event"] for event in reader.printer.events]


def assert_saved_once(reader: Reader, *posted: Posted) -> None:
    assert [path.read_bytes() for path in reader.files] == [picture().content] * len(posted)
    assert {image_id for image_id, outcome in reader.entries.items() if outcome == "saved"} == {
        str(one.header.image_id) for one in posted
    }
    assert len(reader.printer.named("saved")) == len(posted)
    assert reader.session.unacknowledged == []


def assert_nothing_decided(reader: Reader) -> None:
    assert reader.files == []
    assert reader.entries == {}


@pytest.fixture
def alice(world: World) -> Owner:
    return world.owner("alice")


@pytest.fixture
def bob(world: World) -> Reader:
    return world.reader("bob")


def test_an_image_and_its_announcement(alice: Owner, bob: Reader) -> None:
    posted = alice.post(caption="at dusk")
    bob.work()
    heard, saved = bob.printer.events
    assert (heard["event"], heard["image_id"], heard["name"]) == ("NEW_IMAGE", posted.header.image_id, "boats.png")
    assert (saved["event"], saved["owner"], saved["caption"]) == ("saved", "alice", "at dusk")
    assert_saved_once(bob, posted)


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


def test_what_was_dealt_with_is_acknowledged_and_no_more(world: World, alice: Owner, bob: Reader) -> None:
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
        alice.registrar.store(sealed, topic, name="boats.png", size=1)
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


def test_who_is_no_direct_recipient_gets_the_key_released(tmp_path: Path) -> None:
    with World(tmp_path, maximum_direct_recipients=1) as world:
        alice, bob = world.owner("alice"), world.reader("bob")
        posted = alice.post()
        assert posted.header.recipients == (certificates.fingerprint(alice.identity.registrar),)
        bob.work()
        assert_saved_once(bob, posted)


def test_who_joins_later_gets_what_was_for_every_member(world: World, alice: Owner) -> None:
    posted = alice.post()
    bob = world.reader("bob")
    bob.work()
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


def test_an_announcement_before_the_registrars_keeps_nothing_out(world: World, alice: Owner, bob: Reader) -> None:
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
    alice.registrar.store(sealed, topic, name="boats.png", size=1)
    bob.work()
    assert bob.entries == {str(topic.image_id): "saved"}


def test_a_removed_announcement_is_nothing_to_do(world: World, bob: Reader) -> None:
    topic = topics.ImageTopic("alice", "public", topics.new_image_id(NOW))
    bob.hear(Message(topic.announcement, b"", retained=False))
    bob.work()
    assert (bob.printer.events, bob.session.unacknowledged) == ([], [])


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


def forge(world: World, alice: Owner, bob: Reader) -> ImageTopic:
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
    forge(world, alice, bob)
    bob.work()
    assert bob.printer.events[-1]["code"] == "unknown_image"
    bob.restart()
    forge(world, alice, bob)
    bob.work()
    assert bob.printer.events[-1]["code"] == "unknown_image"
    assert_nothing_decided(bob)
    # Twin: a newer list without her.
    world.publish_trust(world.authorities.crl(number=6))
    topic = forge(world, alice, bob)
    bob.work()
    assert bob.entries == {str(topic.image_id): "saved"}


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
