"""The registrar's operations (docs/protocol.md, "Operations"), asked for by members, on its real stores."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from flows.members import picture
from flows.world import World
from pydantic import SecretStr

from common import certificates, enrolment, messages, topics
from common.connection import Address, SessionOptions
from common.enrolment import Contact, enrol
from common.enveloping import unwrap_key
from common.errors import RefusedError, VerificationError
from common.identity import Identity
from common.sealing import read_sealed
from registrar.accounts import Accounts

if TYPE_CHECKING:
    from pathlib import Path

    from flows.members import Owner

    from common.enrolment import Enrolment

PASSWORD = "seven quiet boats at dusk"


def refusal(caught: pytest.ExceptionInfo[RefusedError]) -> str:
    return caught.value.code


def enrol_at(world: World, monkeypatch: pytest.MonkeyPatch, user: str, home: Path, password: str) -> Enrolment:
    monkeypatch.setattr(
        enrolment, "Session", lambda _door, client_id, _context, options: world.broker.session(client_id, options)
    )
    root = world.authorities.root.certificate
    contact = Contact(Address("localhost", 8884), certificates.fingerprint(root), root)
    return enrol(home, user, password, contact, key_size=2048, options=SessionOptions(), clock=world.clock)


def test_enrolling_registers_logs_in_or_refuses(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = enrol_at(world, monkeypatch, "dora", tmp_path / "one", PASSWORD)
    again = enrol_at(world, monkeypatch, "dora", tmp_path / "two", PASSWORD)
    with pytest.raises(RefusedError) as caught:
        enrol_at(world, monkeypatch, "dora", tmp_path / "three", "wrong but long enough")
    assert (first.message, again.message) == ("Registration Successful", "Connection Successful")
    assert (refusal(caught), caught.value.message) == ("login_failed", "Login Failed")
    assert world.accounts.certificates_of("dora", NOW) == [first.identity.certificate, again.identity.certificate]
    retained = {topic for topic in world.broker.retained if topic.startswith(f"{topics.PREFIX}/members/")}
    assert retained == {
        topics.member("dora", certificates.fingerprint(one.identity.certificate)) for one in (first, again)
    }
    with pytest.raises(RefusedError) as caught:
        enrol_at(world, monkeypatch, "dan", tmp_path / "four", "too short")
    assert refusal(caught) == "password_too_short"
    assert world.accounts.password_hash("dan") is None


@pytest.mark.parametrize("passwords", [(PASSWORD, PASSWORD), (PASSWORD, "another with fifteen letters")])
def test_two_who_register_one_name_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, passwords: tuple[str, str]
) -> None:
    both_have_looked = threading.Barrier(2)
    look_up = Accounts.password_hash
    looked: set[int] = set()

    def look_up_together(accounts: Accounts, user: str) -> str | None:
        found = look_up(accounts, user)
        if threading.get_ident() not in looked:
            looked.add(threading.get_ident())
            both_have_looked.wait(60)
        return found

    monkeypatch.setattr(Accounts, "password_hash", look_up_together)

    def register(password: str) -> str:
        request = messages.EnrolRequest(
            topic="any",
            sent_at=NOW,
            user="emma",
            password=SecretStr(password),
            csr=certificates.make_csr(authorities.new_key(), "emma"),
        )
        try:
            result = world.handlers.enrol(world.handlers.examine(request, now=NOW), now=NOW).result
        except RefusedError as error:
            return error.code
        assert isinstance(result, messages.EnrolResult)
        return result.message

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(register, passwords))
    second = "Connection Successful" if len(set(passwords)) == 1 else "login_failed"
    assert outcomes == sorted(["Registration Successful", second])


def test_every_member_up_to_the_limit(tmp_path: Path) -> None:
    with World(tmp_path, maximum_direct_recipients=2) as world:
        alice, bob = world.owner("alice"), world.identity("bob")
        found, registrar = alice.registrar.members(None)
        assert found == [alice.identity.certificate, bob.certificate]
        assert registrar == world.authorities.registrar.certificate
        carol = world.identity("carol")
        assert alice.registrar.members(None)[0] == []
        assert alice.registrar.members(["carol", "bob", "carol"])[0] == [carol.certificate, bob.certificate]
        with pytest.raises(RefusedError) as caught:
            alice.registrar.members(["bob", "nobody-here"])
        assert refusal(caught) == "unknown_user"


def store(owner: Owner, topic: topics.ImageTopic, sealed: bytes) -> messages.StoreResult:
    return owner.registrar.store(sealed, topic, name="boats.png", size=len(picture().content))


@pytest.fixture
def alice(world: World) -> Owner:
    return world.owner("alice")


def test_the_same_image_again_is_answered_again(world: World, alice: Owner) -> None:
    topic, sealed = alice.seal([alice.identity.registrar])
    first = store(alice, topic, sealed)
    world.clock.advance(seconds=30)
    assert store(alice, topic, sealed) == first
    assert first.stored_at == NOW
    assert world.archive.get(topic.image_id) == sealed
    assert [record.image_id for record in chain.from_iterable(world.catalogue.pages())] == [topic.image_id]
    announced = messages.read(messages.Announcement, world.broker.retained[topic.announcement].payload)
    assert (announced.sha256_sealed, announced.stored_at) == (sha256(sealed).hexdigest(), NOW)


def test_an_image_id_is_one_images(world: World, alice: Owner) -> None:
    topic, sealed = alice.seal([alice.identity.registrar])
    store(alice, topic, sealed)
    _, other = alice.seal([alice.identity.registrar], image_id=topic.image_id, topic=topic.image)
    with pytest.raises(RefusedError) as caught:
        store(alice, topic, other)
    assert refusal(caught) == "image_id_taken"
    mallory = world.owner("mallory")
    hers = topics.ImageTopic("mallory", "public", topic.image_id)
    _, sealed_by_her = mallory.seal([mallory.identity.registrar], image_id=topic.image_id, topic=hers.image)
    with pytest.raises(RefusedError) as caught:
        store(mallory, hers, sealed_by_her)
    assert refusal(caught) == "image_id_taken"
    assert world.archive.get(topic.image_id) == sealed
    assert hers.announcement not in world.broker.retained


def test_what_a_member_would_refuse_is_not_stored(world: World, alice: Owner) -> None:
    registrar, mallory = alice.identity.registrar, world.owner("mallory")
    topic, good = alice.seal([registrar])
    _, named = alice.seal([registrar], audience="named", image_id=topic.image_id, topic=topic.image)
    _, unnamed = alice.seal([registrar], recipients=("0" * 64,), image_id=topic.image_id, topic=topic.image)
    _, elsewhere = alice.seal([registrar], image_id=topic.image_id)
    _, other_id = alice.seal([registrar])
    _, others = mallory.seal([registrar], image_id=topic.image_id, topic=topic.image, owner="alice")
    broken = good[:-1] + bytes([good[-1] ^ 1])
    for sealed in (named, unnamed, elsewhere, other_id, others, broken, b"", b"no CMS"):
        with pytest.raises(RefusedError) as caught:
            store(alice, topic, sealed)
        assert refusal(caught) == "invalid_image"
    assert list(chain.from_iterable(world.catalogue.pages())) == []
    assert not world.archive.contains(topic.image_id)
    store(alice, topic, good)
    assert world.archive.contains(topic.image_id)


def test_what_can_be_seen_of_an_image_for_named_people_has_to_fit(world: World, alice: Owner) -> None:
    bob, mallory = world.identity("bob"), world.owner("mallory")
    topic, good = alice.seal([bob.certificate], audience="named")
    _, other_id = alice.seal([bob.certificate], audience="named")
    _, others = mallory.seal([bob.certificate], audience="named", image_id=topic.image_id, topic=topic.image)
    for sealed in (other_id, others):
        with pytest.raises(RefusedError) as caught:
            store(alice, topic, sealed)
        assert refusal(caught) == "invalid_image"
    assert store(alice, topic, good).image_id == topic.image_id


def test_an_image_is_stored_as_its_owner_signed_for_it(world: World, alice: Owner) -> None:
    topic, sealed = alice.seal([alice.identity.registrar])
    world.broker.carry = lambda _client_id, message: [
        replace(message, payload=message.payload + b"!") if message.topic == topic.image else message
    ]
    with pytest.raises(RefusedError) as caught:
        store(alice, topic, sealed)
    assert refusal(caught) == "altered"
    world.broker.carry = lambda _client_id, message: [message]
    with pytest.raises(RefusedError) as caught:
        store(world.owner("mallory"), topic, sealed)
    assert refusal(caught) == "wrong_signer"
    assert list(chain.from_iterable(world.catalogue.pages())) == []
    assert store(alice, topic, sealed).sealed_size == len(sealed)


def test_names_of_images_for_named_people_are_not_announced(world: World, alice: Owner) -> None:
    bob = world.identity("bob")
    topic, sealed = alice.seal([bob.certificate], audience="named")
    store(alice, topic, sealed)
    assert b"boats" not in world.broker.retained[topic.announcement].payload
    record = world.catalogue.get(topic.image_id)
    assert record is not None
    assert (record.audience, record.name, record.wrapped_key) == ("named", None, None)


def test_keys_are_released_for_images_for_members_only(world: World, alice: Owner) -> None:
    bob, carol = world.owner("bob"), world.owner("carol")
    public, public_sealed = alice.seal([alice.identity.registrar])
    named, named_sealed = alice.seal([bob.identity.certificate], audience="named")
    store(alice, public, public_sealed)
    store(alice, named, named_sealed)
    nowhere = topics.new_image_id(NOW)
    released = carol.registrar.release([public.image_id, named.image_id, nowhere])
    assert {one.image_id: one.code for one in released.refused} == {
        named.image_id: "not_recipient",
        nowhere: "unknown_image",
    }
    (key,) = released.keys
    assert key.image_id == public.image_id
    envelope = read_sealed(public_sealed, maximum_size=1 << 20)
    assert envelope.decrypt(unwrap_key(key.encrypted_key, carol.identity.key))
    with pytest.raises(VerificationError):
        unwrap_key(key.encrypted_key, bob.identity.key)


def test_images_for_named_people_are_fetched_by_these_and_the_owner(world: World, alice: Owner) -> None:
    bob, carol = world.owner("bob"), world.owner("carol")
    topic, sealed = alice.seal([bob.identity.certificate], audience="named")
    store(alice, topic, sealed)
    for entitled in (alice, bob):
        content, part = entitled.registrar.fetch(topic.image_id, len(sealed))
        assert (content, part.topic, part.stored_at) == (sealed, topic.image, NOW)
    for image_id, code in ((topic.image_id, "not_recipient"), (topics.new_image_id(NOW), "unknown_image")):
        with pytest.raises(RefusedError) as caught:
            carol.registrar.fetch(image_id, len(sealed))
        assert refusal(caught) == code


def test_a_stored_image_comes_in_parts(tmp_path: Path) -> None:
    with World(tmp_path, fetch_part_size=1000) as world:
        alice, bob = world.owner("alice"), world.owner("bob")
        topic, sealed = alice.seal([alice.identity.registrar])
        store(alice, topic, sealed)
        assert len(sealed) > 2000
        assert bob.registrar.fetch(topic.image_id, len(sealed))[0] == sealed
        with pytest.raises(VerificationError) as caught:
            bob.registrar.fetch(topic.image_id, len(sealed) - 1)
        assert caught.value.code == "untrusted_reply"


def test_renewing(world: World, alice: Owner) -> None:
    former = alice.identity.certificate
    before = world.reader("bob")
    before.registrar.renew()
    bob = before.identity
    assert bob.certificate.not_valid_after_utc == NOW + 90 * DAY
    assert world.accounts.certificates_of("bob", NOW) == [bob.certificate]
    assert bob.certificate.public_key() == bob.key.public_key()
    again = Identity.load(bob.home, now=NOW)
    assert again.certificate == bob.certificate
    assert len(again.reader.certificates) == 2
    # What was and will be sealed to the former certificate still opens, and alice's stays as it is.
    assert world.accounts.certificates_of("alice", NOW) == [former]
    topic, sealed = alice.seal([alice.identity.registrar, again.reader.certificates[1]])
    store(alice, topic, sealed)
    before.work()
    assert before.entries == {str(topic.image_id): "saved"}
