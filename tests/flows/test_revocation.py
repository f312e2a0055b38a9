"""Who is revoked in the database is out, whatever lists are about; and who is not, is in."""

from __future__ import annotations

import datetime as dt
import errno
from typing import TYPE_CHECKING

import pytest

from common import files, topics
from common.certificates import check_member, fingerprint
from common.errors import ConfigurationError, RefusedError, VerificationError
from common.revocation_lists import Reason
from registrar.crls import issue_when_due
from registrar.enforcing import Enforcement
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from pathlib import Path

    from flows.members import Owner, Reader
    from flows.world import World

    from registrar.handlers import Publication


class Following:
    """A registrar that follows the revocations, and what it publishes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.enforcement = Enforcement(world.handlers, world.clock)
        self.topics: list[str] = []

    def follow(self) -> None:
        issue_when_due(self.world.authority, self.world.revocations, self.world.clock())
        self.world.service.publish_trust(self.world.authority)
        self.enforcement.follow(self._retain)

    def _retain(self, publication: Publication) -> None:
        self.topics.append(publication.topic)
        self.world.service.retain(publication)


@pytest.fixture
def following(world: World) -> Following:
    (world.authority.home / "authority").mkdir()
    return Following(world)


def revoke(world: World, user: str, device: str | None = None) -> None:
    world.revocations.revoke(user, Reason.PRIVILEGE_WITHDRAWN, world.clock(), fingerprint=device)


@pytest.mark.parametrize("whole", [True, False])
def test_no_signed_request_is_answered_from_the_moment_of_the_commit(
    world: World, alice: Owner, bob: Reader, *, whole: bool
) -> None:
    before = alice.post()
    revoke(world, "alice", None if whole else fingerprint(alice.identity.certificate))
    for ask in (
        alice.post,
        lambda: alice.registrar.members(["bob"]),
        lambda: alice.registrar.release([before.header.image_id]),
        lambda: alice.registrar.fetch(before.header.image_id, 2**20),
        lambda: alice.registrar.list("newest", None),
        lambda: alice.registrar.remove(before.header.image_id),
        alice.registrar.renew,
    ):
        with pytest.raises(RefusedError) as caught:
            ask()
        assert caught.value.code == "revoked"
    bob.catch_up()
    assert len(bob.files) == 1


def test_another_device_and_another_member_go_on(world: World, alice: Owner, bob: Reader) -> None:
    lost = world.authorities.new_member("alice").certificate
    world.accounts.add_certificate("alice", lost, world.clock())
    revoke(world, "alice", fingerprint(lost))
    alice.post()
    bob.catch_up()
    assert len(bob.files) == 1


def test_everybody_learns_of_a_revocation_once(world: World, following: Following) -> None:
    retained, presence = {}, {}
    for user in ("carol", "dave"):
        certificate = world.identity(user).certificate
        retained[user] = topics.member(user, fingerprint(certificate))
        presence[user] = topics.presence(user, fingerprint(certificate))
        world.members.publish(retained[user], b"certificate", retain=True)
    following.follow()
    assert following.topics == []
    revoke(world, "carol")
    following.follow()
    assert following.topics == [retained["carol"], presence["carol"]]
    assert retained["carol"] not in world.broker.retained
    assert retained["dave"] in world.broker.retained
    following.follow()
    assert len(following.topics) == 2


def test_what_could_not_be_made_known_is_tried_again(
    world: World, following: Following, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device = "carol", fingerprint(world.identity("carol").certificate)
    revoke(world, "carol")

    def silent(_: Revocations) -> int:
        raise RefusedError("the registrar's database does not answer", code="unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(Revocations, "number", silent)
        following.enforcement.follow(world.service.retain)
    assert "will try again: the registrar's database does not answer" in caplog.text
    following.follow()
    assert following.topics == [topics.member(*device), topics.presence(*device)]


def test_readers_go_by_the_new_list_and_keep_what_was_stored_before(
    world: World, following: Following, alice: Owner, bob: Reader
) -> None:
    alice.post()
    world.clock.advance(minutes=10)
    revoke(world, "alice")
    following.follow()
    bob.registrar.refresh_trust()
    world.clock.advance(minutes=10)
    # It comes from the archive now, where the registrar's word is when it was stored.
    bob.catch_up()
    assert len(bob.files) == 1
    certificate, now = alice.identity.certificate, world.clock()
    with pytest.raises(VerificationError):
        check_member(certificate, bob.identity.trust, at=now, now=now)
    check_member(certificate, bob.identity.trust, at=now - dt.timedelta(minutes=15), now=now)


def test_a_reader_whose_disk_is_full_goes_on_and_learns_of_a_new_list_when_there_is_room(
    world: World, alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = bob.identity.trust.crls
    world.publish_trust(world.authorities.crl(number=2**40))

    def fail(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, f"No space left on device: {path}, {len(content)} bytes")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_new", fail)
        with pytest.raises(ConfigurationError, match=r"cannot write .*crl\.pem"):
            bob.registrar.refresh_trust()
        world.clock.advance(minutes=1)
        bob.daemon.turn(lambda: False, timeout=0)
        assert bob.identity.trust.crls == known
    world.clock.advance(minutes=1)
    bob.daemon.turn(lambda: False, timeout=0)
    assert bob.identity.trust.crls != known
    alice.post()
    bob.work()
    assert len(bob.files) == 1


def test_nobody_seals_to_who_is_revoked(world: World, alice: Owner, bob: Reader) -> None:
    assert bob.identity.user == "bob"
    assert alice.registrar.members(["bob"])[0]
    revoke(world, "bob")
    with pytest.raises(RefusedError) as caught:
        alice.registrar.members(["bob"])
    assert caught.value.code == "unknown_user"
