"""A device changes its key: what was sealed to the old one comes and opens, and no crash leaves half an identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import NOW
from flows.members import picture
from flows.test_renewal import ids, saved

from common import identity
from common.certificates import fingerprint, subject_key_identifier
from common.device import Device
from common.errors import RefusedError, SessionError
from common.files import write_private
from common.identity import CERTIFICATE, Identity
from common.registrar_client import RegistrarClient
from registrar.listing import Viewer

if TYPE_CHECKING:
    from pathlib import Path

    from flows.members import Owner, Reader
    from flows.world import World


def change_key(reader: Reader) -> None:
    before = reader.identity.key
    reader.registrar.renew(reader.identity.next_key(2048))
    assert reader.identity.key is not before


def test_what_was_sealed_to_an_earlier_key_comes_and_opens(world: World, alice: Owner, bob: Reader) -> None:
    posted = [alice.post(to=["bob"])]
    for _ in range(2):
        change_key(bob)
        posted += [alice.post(to=["bob"]), alice.post()]
    # As it is after a while at the broker: only the catalogue knows.
    bob.session.reconnect(forgotten=True)
    bob.restart()
    bob.catch_up()
    bob.work()
    assert sorted(map(str, saved(bob))) == sorted(map(str, ids(*posted)))
    assert len(bob.identity.device.others) == 2
    assert world.accounts.certificates_of("bob", NOW)[-1] == bob.identity.certificate


def test_an_image_for_an_earlier_key_is_for_its_own_device_only(world: World, alice: Owner, bob: Reader) -> None:
    posted = alice.post(to=["bob"])
    record = world.catalogue.get(posted.header.image_id)
    assert record is not None
    second = authorities.default().new_member("bob")
    world.accounts.add_certificate("bob", second.certificate, NOW)
    change_key(bob)
    mallory = world.reader("mallory")
    change_key(mallory)

    def may_see(user: str, certificate: object) -> bool:
        viewer = Viewer(user, subject_key_identifier(certificate))
        page = world.catalogue.visible_to(viewer, "oldest", None, 9)
        seen = world.catalogue.may_see(record, viewer)
        assert seen == (record in page.records)
        return seen

    assert may_see("bob", bob.identity.certificate)
    assert not may_see("bob", second.certificate)
    assert not may_see("mallory", mallory.identity.certificate)


def test_nobody_takes_over_what_somebody_else_s_key_may_have(world: World, alice: Owner, bob: Reader) -> None:
    posted = alice.post(to=["bob"])
    mallory = world.reader("mallory")
    with pytest.raises(RefusedError) as caught:
        mallory.registrar.renew(bob.identity.key)
    assert caught.value.code == "key_in_use"
    bob.work()
    assert saved(bob) == ids(posted)


def test_a_lost_reply_leaves_the_old_identity_and_the_next_try_uses_the_same_key(
    world: World, alice: Owner, bob: Reader
) -> None:
    world.broker.carry = lambda client_id, message: [message] if client_id != world.members.client_id else []
    made = bob.identity.next_key(2048)
    with pytest.raises(SessionError):
        bob.registrar.renew(made)
    world.broker.carry = lambda _client_id, message: [message]
    again = Identity.load(bob.home, now=NOW)
    assert again.certificate == bob.identity.certificate
    posted = alice.post(to=["bob"])
    assert again.next_key(2048).public_key() == made.public_key()
    change_key(bob)
    assert bob.identity.key is made
    bob.work()
    assert saved(bob) == ids(posted)


def test_a_device_shuts_its_old_key_out_and_goes_on_with_the_new_one(world: World, bob: Reader) -> None:
    old = fingerprint(bob.identity.certificate)
    change_key(bob)
    assert bob.registrar.revoke(old, "key-compromise").certificates == (old,)
    assert world.accounts.certificates_of("bob", NOW) == [bob.identity.certificate]
    bob.registrar.members(["bob"])


@pytest.mark.parametrize("crash_at", range(4))
def test_a_crash_leaves_the_old_identity_or_the_new_one(
    alice: Owner, bob: Reader, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    posted = alice.post(to=["bob"])
    old = bob.identity.certificate
    remaining, written = crash_at, identity.write_private

    def write_until_the_crash(path: Path, content: bytes) -> None:
        nonlocal remaining
        if remaining == 0:
            raise KeyboardInterrupt
        remaining -= 1
        written(path, content)

    for module in ("common.identity", "common.device"):
        monkeypatch.setattr(f"{module}.write_private", write_until_the_crash)
    with pytest.raises(KeyboardInterrupt):
        change_key(bob)
    monkeypatch.undo()
    # A key of its own, a former certificate, the certificate, the place of the key.
    after = Identity.load(bob.home, now=NOW)
    assert (after.certificate == old) is (crash_at < 3)
    assert after.key.public_key() == after.certificate.public_key()
    bob.restart()
    bob.catch_up()
    bob.work()
    assert saved(bob) == ids(posted)
    change_key(bob)
    assert Device.load(bob.home).key.public_key() == bob.identity.certificate.public_key()


def test_what_comes_before_another_program_s_new_key_is_taken_over_opens(
    world: World, alice: Owner, bob: Reader
) -> None:
    beside = Identity.load(bob.home, now=NOW)
    with world.broker.session(beside.device.client_id("publisher")) as session:
        registrar = RegistrarClient(session, beside, world.clock)
        registrar.join()
        registrar.renew(beside.next_key(2048))
    to_both = alice.post(to=["bob"])
    both = bob.identity.certificate, beside.certificate
    assert set(map(fingerprint, both)) <= set(to_both.header.recipients)
    topic, sealed = alice.seal([beside.certificate], audience="named")
    alice.registrar.store(sealed, topic, name=None, size=len(picture().content))
    bob.work()
    assert saved(bob) == [*ids(to_both), topic.image_id]
    # The broker is still shown the new certificate, in its turn.
    assert bob.identity.follow_folder()


def test_another_program_in_the_folder_takes_the_new_key_over(bob: Reader) -> None:
    beside = Identity.load(bob.home, now=NOW)
    change_key(bob)
    assert beside.follow_folder()
    assert beside.certificate == bob.identity.certificate
    assert beside.key.public_key() == bob.identity.certificate.public_key()
    assert not beside.follow_folder()
    # A certificate for a key that is not in the folder is not taken.
    write_private(bob.home / CERTIFICATE, authorities.default().new_member("bob").certificate_pem)
    assert not beside.follow_folder()
    assert beside.certificate == bob.identity.certificate
