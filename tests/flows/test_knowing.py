"""Whoever has verified somebody is told of a device that was not, and of nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
from authorities import NOW
from flows.members import Owner

from common.certificates import fingerprint, key_fingerprint
from common.registrar_client import RegistrarClient
from common.verified import Verified
from common.words import spoken

if TYPE_CHECKING:
    import pytest
    from flows.members import Reader
    from flows.world import World


def told(bob: Reader) -> list[tuple[str, str | None]]:
    bob.work()
    return [
        (event["event"], event.get("verified_owner"))
        for event in bob.printer.events
        if event["event"] in {"device_changed", "saved"}
    ]


def second_device(world: World, user: str) -> Owner:
    """Return another device of a user, which the registrar has certified for whoever has asked."""
    identity = world.identity(user, authorities.default().new_member(user), folder=f"second-{user}")
    session = world.stack.enter_context(world.broker.session(identity.device.client_id("publisher")))
    registrar = RegistrarClient(session, identity, world.clock)
    registrar.join()
    return Owner(world, identity, session, registrar)


def test_a_second_key_of_a_verified_owner_is_told_before_its_image(world: World, alice: Owner, bob: Reader) -> None:
    alice.post()
    assert told(bob) == [("saved", "unknown")]
    bob.verified.add([alice.identity.certificate], NOW)
    alice.post()
    other = second_device(world, "alice")
    other.post()
    other.post()
    assert told(bob)[1:] == [
        ("saved", "verified"),
        ("device_changed", None),
        ("saved", "changed"),
        ("saved", "changed"),
    ]
    (changed,) = bob.printer.named("device_changed")
    certificate = other.identity.certificate
    assert (changed["user"], changed["fingerprint"]) == ("alice", fingerprint(certificate))
    assert changed["words"] == spoken(key_fingerprint(certificate))
    bob.verified.add([certificate], NOW)
    other.post()
    assert told(bob)[-1] == ("saved", "verified")


def test_a_renewed_certificate_is_not_told(world: World, alice: Owner, bob: Reader) -> None:
    bob.verified.add([alice.identity.certificate], NOW)
    before = alice.identity.certificate
    world.clock.advance(seconds=1)
    alice.registrar.renew()
    assert alice.identity.certificate != before
    alice.post()
    assert told(bob) == [("saved", "verified")]


def test_another_owners_new_device_is_not_told(world: World, alice: Owner, bob: Reader) -> None:
    bob.verified.add([alice.identity.certificate], NOW)
    world.owner("carol").post()
    assert told(bob) == [("saved", "unknown")]


def test_who_posts_to_a_verified_user_is_told_of_a_second_key(
    world: World, alice: Owner, bob: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    with Verified(alice.identity.home) as verified:
        verified.add([bob.identity.certificate], NOW)
    alice.post(to=["bob"])
    assert capsys.readouterr().err == ""
    other = second_device(world, "bob")
    alice.post(to=["bob"])
    said = capsys.readouterr().err.splitlines()
    words = spoken(key_fingerprint(other.identity.certificate))
    assert said[0] == f"warning: bob has a device that you have not verified: {words}"
    assert said[1].startswith("hint: ")
    assert "publisher verify bob" in said[1]
    with Verified(alice.identity.home) as verified:
        verified.forget("bob")
    alice.post(to=["bob"])
    assert capsys.readouterr().err == ""
