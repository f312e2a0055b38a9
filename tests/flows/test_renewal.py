"""A certificate is renewed in time, and no image is lost over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW

from common.device import KEY
from common.files import read_private
from common.identity import Identity
from common.registrar_client import RegistrarClient

if TYPE_CHECKING:
    from flows.members import Reader
    from flows.world import World

    from publisher.post import Posted


def saved(reader: Reader) -> list[object]:
    return [event["image_id"] for event in reader.printer.named("saved")]


def ids(*posted: Posted) -> list[object]:
    return [one.header.image_id for one in posted]


@pytest.mark.parametrize(("age", "is_due"), [(59, False), (61, True)])
def test_a_certificate_is_renewed_after_two_thirds_of_its_life(world: World, age: int, *, is_due: bool) -> None:
    aged = authorities.default().new_member("bob", lifetime=(NOW - age * DAY, NOW + (90 - age) * DAY))
    bob = world.reader("bob", aged)
    bob.registrar.renew_when_due()
    renewed = bob.identity.certificate
    assert (renewed != aged.certificate) is is_due
    assert world.accounts.certificates_of("bob", NOW) == [renewed]
    if is_due:
        assert bob.asking.shown == (
            authorities.Holder(aged.key, renewed).certificate_pem,
            read_private(bob.home / KEY),
            world.authorities.ca_pem,
        )
        bob.registrar.renew_when_due()
        assert bob.identity.certificate == renewed
    else:
        assert bob.asking.shown is None


def test_what_was_sealed_to_the_former_certificate_opens(world: World) -> None:
    alice, bob = world.owner("alice"), world.reader("bob")
    before = [alice.post(to=["bob"]), alice.post()]
    bob.registrar.renew()
    after = [alice.post(to=["bob"]), alice.post()]
    bob.work()
    assert saved(bob) == ids(*before, *after)
    bob.restart()
    again = alice.post(to=["bob"])
    bob.work()
    assert saved(bob) == ids(*before, *after, again)


def test_two_programs_may_renew_in_one_folder(world: World) -> None:
    alice, bob = world.owner("alice"), world.reader("bob")
    # The publisher beside the subscriber has loaded the same identity, and does not see what the other one does.
    beside = Identity.load(bob.home, now=NOW)
    with world.broker.session(beside.device.client_id("publisher")) as session:
        registrar = RegistrarClient(session, beside, world.clock)
        registrar.join()
        posted = [alice.post(to=["bob"])]
        for renew in (registrar.renew, bob.registrar.renew, registrar.renew):
            renew()
            posted.append(alice.post(to=["bob"]))
    bob.restart()
    bob.work()
    assert saved(bob) == ids(*posted)
    assert bob.identity.certificate == beside.certificate


def test_a_renewal_that_gets_no_answer_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    aged = authorities.default().new_member("bob", lifetime=(NOW - 80 * DAY, NOW + 10 * DAY))
    bob = world.reader("bob", aged)
    world.broker.carry = lambda client_id, message: [message] if client_id != world.members.client_id else []
    bob.registrar.renew_when_due()
    assert "cannot renew the certificate yet, which is valid until 2026-12-04" in caplog.text
    assert Identity.load(bob.home, now=NOW).certificate == aged.certificate
    assert bob.asking.shown is None
