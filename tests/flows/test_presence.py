"""Presence (docs/protocol.md, "Presence"): devices speak of themselves, and of none that is not in good standing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from flows.simulator import SimulatedSession
from system import wait_until

from common import messages, topics
from common.arrivals import Message
from common.certificates import fingerprint, to_pem
from common.revocation_lists import Reason
from publisher.people import Person, find_people
from registrar.enforcing import Enforcement
from registrar.retained import rebuild
from subscriber.presence import Presence, presence_topic

if TYPE_CHECKING:
    from flows.members import Owner, Reader
    from flows.world import World

BOGUS = topics.presence("bob", "0" * 64)


def say(world: World, topic: str, payload: bytes = messages.ONLINE) -> None:
    """Have the broker retain it, and wait until the registrar has looked at it."""
    world.broker.publish(Message(topic, payload, retained=True))
    wait_until(lambda: not world.members.unacknowledged, "the registrar has looked at everything")


def people(alice: Owner) -> dict[str, Person]:
    """Return whom alice finds."""
    session = alice.world.broker.session("e" * 32 + "-people")
    with session:
        registrar = dataclasses.replace(alice).registrar
        registrar._session = session  # noqa: SLF001 - the command asks on the session that is subscribed
        registrar.join()
        return {one.user: one for one in find_people(session, registrar, alice.identity, alice.world.clock())}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [(BOGUS, messages.ONLINE), (topics.presence("nobody", "1" * 64), messages.OFFLINE), (None, b"x" * 100_000)],
    ids=["of no device", "of no member", "no presence"],
)
def test_what_no_device_says_of_itself_is_cleared(world: World, bob: Reader, topic: str | None, payload: bytes) -> None:
    topic = topic or presence_topic(bob.identity)
    say(world, topic, payload)
    assert topic not in world.broker.retained


@pytest.mark.parametrize("payload", sorted(messages.PRESENCE))
def test_what_a_device_says_of_itself_stays(world: World, bob: Reader, payload: bytes) -> None:
    topic = presence_topic(bob.identity)
    say(world, topic, payload)
    say(world, BOGUS)
    assert world.broker.retained[topic].payload == payload


def test_of_a_revoked_device_nothing_stays_whenever_its_last_will_is_heard(world: World, bob: Reader) -> None:
    topic = presence_topic(bob.identity)
    say(world, topic)
    enforcement = Enforcement(world.handlers, world.clock)
    world.revocations.revoke("bob", Reason.KEY_COMPROMISE, world.clock())
    enforcement.follow(world.service.retain)
    assert topic not in world.broker.retained
    say(world, topic, messages.OFFLINE)
    assert topic not in world.broker.retained


def test_a_rebuilding_clears_what_came_while_nobody_looked_and_nothing_else(world: World, bob: Reader) -> None:
    topic = presence_topic(bob.identity)
    say(world, topic)
    world.broker.retained[BOGUS] = Message(BOGUS, messages.ONLINE, retained=True)
    with world.broker.session("f" * 32 + "-rebuild") as session:
        rebuild(session, world.handlers, world.clock)
    assert topic in world.broker.retained
    assert BOGUS not in world.broker.retained


def test_who_is_online_who_was_and_since_when(world: World, alice: Owner, bob: Reader) -> None:
    carol, dave = world.reader("carol"), world.reader("dave")
    bob.run(turns=2)
    expiry = messages.OFFLINE_SECONDS - 3600
    world.broker.publish(Message(presence_topic(carol.identity), messages.OFFLINE, retained=True, expiry=expiry))
    found = people(alice)
    assert found.keys() == {"alice", "bob", "carol", "dave"}
    assert [device.certificate for device in found["dave"].devices] == [dave.identity.certificate]
    assert [[device.presence and device.presence.state for device in one.devices] for one in found.values()] == [
        [None], ["online"], ["offline"], [None],
    ]  # fmt: skip
    assert [user for user, person in found.items() if person.is_online] == ["bob"]
    assert [user for user, person in found.items() if person.last_seen] == ["carol"]
    since = found["carol"].last_seen
    assert since is not None
    assert (world.clock() - since).total_seconds() == pytest.approx(3600, abs=1)


def test_who_is_online_under_a_former_certificate_is_online(world: World, alice: Owner, bob: Reader) -> None:
    say(world, presence_topic(bob.identity))
    former = bob.identity.certificate
    renewed = world.authorities.new_member("bob", key=world.authorities.member("bob").key).certificate
    world.accounts.add_certificate("bob", renewed, world.clock(), occasion="renewal", predecessor=former)
    person = people(alice)["bob"]
    assert person.is_online
    assert [(device.certificate, device.presence) for device in person.devices] == [(renewed, None)]


def test_beyond_those_whom_the_registrar_names_the_broker_s_are_verified(world: World, alice: Owner) -> None:
    stranger, erin = world.authorities.__class__.create().member("mallory"), world.authorities.member("erin")
    for user, holder in (("mallory", stranger), ("erin", erin)):
        topic = topics.member(user, fingerprint(holder.certificate))
        world.broker.retained[topic] = Message(topic, to_pem(holder.certificate), retained=True)
    junk = topics.member("frank", "2" * 64)
    world.broker.retained[junk] = Message(junk, b"no certificate", retained=True)
    assert people(alice).keys() == {"alice", "erin"}


def test_it_is_said_at_each_connection_and_before_it_is_forgotten(world: World, bob: Reader) -> None:
    topic, times = presence_topic(bob.identity), iter((0.0, 100.0, 301.0, 301.0))
    session = bob.session
    assert isinstance(session, SimulatedSession)
    presence = Presence(session, topic, wanted=True, monotonic=lambda: next(times))
    presence.tell()
    assert world.broker.retained.pop(topic).payload == messages.ONLINE
    presence.keep()
    assert topic not in world.broker.retained
    presence.keep()
    assert world.broker.retained[topic].payload == messages.ONLINE


def test_who_does_not_want_it_takes_back_what_was_said_before(world: World, bob: Reader) -> None:
    topic = presence_topic(bob.identity)
    say(world, topic, messages.OFFLINE)
    Presence(bob.session, topic, wanted=False).tell()
    assert topic not in world.broker.retained
