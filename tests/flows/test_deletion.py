"""What becomes of the images of an account that was deleted (docs/protocol.md, "Deletion")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common import topics
from registrar.catalogue import Catalogue
from registrar.handlers import storing

if TYPE_CHECKING:
    import uuid

    from flows.members import Owner
    from flows.world import World

    from publisher.post import Posted


def announced(world: World) -> set[uuid.UUID]:
    found = map(topics.parse_announcement, world.broker.retained)
    return {topic.image_id for topic in found if topic}


def ids(posted: list[Posted]) -> set[uuid.UUID]:
    return {one.header.image_id for one in posted}


def archived(world: World) -> set[uuid.UUID]:
    return {image_id for image_id, _ in world.archive.stored()}


def test_its_images_go_some_at_a_time_and_those_of_others_stay(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "_AT_ONCE", 2)
    carol = world.owner("carol")
    mine, others = [alice.post() for _ in range(3)], [carol.post()]
    world.deletions.delete("alice", world.clock())
    assert world.service.clear_away()
    assert len(announced(world)) == 2
    while world.service.clear_away():
        pass
    assert announced(world) == archived(world) == ids(others)
    assert {world.catalogue.removal(one, "alice") is not None for one in ids(mine)} == {True}


@pytest.mark.parametrize("step", ["remove", "settle"])
def test_a_registrar_that_ends_in_between_goes_on_when_it_comes_back(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for _ in range(3):
        alice.post()
    world.deletions.delete("alice", world.clock())
    real, calls = getattr(Catalogue, step), list[object]()

    def end_in_between(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(Catalogue, step, end_in_between)
    with pytest.raises(KeyboardInterrupt):
        world.service.clear_away()
    monkeypatch.undo()
    assert archived(world)
    while world.service.clear_away():
        pass
    assert announced(world) == archived(world) == set()
    assert world.deletions.images_left(9) == []
