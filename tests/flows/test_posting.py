"""An image that its owner has put into the outbox is stored once, or its owner learns why it is not."""

from __future__ import annotations

import contextlib
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from flows.members import picture
from system import wait_until

from common import topics
from common.connection import SessionOptions
from common.errors import ConfigurationError, RefusedError, SessionError, VerificationError
from common.registrar_client import RegistrarClient
from publisher.courier import Courier, Outcome
from publisher.items import State
from publisher.outbox import Outbox
from publisher.post import post
from publisher.removal import Removal, remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.members import Owner
    from flows.world import World

    from common.arrivals import Message
    from common.errors import SealcastError
    from publisher.post import Posted

NO_BROKER = SessionError("no broker answers", code="no_broker")
WEEK = dt.timedelta(days=7)


def post_in_vain(alice: Owner, error: SealcastError = NO_BROKER, **wishes: Any) -> Posted:  # noqa: ANN401 - any wish
    """Post while the registrar cannot be reached."""
    posted = alice.seal_picture(**wishes)
    outcome = post(posted, Courier(alice.outbox, alice.identity, alice.world.clock, error))
    assert (outcome.item.state, outcome.item.attempted_at, outcome.error) == (State.WAITING, None, error)
    return posted


def flush(alice: Owner, courier: Courier | None = None) -> list[Outcome]:
    with ThreadPoolExecutor(1) as pool:
        return list((courier or alice.courier).deliver_waiting(pool))


def states(alice: Owner, *posted: Posted) -> list[tuple[str, str | None]]:
    found = [alice.outbox.get(one.header.image_id) for one in posted]
    return [(one.state, one.code) for one in found if one]


def stored(world: World) -> list[object]:
    return [record.image_id for record in chain.from_iterable(world.catalogue.pages())]


def lose(world: World, *heads: str) -> list[Message]:
    """Let the broker lose what is on these topics; return the growing list of it."""
    lost: list[Message] = []

    def carry(_client_id: str, message: Message) -> list[Message]:
        if message.topic.startswith(tuple(f"{topics.PREFIX}/{head}/" for head in heads)):
            lost.append(message)
            return []
        return [message]

    world.broker.carry = carry
    return lost


def post_unanswered(world: World, alice: Owner) -> Posted:
    """Post while replies are lost, by an owner who does not wait for long."""
    posted = alice.seal_picture()
    lost = lose(world, "replies")
    client_id = alice.identity.device.client_id("impatient")
    with world.broker.session(client_id, SessionOptions(reply_timeout=0.2)) as session:
        registrar = RegistrarClient(session, alice.identity, world.clock)
        registrar.join()
        outcome = post(posted, Courier(alice.outbox, alice.identity, world.clock, registrar))
    assert (outcome.item.state, outcome.item.code) == (State.WAITING, "no_registrar")
    assert outcome.item.attempted_at == world.clock()
    wait_until(lambda: lost, "a reply")
    world.broker.carry = lambda _client_id, message: [message]
    return posted


def refusing(alice: Owner, error: SealcastError) -> Courier:
    """Return a courier whose registrar says no."""

    class Refusing:
        def store(self, *_arguments: object, **_more: object) -> None:
            raise error

    registrar: Any = Refusing()
    return Courier(alice.outbox, alice.identity, alice.world.clock, registrar)


def test_what_waits_is_sent_the_oldest_first(world: World, alice: Owner) -> None:
    waiting = [post_in_vain(alice) for _ in range(3)]
    assert stored(world) == []
    outcomes = flush(alice)
    assert [one.item.topic.image_id for one in outcomes] == [one.header.image_id for one in waiting] == stored(world)
    assert {(one.item.state, one.error) for one in outcomes} == {(State.STORED, None)}
    assert flush(alice) == []


def test_a_reply_that_is_lost_costs_neither_the_image_nor_a_second_one(world: World, alice: Owner) -> None:
    posted = post_unanswered(world, alice)
    assert stored(world) == [posted.header.image_id]
    assert [one.item.state for one in flush(alice)] == [State.STORED]
    assert stored(world) == [posted.header.image_id]


def test_a_reader_has_what_was_sent_twice_once(world: World, alice: Owner) -> None:
    bob = world.reader("bob")
    post_unanswered(world, alice)
    flush(alice)
    bob.work()
    assert [path.read_bytes() for path in bob.files] == [picture().content]


def test_while_the_registrar_is_silent_one_image_tries_and_the_others_wait(world: World, alice: Owner) -> None:
    for _ in range(5):
        post_in_vain(alice)
    lost = lose(world, "images")
    outcomes = flush(alice)
    assert [(one.item.state, one.item.code) for one in outcomes] == [(State.WAITING, "no_registrar")] * 5
    assert len(lost) == 1
    assert [one.item.attempted_at is None for one in outcomes] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("error", "new", "earlier"),
    [
        (RefusedError("full", code="archive_full", retry_after=60), State.WAITING, State.WAITING),
        (RefusedError("no", code="refused_by_broker"), State.WAITING, State.WAITING),
        (RefusedError("a fault of ours", code="internal"), State.WAITING, State.WAITING),
        (RefusedError("your clock is off", code="clock"), State.WAITING, State.WAITING),
        (VerificationError("forged", code="untrusted_reply"), State.WAITING, State.WAITING),
        (RefusedError("too many", code="quota_exceeded"), State.FAILED, State.REFUSED),
        (RefusedError("over", code="expired"), State.FAILED, State.FAILED),
        (RefusedError("gone", code="removed"), State.FAILED, State.FAILED),
    ],
    ids=lambda value: getattr(value, "code", None) or str(value),
)
def test_what_becomes_of_an_image_that_is_not_stored(
    alice: Owner, error: SealcastError, new: State, earlier: State
) -> None:
    courier = refusing(alice, error)
    posted, waiting = alice.seal_picture(), post_in_vain(alice)
    assert post(posted, courier).error is error
    assert states(alice, posted) == [(new, error.code)]
    if new is not State.WAITING:
        assert [one.error for one in flush(alice, courier)] == [error]
        assert states(alice, waiting) == [(earlier, error.code)]
        assert flush(alice) == []
        alice.outbox.retry_refused()
    expected = {posted.header.image_id: new, waiting.header.image_id: earlier}
    sent = [one.item.topic.image_id for one in flush(alice)]
    assert sorted(sent) == sorted(one for one, state in expected.items() if state is not State.FAILED)


def test_one_that_is_refused_keeps_no_other_back(world: World, alice: Owner) -> None:
    waiting = [post_in_vain(alice, lifetime=WEEK if number == 1 else None) for number in range(3)]
    world.clock.advance(days=8)
    outcomes = flush(alice)
    assert [one.item.state for one in outcomes] == [State.STORED, State.FAILED, State.STORED]
    assert stored(world) == [waiting[0].header.image_id, waiting[2].header.image_id]
    assert states(alice, waiting[1]) == [(State.FAILED, "expired")]


def test_what_expires_is_sent_until_then(world: World, alice: Owner) -> None:
    posted = post_in_vain(alice, lifetime=WEEK)
    world.clock.advance(days=6)
    assert [one.item.state for one in flush(alice)] == [State.STORED]
    record = world.catalogue.get(posted.header.image_id)
    assert record is not None
    assert record.expires_at == posted.header.expires_at


def test_what_was_sealed_before_the_certificate_was_renewed_is_stored(world: World, alice: Owner) -> None:
    waiting = [post_in_vain(alice), post_in_vain(alice, to=["alice"])]
    world.clock.advance(days=1)
    alice.registrar.renew()
    assert [one.error for one in flush(alice)] == [None, None]
    assert stored(world) == [one.header.image_id for one in waiting]


def test_what_another_process_sends_is_left_to_it(world: World, alice: Owner) -> None:
    first, second = post_in_vain(alice), post_in_vain(alice)
    with Outbox(alice.identity.home) as other:
        claim = other.claim(first.header.image_id)
        assert claim is not None
        with claim:
            assert [one.item.topic.image_id for one in flush(alice)] == [second.header.image_id]
    assert [one.item.topic.image_id for one in flush(alice)] == [first.header.image_id]
    assert len(stored(world)) == 2


def test_an_outbox_that_cannot_be_written_to_says_so_and_sends_again(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = ConfigurationError("no room", code="outbox")
    settle = alice.outbox.settle

    def fail_to_note(item: Any, state: State, *more: Any) -> Any:  # noqa: ANN401 - those of settle
        if state is State.STORED:
            raise full
        return settle(item, state, *more)

    with monkeypatch.context() as patch:
        patch.setattr(alice.outbox, "settle", fail_to_note)
        outcome = post(alice.seal_picture(), alice.courier)
    assert (outcome.item.state, outcome.error) == (State.WAITING, full)
    assert [one.item.state for one in flush(alice)] == [State.STORED]
    assert len(stored(world)) == 1


def reaching(courier: Courier) -> Callable[[], contextlib.AbstractContextManager[Courier]]:
    return lambda: contextlib.nullcontext(courier)


def test_what_was_never_sent_is_removed_without_asking(world: World, alice: Owner) -> None:
    posted = post_in_vain(alice)
    unreachable = Courier(alice.outbox, alice.identity, world.clock, NO_BROKER)
    removal = remove(posted.header.image_id, alice.outbox, reaching(unreachable), world.clock)
    assert removal == Removal(was_in_outbox=True, was_stored=False)
    assert states(alice, posted) == [(State.REMOVED, None)]
    assert flush(alice) == []


def test_what_may_have_been_sent_is_removed_by_the_registrar_alone(world: World, alice: Owner) -> None:
    posted = alice.seal_picture()
    lost = lose(world, "images")
    post(posted, alice.courier)
    world.broker.carry = lambda _client_id, message: [message]
    unreachable = Courier(alice.outbox, alice.identity, world.clock, NO_BROKER)
    with pytest.raises(SessionError):
        remove(posted.header.image_id, alice.outbox, reaching(unreachable), world.clock)
    assert states(alice, posted) == [(State.WAITING, "no_registrar")]
    again = Courier(alice.outbox, alice.identity, world.clock, alice.registrar)
    remove(posted.header.image_id, alice.outbox, reaching(again), world.clock)
    assert states(alice, posted) == [(State.REMOVED, None)]
    # The broker had it all the time.
    world.broker.publish(lost[0])
    assert stored(world) == []


@pytest.mark.parametrize("known", [True, False])
def test_what_is_stored_is_removed_from_whichever_folder(world: World, alice: Owner, *, known: bool) -> None:
    posted = alice.post()
    if known:
        removal = remove(posted.header.image_id, alice.outbox, reaching(alice.courier), world.clock)
        assert states(alice, posted) == [(State.REMOVED, None)]
    else:
        with Outbox(world.folder) as empty:
            removal = remove(posted.header.image_id, empty, reaching(alice.courier), world.clock)
    assert removal == Removal(was_in_outbox=False, was_stored=True)
    assert stored(world) == []
    assert [topic for topic in world.broker.retained if "/announcements/" in topic] == []


def test_what_nobody_has_heard_of_is_removed_and_told_so(world: World, alice: Owner) -> None:
    posted = alice.seal_picture()
    removal = remove(posted.header.image_id, alice.outbox, reaching(alice.courier), world.clock)
    assert removal == Removal(was_in_outbox=False, was_stored=False)
    outcome = post(posted, alice.courier)
    assert (outcome.item.state, outcome.item.code) == (State.FAILED, "removed")


def test_an_image_of_somebody_else_stays(world: World, alice: Owner) -> None:
    posted, mallory = alice.post(), world.owner("mallory")
    with pytest.raises(RefusedError) as caught:
        remove(posted.header.image_id, mallory.outbox, reaching(mallory.courier), world.clock)
    assert caught.value.code == "not_owner"
    assert stored(world) == [posted.header.image_id]


def test_what_is_being_sent_is_not_removed_meanwhile(world: World, alice: Owner) -> None:
    posted = post_in_vain(alice)
    with Outbox(alice.identity.home) as other:
        claim = other.claim(posted.header.image_id)
        assert claim is not None
        with claim, pytest.raises(ConfigurationError) as caught:
            remove(posted.header.image_id, alice.outbox, reaching(alice.courier), world.clock)
    assert caught.value.code == "being_sent"
    assert states(alice, posted) == [(State.WAITING, "no_broker")]


def test_a_removal_that_is_killed_before_it_is_noted_is_one(world: World, alice: Owner) -> None:
    posted = post_in_vain(alice)
    alice.registrar.remove(posted.header.image_id)
    (outcome,) = flush(alice)
    assert (outcome.item.state, outcome.item.code) == (State.FAILED, "removed")
    assert stored(world) == []
