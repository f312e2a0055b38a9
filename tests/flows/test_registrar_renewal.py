"""The registrar's certificate is renewed while requests and images that name the former one are on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.post import post
from registrar.renewing import renew_registrar

if TYPE_CHECKING:
    from cryptography import x509
    from flows.world import World


def renew(world: World) -> tuple[x509.Certificate, x509.Certificate]:
    """Renew the registrar's certificate as it serves; return the former one and the new one."""
    renew_registrar(world.authority, world.clock())
    newest, former = world.authority.registrar
    return former, newest


def test_an_image_that_names_the_former_certificate_is_stored_and_read(world: World) -> None:
    alice, bob = world.owner("alice"), world.reader("bob")
    waiting = alice.seal_picture()
    former, newest = renew(world)
    assert former != newest
    assert post(waiting, alice.courier).error is None
    posted = alice.post()
    bob.work()
    saved = [event["image_id"] for event in bob.printer.named("saved")]
    assert saved == [waiting.header.image_id, posted.header.image_id]


def test_a_member_who_knows_the_former_certificate_takes_the_new_one_over(world: World) -> None:
    alice = world.owner("alice")
    former, newest = renew(world)
    assert alice.identity.registrar == former
    alice.post()
    assert alice.identity.registrar == newest
