"""Posting: what is taken in, for whom it is sealed, and what becomes of several files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pictures
import pytest
from authorities import NOW
from flows.members import picture
from flows.world import World

from common import certificates, topics
from common.enveloping import Cipher
from common.errors import ConfigurationError, ImageError, RefusedError, SealcastError, SessionError
from common.sealing import open_signed
from common.settings import Settings
from publisher.post import Posted, Wishes, display_name, find_recipients, post, post_all, take_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.members import Owner

FOR_ALL = Wishes((), "public", None, keep_metadata=False, cipher=Cipher.AES_256_GCM)
FOR_BOB = replace(FOR_ALL, to=("bob",))
SETTINGS = Settings()


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
    stripped = take_in(file, FOR_ALL, SETTINGS)
    assert (stripped.name, stripped.facts.media_type) == ("boats.jpg", "image/jpeg")
    assert stripped.removed
    assert not any(secret in stripped.content for secret in pictures.SECRETS)
    kept = take_in(file, replace(FOR_ALL, keep_metadata=True), SETTINGS)
    assert (kept.content, kept.removed) == (file.read_bytes(), ())


def test_what_is_no_image_is_not_taken_in(tmp_path: Path) -> None:
    file = tmp_path / "notes.png"
    file.write_text("no image")
    with pytest.raises(ImageError):
        take_in(file, FOR_ALL, SETTINGS)
    file.write_bytes(picture().content)
    assert take_in(file, FOR_ALL, SETTINGS).facts == picture().facts
    with pytest.raises(ImageError):
        take_in(file, FOR_ALL, Settings(maximum_pixels=64 * 48 - 1))


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


def test_whom_an_image_is_sealed_to(world: World, alice: Owner) -> None:
    bob = world.identity("bob")
    registrar = world.authorities.registrar.certificate
    assert find_recipients(FOR_ALL, alice.registrar) == [registrar, alice.identity.certificate, bob.certificate]
    assert find_recipients(FOR_BOB, alice.registrar) == [bob.certificate]


@pytest.mark.parametrize("wishes", [FOR_ALL, FOR_BOB], ids=["members", "named"])
def test_a_post_is_done_when_it_is_stored(world: World, alice: Owner, wishes: Wishes) -> None:
    bob = world.identity("bob")
    recipients = find_recipients(wishes, alice.registrar)
    posted = post(picture(), wishes, recipients, alice.identity, alice.registrar, now=NOW)
    sealed = world.archive.get(posted.header.image_id)
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
    assert set(posted.header.recipients) == {certificates.fingerprint(one) for one in recipients}
    record = world.catalogue.get(posted.header.image_id)
    assert record is not None
    assert record.name == (None if wishes.to else "boats.png")


def post_files(world: World, alice: Owner, files: list[Path]) -> Iterator[tuple[Path, Posted | SealcastError]]:
    return post_all(files, FOR_ALL, alice.identity, alice.registrar, settings=world.settings, clock=world.clock)


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
    names = [outcome.header.name for _, outcome in outcomes if isinstance(outcome, Posted)]
    assert names == [file.name for file in files if file not in (files[2], files[5])]
    assert sorted(str(record.name) for record in world.catalogue.all()) == names


def test_a_refusal_by_the_registrar_keeps_no_other_back(world: World, alice: Owner, tmp_path: Path) -> None:
    altered = iter([True])

    def alter_one(_client_id: str, message: Any) -> list[Any]:  # noqa: ANN401 - a message, whichever
        is_image = topics.parse_image(message.topic)
        return [replace(message, payload=b"altered") if is_image and next(altered, False) else message]

    world.broker.carry = alter_one
    outcomes = [outcome for _, outcome in post_files(world, alice, write_pictures(tmp_path, 4))]
    refused = [outcome for outcome in outcomes if not isinstance(outcome, Posted)]
    assert [(type(error), error.code) for error in refused] == [(RefusedError, "altered")]
    assert len(list(world.catalogue.all())) == 3


def test_without_anybody_to_post_to_there_is_nothing_more_to_do(world: World, alice: Owner, tmp_path: Path) -> None:
    carried: list[str] = []

    def lose_images(_client_id: str, message: Any) -> list[Any]:  # noqa: ANN401 - a message, whichever
        if topics.parse_image(message.topic) is None:
            return [message]
        carried.append(message.topic)
        return []

    world.broker.carry = lose_images
    files = write_pictures(tmp_path, 50)
    with pytest.raises(SessionError) as caught:
        list(post_files(world, alice, files))
    assert caught.value.code == "no_registrar"
    assert len(carried) < len(files)
