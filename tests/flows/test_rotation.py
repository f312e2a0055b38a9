"""The issuing CA is rotated while members are connected, and the old one comes to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import NOW

from common import keys
from common.errors import VerificationError
from common.settings import Settings
from registrar.authority import Authority, Issuer
from registrar.certifying import sign_issuing
from registrar.renewing import renew_registrar

if TYPE_CHECKING:
    from cryptography import x509
    from flows.members import Owner, Reader
    from flows.world import World

OLD_DAYS, RENEWED_AFTER = 100, 80


def end_soon(world: World) -> x509.Certificate:
    """Let the issuing CA be one that ends soon; return it."""
    root, issuer = world.authorities.root, world.authority.newest
    settings = Settings(issuing_certificate_days=OLD_DAYS)
    ending = sign_issuing(1, issuer.key, root=root.certificate, root_key=root.key, settings=settings, now=NOW)
    world.authority.issuers = (Issuer(ending, issuer.key),)
    world.service.publish_trust(world.authority)
    return ending


def rotate(world: World) -> x509.Certificate:
    """Put another issuing CA before the first, as the service takes it over; return it."""
    root, key, before = world.authorities.root, keys.generate(2048), world.authority
    new = sign_issuing(2, key, root=root.certificate, root_key=root.key, settings=world.settings, now=NOW)
    issuers = (Issuer(new, key), *before.issuers)
    fresh = Authority(before.home, world.settings, before.root, issuers, before.registrar)
    issue(world, fresh)
    world.service.publish_trust(fresh)
    before.adopt(fresh)
    renew_registrar(world.authority, world.clock())
    world.service.publish_trust(world.authority)
    return new


def issue(world: World, authority: Authority) -> None:
    now = world.clock()
    authority.write_crls(authority.issue_crls([], int(now.timestamp()), now))


def is_of(certificate: x509.Certificate, issuing: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuing)
    except ValueError:
        return False
    return True


def saved(reader: Reader) -> list[object]:
    return [event["image_id"] for event in reader.printer.named("saved")]


def post(*owners: Owner) -> list[object]:
    return [owner.post().header.image_id for owner in owners]


def test_everybody_goes_on_and_is_certified_by_the_new_one(world: World) -> None:
    old = end_soon(world)
    alice, bob = world.owner("alice"), world.reader("bob")
    expected = post(alice)
    bob.work()
    new = rotate(world)
    # Both are connected still, and have certificates of the old one; the registrar has one of the new.
    expected += post(alice)
    bob.work()
    assert is_of(world.authority.registrar[0], new)
    assert alice.identity.registrar == world.authority.registrar[0]
    key = authorities.new_key()
    carol = world.owner("carol", authorities.Holder(key, world.authority.sign_member(key.public_key(), "carol", NOW)))
    assert is_of(carol.identity.certificate, new)
    expected += post(carol)
    bob.work()
    assert saved(bob) == expected
    assert bob.identity.trust.issuing == (new, old)

    world.clock.advance(days=RENEWED_AFTER)
    issue(world, world.authority)
    world.service.publish_trust(world.authority)
    for member, session in ((alice, alice.session), (bob, bob.asking)):
        member.registrar.renew_when_due()
        assert is_of(member.identity.certificate, new)
        # With its authority, which a broker may not know that was started before.
        assert session.shown is not None
        assert session.shown[2] == world.authority.ca_pem
    carol.registrar.renew_when_due()

    world.clock.advance(days=OLD_DAYS - RENEWED_AFTER + 1)
    issue(world, world.authority)
    world.service.publish_trust(world.authority)
    expected += post(alice, carol)
    bob.work()
    bob.restart()
    expected += post(alice)
    bob.work()
    assert saved(bob) == expected
    assert bob.identity.trust.issuing == (new,)


def test_a_new_one_that_nobody_has_heard_of_is_not_believed(world: World) -> None:
    alice = world.owner("alice")
    world.service.publish_trust = lambda _: None  # type: ignore[method-assign] # a broker that keeps it back
    rotate(world)
    with pytest.raises(VerificationError) as caught:
        alice.post()
    assert caught.value.code == "untrusted_reply"
