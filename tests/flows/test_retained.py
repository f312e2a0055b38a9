"""What a broker retains is made whole again: nothing missing, nothing altered, nothing that should be gone."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from common import messages, topics
from common.arrivals import Message
from common.certificates import fingerprint
from common.errors import SessionError
from common.revocation_lists import Reason
from registrar import retained
from registrar.catalogue import Removal
from registrar.retained import rebuild

if TYPE_CHECKING:
    from flows.members import Owner, Reader
    from flows.world import World

STRANGE = topics.ImageTopic("alice", "site-7/gate", uuid.UUID(int=1)).announcement


@pytest.fixture
def announced(world: World, alice: Owner) -> list[str]:
    """Three announcements that the broker retains."""
    ids = {alice.post().header.image_id for _ in range(3)}
    rebuild_now(world)
    return [
        topic for topic in world.broker.retained if (one := topics.parse_announcement(topic)) and one.image_id in ids
    ]


def rebuild_now(world: World) -> int:
    with world.broker.session("f" * 32 + "-rebuild") as session:
        return rebuild(session, world.handlers, world.clock)


def contents(world: World) -> dict[str, bytes]:
    return {topic: message.payload for topic, message in world.broker.retained.items()}


def test_a_whole_broker_needs_nothing(world: World, announced: list[str]) -> None:
    assert len(announced) == 3
    assert rebuild_now(world) == 0


def test_an_empty_broker_gets_everything(world: World, announced: list[str]) -> None:
    before = contents(world)
    assert {*announced, topics.TRUST_CA, topics.TRUST_CRL, topics.TRUST_REGISTRAR} < before.keys()
    world.broker.retained.clear()
    assert rebuild_now(world) == len(before)
    assert contents(world) == before


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("payload", [b"", b"altered"])
def test_what_is_lost_or_altered_is_published(world: World, announced: list[str], number: int, payload: bytes) -> None:
    before = contents(world)
    world.broker.publish(Message(announced[number], payload, retained=True))
    assert rebuild_now(world) == 1
    assert contents(world) == before


@pytest.mark.parametrize("topic", [STRANGE, topics.member("mallory", "1" * 64), f"{topics.PREFIX}/trust/other"])
def test_what_is_stale_is_withdrawn(world: World, announced: list[str], topic: str) -> None:
    before = contents(world)
    assert set(announced) <= before.keys()
    world.broker.publish(Message(topic, b"stale", retained=True))
    assert rebuild_now(world) == 1
    assert contents(world) == before


def test_what_is_announced_meanwhile_is_not_withdrawn(
    world: World, alice: Owner, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = rebuild_from_here = world.handlers.catalogue.pages

    def store_another() -> object:
        alice.post()
        return known()

    monkeypatch.setattr(type(world.handlers.catalogue), "pages", lambda _self: store_another())
    rebuild_now(world)
    monkeypatch.undo()
    assert rebuild_from_here is known
    assert len([topic for topic in world.broker.retained if topics.parse_announcement(topic)]) == len(announced) + 1


def test_what_is_removed_meanwhile_is_not_announced_again(
    world: World, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page was read before the removal, and is published after it."""
    gone = topics.parse_announcement(announced[0])
    assert gone is not None
    publish = retained._publish  # noqa: SLF001 - the moment between reading a page and publishing it

    def remove_first(session: object, publications: object, rate: int) -> int:
        world.catalogue.remove(Removal(gone.image_id, "alice", "public", "removed", world.clock()))
        return publish(session, publications, rate)  # type: ignore[arg-type]

    world.broker.retained.clear()
    monkeypatch.setattr(retained, "_publish", remove_first)
    rebuild_now(world)
    monkeypatch.undo()
    assert announced[0] not in world.broker.retained
    assert set(announced[1:]) <= world.broker.retained.keys()


def test_what_passes_by_is_not_taken_for_retained(world: World, announced: list[str]) -> None:
    lost = world.broker.retained.pop(announced[0])
    with world.broker.session("f" * 32 + "-rebuild") as session:
        session.subscribe(topics.ALL_ANNOUNCEMENTS)
        world.broker.publish(Message(lost.topic, lost.payload))
        assert rebuild(session, world.handlers, world.clock) == 1
    assert world.broker.retained[announced[0]].payload == lost.payload


def test_a_broker_that_falls_silent_is_not_taken_for_an_empty_one(
    world: World, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained, "_LONGEST_SILENCE", 0)
    assert announced
    world.broker.carry = lambda _client_id, message: [message] if topics.parse_announcement(message.topic) else []
    with pytest.raises(SessionError) as caught:
        rebuild_now(world)
    assert caught.value.code == "broker_silent"


def test_a_reader_has_nothing_twice_after_a_rebuild(world: World, bob: Reader, announced: list[str]) -> None:
    bob.work()
    assert len(bob.files) == len(announced)
    world.broker.retained.clear()
    rebuild_now(world)
    bob.work()
    assert len(bob.files) == len(announced)
    assert [messages.read(messages.Announcement, world.broker.retained[one].payload).name for one in announced] == [
        "boats.png"
    ] * 3


def test_who_is_revoked_meanwhile_is_not_put_back(
    world: World, alice: Owner, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members were read before the revocation, and are published after it."""
    own = topics.member("alice", fingerprint(alice.identity.certificate))
    publish = retained._publish  # noqa: SLF001 - the moment between reading the members and publishing them
    revoked: list[object] = []

    def revoke_first(session: object, publications: object, rate: int) -> int:
        read = list(publications)  # type: ignore[call-overload]
        if not revoked:
            revoked.append(world.revocations.revoke("alice", Reason.SUPERSEDED, world.clock()))
        return publish(session, read, rate)  # type: ignore[arg-type]

    assert own in world.broker.retained
    world.broker.retained.clear()
    monkeypatch.setattr(retained, "_publish", revoke_first)
    rebuild_now(world)
    assert announced
    assert own not in world.broker.retained
    assert topics.TRUST_CRL in world.broker.retained
