"""Catching up with the registrar's real catalogue: what a broker lost is saved all the same, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.interference import (
    ANNOUNCEMENTS,
    IMAGES,
    announcement_topic,
    assert_nothing_decided,
    assert_saved_once,
    carry_honestly,
    names,
    withhold,
)
from flows.simulator import IN_FLIGHT

from common import messages
from common.errors import RefusedError, SessionError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from flows.members import Owner, Reader
    from flows.world import World


def lose_everything(world: World, reader: Reader) -> None:
    withhold(world, reader, IMAGES, ANNOUNCEMENTS)


def lists(reader: Reader) -> int:
    return sum(isinstance(request, messages.ListRequest) for request in reader.registrar.asked)


def test_what_the_broker_lost_is_saved(world: World, alice: Owner, bob: Reader) -> None:
    lose_everything(world, bob)
    posted = [alice.post() for _ in range(5)]
    bob.work()
    assert_nothing_decided(bob)
    bob.catch_up()
    assert names(bob) == ["NEW_IMAGE", "saved"] * 5
    assert_saved_once(bob, *posted)


def test_announcements_that_come_after_all_are_acknowledged_only(world: World, alice: Owner, bob: Reader) -> None:
    withheld = withhold(world, bob, IMAGES, ANNOUNCEMENTS)
    posted = alice.post()
    bob.catch_up()
    carry_honestly(world)
    bob.hear(*withheld)
    bob.work()
    assert names(bob) == ["NEW_IMAGE", "saved"]
    assert_saved_once(bob, posted)


def test_what_is_saved_is_not_fetched_and_the_catalogue_is_read_on_from_the_mark(alice: Owner, bob: Reader) -> None:
    posted = [alice.post() for _ in range(5)]
    bob.work()
    bob.catch_up()
    assert (bob.registrar.fetched(posted[0].header.image_id), lists(bob)) == ([], 3)
    bob.restart()
    bob.catch_up()
    assert lists(bob) == 1
    assert_saved_once(bob, *posted)


def test_an_image_that_has_come_natively_is_not_fetched(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, ANNOUNCEMENTS)
    posted = alice.post()
    bob.work()
    bob.catch_up()
    assert bob.registrar.fetched(posted.header.image_id) == []
    assert_saved_once(bob, posted)


def test_only_what_this_reader_may_have_is_brought(world: World, alice: Owner, bob: Reader) -> None:
    lose_everything(world, bob)
    carol = world.reader("carol")
    alice.post(to=["carol"])
    named = alice.post(to=["bob"])
    bob.catch_up()
    assert_saved_once(bob, named)
    carol.work()
    assert len(carol.files) == 1


def test_a_channel_that_is_asked_for_later_is_read_from_its_beginning(world: World, alice: Owner, bob: Reader) -> None:
    bob.channels = ["public"]
    bob.restart()
    lose_everything(world, bob)
    public, other = alice.post(), alice.post(channel="family")
    bob.catch_up()
    assert_saved_once(bob, public)
    bob.channels = ["public", "family"]
    bob.restart()
    bob.work()
    bob.catch_up()
    assert_saved_once(bob, public, other)


def test_what_was_removed_is_refused_once_and_for_all(world: World, alice: Owner, bob: Reader) -> None:
    withhold(world, bob, IMAGES)
    posted = alice.post()
    alice.registrar.remove(posted.header.image_id)
    bob.work()
    bob.restart()
    bob.work()
    bob.catch_up()
    assert names(bob) == ["NEW_IMAGE", "refused"]
    assert bob.printer.named("refused")[0]["code"] == "removed"
    (entry,) = bob.ledger.entries()
    assert (entry.outcome, entry.message) == ("removed", "the image was removed by alice")
    assert (bob.files, bob.session.unacknowledged) == ([], [])


def test_an_image_that_cannot_be_fetched_keeps_neither_the_others_back_nor_is_it_passed(
    world: World, alice: Owner, bob: Reader
) -> None:
    lose_everything(world, bob)
    posted = [alice.post() for _ in range(5)]
    bob.registrar.faults += [RefusedError("the registrar failed", code="internal")]
    bob.catch_up()
    assert (len(bob.files), bob.ledger.mark(["#"])) == (4, None)
    bob.restart()
    bob.catch_up()
    assert bob.ledger.mark(["#"]) is not None
    assert_saved_once(bob, *posted)


def test_while_nobody_answers_nothing_is_passed(world: World, alice: Owner, bob: Reader) -> None:
    lose_everything(world, bob)
    posted = [alice.post() for _ in range(5)]
    bob.registrar.faults += [SessionError("nobody answers", code="no_registrar")]
    bob.catch_up()
    assert_nothing_decided(bob)
    bob.catch_up()
    # The catalogue waits until what waits already can be saved.
    assert_nothing_decided(bob)
    bob.receiver.try_postponed()
    bob.catch_up()
    assert_saved_once(bob, *posted)


def test_an_older_registrar_is_no_end(alice: Owner, bob: Reader, caplog: pytest.LogCaptureFixture) -> None:
    bob.registrar.list_faults += [RefusedError("the request is not understood", code="invalid_request")] * 2
    bob.run()
    bob.catch_up()
    posted = alice.post()
    bob.run()
    assert caplog.messages == ["cannot ask for what was missed, will try again: the request is not understood"]
    assert_saved_once(bob, posted)


# The daemon's turns


def test_the_daemon_catches_up_when_it_starts_and_now_and_then(world: World, alice: Owner, bob: Reader) -> None:
    lose_everything(world, bob)
    first = alice.post()
    bob.run()
    assert_saved_once(bob, first)
    second = alice.post()
    bob.run()
    assert_saved_once(bob, first)
    world.clock.advance(seconds=2 * world.settings.catch_up_seconds)
    bob.run()
    assert_saved_once(bob, first, second)


def test_it_does_so_after_a_reconnection(world: World, alice: Owner, bob: Reader) -> None:
    bob.run()
    lose_everything(world, bob)
    posted = alice.post()
    bob.session.reconnect(forgotten=True)
    bob.run()
    assert_saved_once(bob, posted)


def test_after_a_reconnection_what_waits_is_tried_at_once(world: World, alice: Owner, bob: Reader) -> None:
    bob.run()
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [SessionError("nobody answers", code="no_registrar")]
    posted = alice.post()
    bob.run()
    assert bob.session.unacknowledged == [announcement_topic(posted)]
    bob.session.reconnect()
    bob.run()
    assert_saved_once(bob, posted)


def test_otherwise_it_is_tried_after_a_while(world: World, alice: Owner, bob: Reader) -> None:
    bob.run()
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [SessionError("nobody answers", code="no_registrar")]
    posted = alice.post()
    bob.run()
    assert_nothing_decided(bob)
    world.clock.advance(seconds=world.settings.retry_seconds)
    bob.run()
    assert_saved_once(bob, posted)


def test_what_arrives_keeps_its_turn_while_much_is_missing(world: World, alice: Owner, bob: Reader) -> None:
    lose_everything(world, bob)
    missed = [alice.post() for _ in range(5)]
    bob.run(turns=3)  # the first page, and an image of it
    carry_honestly(world)
    arriving = alice.post()
    bob.run(turns=1)
    saved = [event["image_id"] for event in bob.printer.named("saved")]
    assert arriving.header.image_id in saved
    assert len(saved) < len(missed)
    bob.run()
    assert_saved_once(bob, *missed, arriving)


def test_what_is_missing_has_its_turn_while_much_arrives(world: World, alice: Owner, bob: Reader) -> None:
    lose_everything(world, bob)
    missed = alice.post()
    carry_honestly(world)
    arriving = [alice.post() for _ in range(2 * IN_FLIGHT)]
    bob.run(turns=2)
    assert missed.header.image_id in {event["image_id"] for event in bob.printer.named("saved")}
    assert len(bob.entries) < len(arriving)
    bob.run()
    assert_saved_once(bob, missed, *arriving)


def stop_after(bob: Reader, count: int) -> Callable[[], bool]:
    return lambda: len(bob.printer.named("saved")) >= count


def test_a_request_to_stop_is_heeded_between_images(world: World, alice: Owner, bob: Reader) -> None:
    arriving: list[Any] = [alice.post() for _ in range(3)]
    bob.daemon.run_until(stop_after(bob, 2))
    assert len(bob.files) == 2
    lose_everything(world, bob)
    missed = [alice.post() for _ in range(3)]
    bob.daemon.run_until(stop_after(bob, 4))
    assert len(bob.files) == 4
    withhold(world, bob, IMAGES)
    bob.registrar.faults += [RefusedError("the registrar failed", code="internal")] * 3
    failed = [alice.post() for _ in range(3)]
    bob.run()
    bob.daemon.run_until(stop_after(bob, 6))
    before = len(bob.files)
    world.clock.advance(seconds=world.settings.retry_seconds)
    bob.daemon.run_until(stop_after(bob, before + 1))
    assert len(bob.files) == before + 1
    bob.receiver.try_postponed()
    assert_saved_once(bob, *arriving, *missed, *failed)
