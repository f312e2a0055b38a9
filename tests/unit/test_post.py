"""Posting: what is taken in, for whom it is sealed, and what becomes of several files."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pictures
import pytest
from authorities import NOW
from flows.members import INSPECT, picture
from flows.world import World
from system import free_ports

from common import certificates, topics
from common.decoder import Decoder
from common.enveloping import Cipher
from common.errors import ConfigurationError, ImageError, RefusedError, SealcastError, SessionError
from common.registrar_client import RegistrarClient
from common.sealing import open_signed
from common.settings import Settings
from publisher.__main__ import post_command
from publisher.courier import Courier, Outcome
from publisher.items import State
from publisher.post import (
    Wishes,
    display_name,
    find_recipients,
    post,
    post_all,
    seal_picture,
    take_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.members import Owner

FOR_ALL = Wishes((), "public", None, keep_metadata=False, cipher=Cipher.AES_256_GCM)
FOR_BOB = replace(FOR_ALL, to=("bob",))
SETTINGS = Settings()
NO_BROKER = SessionError("no broker answers", code="no_broker")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as one:
        yield one


@pytest.fixture
def alice(world: World) -> Owner:
    return world.owner("alice")


def test_a_file_loses_what_is_private_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    file = tmp_path / "boats.jpg"
    file.write_bytes(pictures.private("image/jpeg"))
    stripped = take_in(file, FOR_ALL, INSPECT, SETTINGS)
    assert (stripped.name, stripped.facts.media_type) == ("boats.jpg", "image/jpeg")
    assert stripped.removed
    assert not any(secret in stripped.content for secret in pictures.SECRETS)
    kept = take_in(file, replace(FOR_ALL, keep_metadata=True), INSPECT, SETTINGS)
    assert (kept.content, kept.removed) == (file.read_bytes(), ())


def test_what_is_no_image_is_not_taken_in(tmp_path: Path) -> None:
    file = tmp_path / "notes.png"
    file.write_text("no image")
    with pytest.raises(ImageError):
        take_in(file, FOR_ALL, INSPECT, SETTINGS)
    file.write_bytes(picture().content)
    assert take_in(file, FOR_ALL, INSPECT, SETTINGS).facts == picture().facts


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("boats.png", "boats.png"),
        ("a\\b\x1b[31m.png", "a_b_[31m.png"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("x" * 300 + ".png", "x" * 251 + ".png"),
    ],
)
def test_a_name_is_shown_without_what_could_mislead(name: str, shown: str) -> None:
    assert display_name(Path("folder") / name) == shown


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"channel": "#"}, "invalid_channel"),
        ({"to": ("Bob",)}, "invalid_name"),
        ({"to": tuple(f"user-{number}" for number in range(65))}, "too_many_people"),
        ({"caption": "x" * 1001}, "invalid_caption"),
        ({"caption": "\udcff"}, "invalid_caption"),
    ],
)
def test_wishes_that_cannot_be(wish: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replace(FOR_ALL, **wish)
    assert caught.value.code == code
    replace(FOR_ALL, channel="site-7/gate", to=("bob",), caption="x" * 1000)


def unreachable(alice: Owner) -> Courier:
    return Courier(alice.outbox, alice.identity, alice.world.clock, NO_BROKER)


def test_whom_an_image_is_sealed_to(world: World, alice: Owner) -> None:
    bob = world.identity("bob")
    registrar = world.authorities.registrar.certificate
    assert find_recipients(FOR_ALL, alice.courier) == [registrar, alice.identity.certificate, bob.certificate]
    assert find_recipients(FOR_BOB, alice.courier) == [bob.certificate]


def test_whom_an_image_is_sealed_to_while_nobody_can_be_asked(world: World, alice: Owner) -> None:
    bob, registrar = world.identity("bob"), world.authorities.registrar.certificate
    with pytest.raises(ConfigurationError) as caught:
        find_recipients(replace(FOR_ALL, to=("bob", "carol")), unreachable(alice))
    assert (caught.value.code, "bob, carol" in caught.value.message) == ("unknown_contact", True)
    find_recipients(FOR_ALL, alice.courier)
    assert find_recipients(FOR_BOB, unreachable(alice)) == [bob.certificate]
    assert find_recipients(FOR_ALL, unreachable(alice)) == [registrar]
    with pytest.raises(ConfigurationError) as caught:
        find_recipients(replace(FOR_ALL, to=("bob", "carol")), unreachable(alice))
    assert "bob" not in caught.value.message


def test_a_registrar_that_is_busy_is_not_asked_any_more(world: World, alice: Owner) -> None:
    busy = RefusedError("the database does not answer", code="unavailable", retry_after=5)

    class Busy:
        def members(self, _users: object) -> None:
            raise busy

    registrar: Any = Busy()
    courier = Courier(alice.outbox, alice.identity, world.clock, registrar)
    assert find_recipients(FOR_ALL, courier) == [world.authorities.registrar.certificate]
    assert courier.unreachable is busy


def test_who_interrupts_a_post_is_told_not_to_post_twice(
    monkeypatch: pytest.MonkeyPatch, alice: Owner, tmp_path: Path
) -> None:
    def interrupt(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("publisher.__main__.post_all", interrupt)
    (port,) = free_ports(1)
    with pytest.raises(SealcastError) as caught:
        post_command(write_pictures(tmp_path, 1), home=alice.identity.home, port=port)
    assert caught.value.message == "interrupted"
    assert "publisher outbox" in str(caught.value.hint)


def test_nothing_is_sealed_that_nobody_would_accept(world: World, alice: Owner) -> None:
    find_recipients(FOR_ALL, unreachable(alice))
    # The revocation list is out of date by then.
    world.clock.advance(days=31)
    with pytest.raises(SessionError) as caught:
        find_recipients(FOR_ALL, unreachable(alice))
    assert caught.value is NO_BROKER


@pytest.mark.parametrize("wishes", [FOR_ALL, FOR_BOB], ids=["members", "named"])
def test_a_post_is_done_when_it_is_stored(world: World, alice: Owner, wishes: Wishes) -> None:
    bob = world.identity("bob")
    wishes = replace(wishes, lifetime=dt.timedelta(days=7))
    recipients = find_recipients(wishes, alice.courier)
    posted = seal_picture(picture(), wishes, recipients, alice.identity, now=NOW)
    outcome = post(posted, alice.courier)
    assert (outcome.error, outcome.item.state) == (None, State.STORED)
    sealed = world.archive.get(posted.header.image_id)
    assert sealed == posted.sealed
    opened = open_signed(
        sealed,
        topic=posted.header.topic,
        reader=bob.reader,
        trust=bob.trust,
        at=NOW,
        now=NOW,
        maximum_size=len(sealed),
    )
    assert (opened.image, opened.header) == (picture().content, posted.header)
    assert posted.header.audience == ("named" if wishes.to else "members")
    assert posted.header.expires_at == NOW + dt.timedelta(days=7)
    assert set(posted.header.recipients) == {certificates.fingerprint(one) for one in recipients}
    record = world.catalogue.get(posted.header.image_id)
    assert record is not None
    assert record.name == (None if wishes.to else "boats.png")
    assert record.expires_at == posted.header.expires_at


def post_files(
    world: World, alice: Owner, files: list[Path], wishes: Wishes = FOR_ALL, courier: Courier | None = None
) -> Iterator[tuple[Path | None, Outcome | SealcastError]]:
    with Decoder(world.settings) as decoder:  # they are taken in several at once
        yield from post_all(files, wishes, courier or alice.courier, inspect=decoder.inspect, settings=world.settings)


def write_pictures(folder: Path, count: int) -> list[Path]:
    files = [folder / f"{number}.png" for number in range(count)]
    for file in files:
        file.write_bytes(picture().content)
    return files


def test_a_file_that_fails_keeps_no_other_back(world: World, alice: Owner, tmp_path: Path) -> None:
    files = write_pictures(tmp_path, 9)
    files[2].write_text("no image")
    files[5].unlink()
    outcomes = list(post_files(world, alice, files))
    assert [file for file, _ in outcomes] == files
    assert [outcome.code for _, outcome in outcomes if isinstance(outcome, SealcastError)] == [
        "not_an_image",
        "unreadable",
    ]
    stored = [outcome.item for _, outcome in outcomes if isinstance(outcome, Outcome)]
    assert {one.state for one in stored} == {State.STORED}
    assert [one.name for one in stored] == [file.name for file in files if file not in (files[2], files[5])]
    assert sorted(str(record.name) for record in chain.from_iterable(world.catalogue.pages())) == [
        one.name for one in stored
    ]


def test_a_refusal_by_the_registrar_keeps_no_other_back(world: World, alice: Owner, tmp_path: Path) -> None:
    altered = iter([True])

    def alter_one(_client_id: str, message: Any) -> list[Any]:  # noqa: ANN401 - a message, whichever
        is_image = topics.parse_image(message.topic)
        return [replace(message, payload=b"altered") if is_image and next(altered, False) else message]

    world.broker.carry = alter_one
    outcomes = [outcome for _, outcome in post_files(world, alice, write_pictures(tmp_path, 4))]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Outcome) and outcome.error]
    assert [(type(one.error), one.item.state, one.item.code) for one in refused] == [
        (RefusedError, State.FAILED, "altered")
    ]
    assert len(list(chain.from_iterable(world.catalogue.pages()))) == 3


def test_what_nobody_answers_for_waits_and_nothing_more_is_sent(world: World, alice: Owner, tmp_path: Path) -> None:
    carried: list[str] = []

    def lose_images(_client_id: str, message: Any) -> list[Any]:  # noqa: ANN401 - a message, whichever
        if topics.parse_image(message.topic) is None:
            return [message]
        carried.append(message.topic)
        return []

    world.broker.carry = lose_images
    files = write_pictures(tmp_path, 50)
    outcomes = list(post_files(world, alice, files))
    assert [file for file, _ in outcomes] == files
    codes = {(one.item.state, one.item.code) for _, one in outcomes if isinstance(one, Outcome)}
    assert codes == {(State.WAITING, "no_registrar")}
    assert len(list(alice.outbox.items(State.WAITING))) == len(files)
    assert len(carried) < len(files)


def test_whom_nobody_knows_gets_nothing_queued(world: World, alice: Owner, tmp_path: Path) -> None:
    files = write_pictures(tmp_path, 2)
    outcomes = list(post_files(world, alice, files, FOR_BOB, unreachable(alice)))
    assert [(file, one.code) for file, one in outcomes if isinstance(one, SealcastError)] == [
        (file, "unknown_contact") for file in files
    ]
    assert list(alice.outbox.items()) == []
    outcomes = list(post_files(world, alice, files, FOR_BOB))
    assert [(file, one.code) for file, one in outcomes if isinstance(one, SealcastError)] == [
        (file, "unknown_user") for file in files
    ]
    assert list(alice.outbox.items()) == []


def test_with_a_clock_that_is_off_each_file_fails(world: World, alice: Owner, tmp_path: Path) -> None:
    files = write_pictures(tmp_path, 2)
    registrar = RegistrarClient(alice.session, alice.identity, lambda: world.clock() + dt.timedelta(days=1))
    courier = Courier(alice.outbox, alice.identity, world.clock, registrar)
    outcomes = list(post_files(world, alice, files, FOR_ALL, courier))
    assert [(file, one.code) for file, one in outcomes if isinstance(one, SealcastError)] == [
        (file, "clock") for file in files
    ]
    assert list(alice.outbox.items()) == []
