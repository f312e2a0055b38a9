"""A device whose certificate has ended: what it sealed before is not lost, and nothing else is taken from it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from flows.interference import assert_nothing_decided, assert_saved_once

from common.connection import SessionOptions
from common.errors import ConfigurationError, RefusedError, SessionError
from common.identity import Identity, save_enrolment
from common.registrar_client import RegistrarClient
from publisher.courier import Courier
from publisher.items import State
from publisher.post import post

if TYPE_CHECKING:
    from flows.members import Owner, Reader
    from flows.world import World

    from publisher.courier import Outcome
    from publisher.post import Posted

SHORT = authorities.default().new_member("alice", lifetime=(NOW - DAY, NOW + DAY))
TOS = pytest.mark.parametrize("to", [(), ("bob",)], ids=["members", "named"])


@pytest.fixture
def alice(world: World) -> Owner:
    """An owner whose certificate ends in a day."""
    return world.owner("alice", SHORT)


def post_in_vain(alice: Owner, *to: str) -> Posted:
    posted = alice.seal_picture(to=to)
    unreachable = SessionError("no broker answers", code="no_broker")
    outcome = post(posted, Courier(alice.outbox, alice.identity, alice.world.clock, unreachable))
    assert outcome.item.state is State.WAITING
    return posted


def flush(alice: Owner) -> list[Outcome]:
    with ThreadPoolExecutor(1) as pool:
        return list(alice.courier.deliver_waiting(pool))


def log_in(world: World, alice: Owner) -> None:
    """Give the device another certificate, as the registrar does after the password."""
    following = world.authority.sign_member(alice.identity.key.public_key(), "alice", world.clock())
    world.accounts.add_certificate("alice", following, world.clock())
    save_enrolment(alice.identity.device, following, alice.identity.registrar, world.authority.trust(world.clock()))
    assert alice.identity.follow_folder()


@TOS
def test_what_has_waited_beyond_the_certificate_is_stored_and_read(
    world: World, alice: Owner, bob: Reader, to: tuple[str, ...]
) -> None:
    posted = post_in_vain(alice, *to)
    world.clock.advance(days=2)
    log_in(world, alice)
    assert [one.error for one in flush(alice)] == [None]
    bob.work()
    assert_saved_once(bob, posted)


def test_what_comes_natively_under_an_ended_certificate_waits_for_the_registrar_s_word(
    world: World, alice: Owner, bob: Reader
) -> None:
    posted = post_in_vain(alice, "bob")
    world.clock.advance(days=2)
    log_in(world, alice)
    bob.registrar.faults.append(SessionError("the registrar is away", code="no_registrar"))
    assert [one.error for one in flush(alice)] == [None]
    bob.work()
    assert_nothing_decided(bob)
    bob.receiver.try_postponed()
    assert_saved_once(bob, posted)


def test_an_ended_certificate_asks_for_nothing(world: World, alice: Owner) -> None:
    posted = alice.seal_picture()
    client_id = alice.identity.device.client_id("impatient")
    with world.broker.session(client_id, SessionOptions(reply_timeout=0.2)) as session:
        registrar = RegistrarClient(session, alice.identity, world.clock)
        registrar.join()
        world.clock.advance(days=2)
        with pytest.raises(SessionError) as caught:
            registrar.store(posted.sealed, posted.item.topic, name="boats.png", size=posted.header.size)
        assert caught.value.code == "no_registrar"
        log_in(world, alice)
        assert registrar.store(posted.sealed, posted.item.topic, name="boats.png", size=posted.header.size)


@TOS
@pytest.mark.usefixtures("bob")
def test_an_ended_certificate_of_somebody_else_is_no_sender(world: World, alice: Owner, to: tuple[str, ...]) -> None:
    mallory = world.owner("mallory")
    posted = alice.seal_picture(to=to)
    topic = replace(posted.item.topic, owner="mallory")
    world.clock.advance(days=2)
    with pytest.raises(RefusedError) as caught:
        mallory.registrar.store(posted.sealed, topic, name="boats.png", size=posted.header.size)
    assert caught.value.code == "invalid_image"


def test_an_ended_certificate_is_not_renewed_and_says_what_to_do(world: World, alice: Owner) -> None:
    world.clock.advance(days=2)
    for fails in (lambda: alice.identity.demand_current(world.clock()), alice.registrar.renew_when_due):
        with pytest.raises(ConfigurationError) as caught:
            fails()
        assert caught.value.code == "certificate_expired"
        assert f"publisher register alice --home {alice.identity.home}" in str(caught.value.hint)
    log_in(world, alice)
    Identity.load(alice.identity.home, now=world.clock()).demand_current(world.clock())
    alice.registrar.renew_when_due()
