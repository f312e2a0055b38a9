"""A fetch that was cut goes on where it was, and is begun anew where that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.interference import IMAGES, assert_saved_once, withhold
from flows.members import FaultyClient
from flows.world import World

from common.registrar_client import RegistrarClient

if TYPE_CHECKING:
    import uuid
    from pathlib import Path

    import pytest

    from publisher.post import Posted

PARTS = 400  # bytes; the picture is sealed in several of them


def test_a_fetch_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    with World(tmp_path, fetch_part_size=PARTS) as world:
        alice, bob = world.owner("alice"), world.reader("bob")
        withhold(world, bob, IMAGES)
        posted = alice.post()
        bob.registrar.cuts += [PARTS, 2 * PARTS, 4 * PARTS]
        bob.work()
        for _ in range(3):
            assert bob.files == []
            bob.receiver.try_postponed()
        assert bob.registrar.fetched(posted.header.image_id) == offsets(world, posted)
        assert_saved_once(bob, posted)


def test_an_image_that_gets_on_goes_first_and_one_that_does_not_keeps_nobody_back(tmp_path: Path) -> None:
    with World(tmp_path, fetch_part_size=PARTS) as world:
        alice, bob = world.owner("alice"), world.reader("bob")
        withhold(world, bob, IMAGES)
        first, second = alice.post(), alice.post()
        bob.registrar.cuts += [PARTS, PARTS, 2 * PARTS, 2 * PARTS, 2 * PARTS]
        bob.work()
        for _ in range(2):
            bob.receiver.try_postponed()
        # The first had got on, so it went first; when it did not any more, the second had its turn.
        assert bob.registrar.fetched(first.header.image_id) == [0, PARTS]
        assert bob.registrar.fetched(second.header.image_id) == [0]
        bob.registrar.cuts.clear()
        for _ in range(2):
            bob.receiver.try_postponed()
        assert_saved_once(bob, first, second)


def test_what_does_not_fit_what_was_begun_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with World(tmp_path, fetch_part_size=PARTS) as world:
        alice, bob = world.owner("alice"), world.reader("bob")
        withhold(world, bob, IMAGES)
        posted = alice.post()
        bob.registrar.cuts += [2 * PARTS]
        with monkeypatch.context() as patch:
            patch.setattr(FaultyClient, "fetch", spoil_what_was_begun)
            bob.work()
        bob.receiver.try_postponed()
        every = offsets(world, posted)
        assert bob.registrar.fetched(posted.header.image_id) == [*every, *every]
        assert_saved_once(bob, posted)


def offsets(world: World, posted: Posted) -> list[int]:
    record = world.catalogue.get(posted.header.image_id)
    assert record is not None
    return list(range(0, record.sealed_size, PARTS))


def spoil_what_was_begun(
    client: FaultyClient, image_id: uuid.UUID, maximum_size: int, begun: bytearray, *, owner: str
) -> None:
    try:
        RegistrarClient.fetch(client, image_id, maximum_size, begun, owner=owner)
    finally:
        begun[-1] ^= 1
