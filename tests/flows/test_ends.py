"""How an image's time ends: removed, expired, kept no longer, beyond the quota; and what a crash leaves of that."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from typing import TYPE_CHECKING

import pytest
from authorities import DAY
from flows.world import World

from common import messages
from common.errors import RefusedError
from common.topics import ImageTopic, new_image_id
from publisher.items import State
from publisher.post import post
from registrar import catalogue
from registrar.catalogue import Catalogue, Removal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.members import Owner, Reader

    from publisher.post import Posted


def topic_of(posted: Posted) -> ImageTopic:
    return ImageTopic("alice", posted.channel, posted.header.image_id)


def announced(world: World, topic: ImageTopic) -> messages.Announcement | None:
    message = world.broker.retained.get(topic.announcement)
    return messages.read(messages.Announcement, message.payload) if message else None


def clear_away(world: World) -> None:
    world.service.clear_away()


def assert_gone(world: World, topic: ImageTopic, owner: Owner) -> None:
    assert announced(world, topic) is None
    assert world.catalogue.get(topic.image_id) is None
    assert not world.archive.contains(topic.image_id)
    assert refusal(lambda: owner.registrar.fetch(topic.image_id, 10**6)) == "removed"
    assert [one.image_id for one in owner.registrar.list("newest", None).images if one.image_id == topic.image_id] == []


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        ask()
    return caught.value.code


def test_a_removed_image_is_gone_at_once_and_its_duplicate_stays_away(world: World, alice: Owner) -> None:
    posted, kept = alice.post(), alice.post()
    topic = topic_of(posted)
    removed = alice.registrar.remove(topic.image_id)
    assert (removed.image_id, removed.removed_at) == (topic.image_id, world.clock())
    assert_gone(world, topic, alice)
    again = lambda: alice.registrar.store(posted.sealed, topic, name="boats.png", size=posted.header.size)  # noqa: E731 - asked twice
    assert refusal(again) == "removed"
    world.clock.advance(days=1)
    assert alice.registrar.remove(topic.image_id) == removed
    assert refusal(again) == "removed"
    assert not world.archive.contains(topic.image_id)
    assert announced(world, topic_of(kept)) is not None


def test_an_image_that_is_removed_before_it_comes_does_not_come(world: World, alice: Owner) -> None:
    posted = alice.seal_picture()
    topic = topic_of(posted)
    alice.registrar.remove(topic.image_id)
    assert (
        refusal(lambda: alice.registrar.store(posted.sealed, topic, name="boats.png", size=posted.header.size))
        == "removed"
    )
    assert not world.archive.contains(topic.image_id)


def test_nobody_removes_anothers_image_before_or_after_it_comes(world: World, alice: Owner) -> None:
    mallory = world.owner("mallory")
    posted = alice.seal_picture()
    topic = topic_of(posted)
    mallory.registrar.remove(topic.image_id)
    alice.registrar.store(posted.sealed, topic, name="boats.png", size=posted.header.size)
    assert refusal(lambda: mallory.registrar.remove(topic.image_id)) == "not_owner"
    assert world.archive.contains(topic.image_id)
    assert announced(world, topic) is not None


def test_an_image_goes_when_its_time_is_over(world: World, alice: Owner) -> None:
    posted, lasting = alice.post(lifetime=2 * DAY), alice.post()
    topic = topic_of(posted)
    notice = announced(world, topic)
    assert notice is not None
    assert notice.expires_at == world.clock() + 2 * DAY
    world.clock.advance(days=1)
    clear_away(world)
    assert announced(world, topic) is not None
    world.clock.advance(days=1)
    world.publish_trust()
    clear_away(world)
    assert_gone(world, topic, alice)
    assert announced(world, topic_of(lasting)) is not None


def test_for_named_people_too_the_request_says_when_it_is_over(world: World, alice: Owner, bob: Reader) -> None:
    topic = topic_of(alice.post(to=["bob"], lifetime=DAY))
    world.clock.advance(days=1)
    world.publish_trust()
    clear_away(world)
    assert_gone(world, topic, alice)
    bob.work()
    assert bob.files == []


@pytest.mark.parametrize("to", [[], ["bob"]])
def test_an_image_that_is_over_already_is_not_stored(world: World, alice: Owner, bob: Reader, to: list[str]) -> None:
    assert bob.identity.user == "bob"
    posted = alice.seal_picture(to=to, lifetime=dt.timedelta(minutes=1))
    world.clock.advance(minutes=1)
    header = posted.header
    assert (
        refusal(
            lambda: alice.registrar.store(
                posted.sealed, topic_of(posted), name=None, size=header.size, expires_at=header.expires_at
            )
        )
        == "expired"
    )
    assert not world.archive.contains(header.image_id)


def test_what_the_owner_signed_in_the_image_counts_whatever_the_request_says(world: World, alice: Owner) -> None:
    posted = alice.seal_picture(lifetime=DAY)
    topic = topic_of(posted)
    alice.registrar.store(posted.sealed, topic, name="boats.png", size=posted.header.size, expires_at=None)
    record = world.catalogue.get(topic.image_id)
    assert record is not None
    assert record.expires_at == posted.header.expires_at


@pytest.mark.parametrize(("lifetime", "days"), [(None, 30), (DAY, 1), (90 * DAY, 30)])
def test_a_registrar_with_a_retention_time_keeps_nothing_longer(
    tmp_path: Path, lifetime: dt.timedelta | None, days: int
) -> None:
    with World(tmp_path, retention_days=30) as world:
        alice = world.owner("alice")
        topic = topic_of(alice.post(lifetime=lifetime))
        notice = announced(world, topic)
        assert notice is not None
        assert notice.expires_at == world.clock() + days * DAY


@pytest.mark.parametrize("settings", [{"owner_images": 2}, {"owner_bytes": 10_000}])
def test_an_owner_beyond_the_quota_is_refused_until_something_is_removed(
    tmp_path: Path, settings: dict[str, int]
) -> None:
    with World(tmp_path, **settings) as world:
        alice, other = world.owner("alice"), world.owner("other")
        stored = [alice.post() for _ in range(2)]
        while "owner_bytes" in settings and sum(len(one.sealed) for one in stored) + len(stored[0].sealed) <= 10_000:
            stored.append(alice.post())
        held = len(list(world.archive.stored()))
        assert refusal(alice.post) == "quota_exceeded"
        assert len(list(world.archive.stored())) == held
        other.post()
        alice.registrar.remove(stored[0].header.image_id)
        alice.post()
        assert refusal(alice.post) == "quota_exceeded"


def test_what_is_removed_while_it_is_stored_leaves_nothing(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal comes between the check and the entry."""
    posted = alice.seal_picture()
    topic, put = topic_of(posted), type(world.archive).put

    def put_and_remove(archive: object, image_id: object, sealed: bytes, **options: bool) -> None:
        put(archive, image_id, sealed, **options)  # type: ignore[arg-type]
        world.catalogue.remove(Removal(topic.image_id, "alice", None, "removed", world.clock()))

    monkeypatch.setattr(type(world.archive), "put", put_and_remove)
    store = lambda: alice.registrar.store(posted.sealed, topic, name="boats.png", size=posted.header.size)  # noqa: E731 - asked in a block
    assert refusal(store) == "removed"
    assert not world.archive.contains(topic.image_id)


def test_nobody_removes_the_file_of_an_image_that_is_being_stored_under_an_id_of_theirs(
    world: World, alice: Owner
) -> None:
    """Mallory has seen the id on the broker while the image waited in an outbox, and was a moment faster."""
    mallory = world.owner("mallory")
    registrar, *everybody = mallory.courier.identity.registrar, mallory.identity.certificate
    stored = 0
    for _ in range(10):
        posted = alice.seal_picture()
        topic = ImageTopic("mallory", "public", posted.header.image_id)
        _, sealed = mallory.seal([registrar, *everybody], image_id=topic.image_id, topic=topic.image)
        mallory.registrar.store(sealed, topic, name="forged.png", size=len(sealed) // 2)
        mallory.registrar.remove(topic.image_id)
        over = threading.Event()

        def remove_again(over: threading.Event = over, topic: ImageTopic = topic) -> None:
            while not over.is_set():
                with contextlib.suppress(RefusedError):
                    mallory.registrar.remove(topic.image_id)

        removing = [threading.Thread(target=remove_again) for _ in range(3)]
        for thread in removing:
            thread.start()
        outcome = post(posted, alice.courier)
        over.set()
        for thread in removing:
            thread.join()
        is_stored = outcome.item.state == State.STORED
        stored += is_stored
        assert is_stored == world.archive.contains(posted.header.image_id)
    assert stored


def test_what_never_came_is_remembered_up_to_a_limit(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_MOST_UNSEEN", 3)
    seen = alice.post()
    for _ in range(3):
        alice.registrar.remove(new_image_id(world.clock()))
    assert refusal(lambda: alice.registrar.remove(new_image_id(world.clock()))) == "quota_exceeded"
    assert alice.registrar.remove(seen.header.image_id).was_stored
    assert not world.owner("other").registrar.remove(new_image_id(world.clock())).was_stored


@pytest.mark.parametrize("step", ["discard", "settle"])
def test_what_a_crash_leaves_of_a_removal_is_cleared_away_later(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    topic = topic_of(alice.post())

    def killed(*_arguments: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(*{"discard": (type(world.archive), step), "settle": (Catalogue, step)}[step], killed)
        assert refusal(lambda: alice.registrar.remove(topic.image_id)) == "internal"
    assert announced(world, topic) is not None
    clear_away(world)
    assert_gone(world, topic, alice)
    assert world.catalogue.unsettled(9) == []


def test_to_remove_what_never_was_is_answered_and_changes_nothing(world: World, alice: Owner) -> None:
    before = dict(world.broker.retained)
    image_id = new_image_id(world.clock())
    assert alice.registrar.remove(image_id).image_id == image_id
    clear_away(world)
    assert world.broker.retained == before
