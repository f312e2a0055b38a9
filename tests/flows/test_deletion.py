"""What becomes of the images of an account that was deleted (docs/protocol.md, "Deletion")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flows.test_passwords import NEW, OLD, WRONG, code_of, hashed

from common import topics
from common.certificates import fingerprint
from registrar import passwords
from registrar.catalogue import Catalogue
from registrar.handlers import storing

if TYPE_CHECKING:
    import uuid

    from flows.members import Owner
    from flows.world import World

    from publisher.post import Posted


@pytest.fixture
def alice(world: World) -> Owner:
    """A member whose password is OLD."""
    world.accounts.create("alice", hashed(), world.clock())
    return world.owner("alice")


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
    assert world.deletions.images_left(world.clock(), 9) == []


def test_who_knows_the_password_deletes_the_account_from_a_device_of_it(world: World, alice: Owner) -> None:
    alice.post()
    deleted = alice.registrar.delete_account(OLD)
    assert (deleted.deleted_at, deleted.images) == (world.clock(), 1)
    assert world.accounts.members(world.clock()) == []
    assert [one.certificate for one in world.revocations.listed(world.clock())[1]] == [alice.identity.certificate]


def test_who_does_not_know_it_does_not(world: World, alice: Owner) -> None:
    assert code_of(lambda: alice.registrar.delete_account(WRONG)) == "login_failed"
    world.revocations.demand_standing("alice", fingerprint(alice.identity.certificate))
    assert passwords.verify_password(OLD, world.accounts.password_hash("alice") or "")


def test_guesses_count_together_with_those_at_a_change_of_the_password(world: World, alice: Owner) -> None:
    for _ in range(world.settings.free_login_attempts - 1):
        assert code_of(lambda: alice.registrar.change_password(WRONG, NEW)) == "login_failed"
    assert code_of(lambda: alice.registrar.delete_account(WRONG)) == "login_failed"
    assert code_of(lambda: alice.registrar.delete_account(OLD)) == "throttled"
    world.clock.advance(seconds=1)
    alice.registrar.delete_account(OLD)


def test_whoever_asks_again_is_told_that_it_is_done(alice: Owner) -> None:
    alice.registrar.delete_account(OLD)
    assert code_of(lambda: alice.registrar.delete_account(OLD)) == "deleted"
    assert code_of(lambda: alice.registrar.members(None)) == "deleted"


def test_a_password_that_was_changed_while_it_was_looked_at_deletes_nothing(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = passwords.verify_password

    def verify(password: str, known: str) -> bool:
        world.accounts.set_password("alice", passwords.LOCKED, world.clock())
        return real(password, known)

    monkeypatch.setattr(passwords, "verify_password", verify)
    assert code_of(lambda: alice.registrar.delete_account(OLD)) == "login_failed"
    assert [member.user for member in world.accounts.members(world.clock())] == ["alice"]
