from __future__ import annotations

import dataclasses
import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from authorities import DAY, NOW

from common.errors import RefusedError
from common.topics import new_image_id
from registrar import catalogue as module
from registrar.catalogue import Catalogue, Record

if TYPE_CHECKING:
    import uuid

    from sqlalchemy import Engine

pytest_plugins = ("databases",)
HASH, OTHER_HASH = "ab" * 32, "cd" * 32


@pytest.fixture
def catalogue(engine: Engine) -> Catalogue:
    return Catalogue(engine)


def make_record(image_id: uuid.UUID, **changes: Any) -> Record:  # noqa: ANN401 - whatever the fields take
    record = Record(
        image_id=image_id,
        owner="alice",
        channel="site-7/gate",
        name="Überblick 📷.png",
        audience="members",
        size=1 << 26,
        sealed_size=1 << 33,
        sha256_sealed=HASH,
        wrapped_key=bytes(range(256)),
        recipients="",
        stored_at=NOW,
        expires_at=NOW + DAY,
    )
    return dataclasses.replace(record, **changes)


def test_a_record_comes_back_as_it_was(catalogue: Catalogue) -> None:
    full = make_record(new_image_id(NOW))
    least = make_record(
        new_image_id(NOW), name=None, audience="named", wrapped_key=None, recipients="00ff 11", expires_at=None
    )
    for record in (full, least):
        assert catalogue.add(record) == record
        assert catalogue.get(record.image_id) == record


def test_an_unknown_image_has_no_record(catalogue: Catalogue) -> None:
    assert catalogue.get(new_image_id(NOW)) is None
    assert catalogue.check_free(make_record(new_image_id(NOW))) is None


def test_times_come_back_aware_and_in_utc(catalogue: Catalogue) -> None:
    elsewhere = NOW.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=45))).replace(microsecond=123456)
    image_id = new_image_id(NOW)
    catalogue.add(make_record(image_id, stored_at=elsewhere))
    record = catalogue.get(image_id)
    assert record is not None
    assert record.stored_at == elsewhere
    assert record.stored_at.tzinfo is dt.UTC


def test_the_same_image_again_is_the_first_one(catalogue: Catalogue) -> None:
    first = make_record(new_image_id(NOW))
    again = dataclasses.replace(first, stored_at=NOW + DAY)
    catalogue.add(first)
    assert catalogue.add(again) == first
    assert catalogue.check_free(again) == first
    assert list(catalogue.all()) == [first]


@pytest.mark.parametrize("change", [{"owner": "bob"}, {"sha256_sealed": OTHER_HASH}, {"channel": "public"}])
def test_another_image_under_the_same_id_is_refused(catalogue: Catalogue, change: dict[str, Any]) -> None:
    first = make_record(new_image_id(NOW))
    other = dataclasses.replace(first, **change)
    catalogue.add(first)
    for method in (catalogue.add, catalogue.check_free):
        with pytest.raises(RefusedError) as caught:
            method(other)
        assert caught.value.code == "image_id_taken"
    assert catalogue.get(first.image_id) == first


def test_of_different_images_added_at_once_one_has_the_id(catalogue: Catalogue) -> None:
    image_id, together = new_image_id(NOW), threading.Barrier(6)

    def add(number: int) -> Record | str:
        together.wait(10)
        try:
            return catalogue.add(make_record(image_id, sha256_sealed=f"{number:064x}"))
        except RefusedError as error:
            return error.code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(add, range(6)))
    assert answers.count("image_id_taken") == 5
    assert catalogue.get(image_id) in answers


def test_all_yields_every_record_once_the_oldest_first(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 4)
    assert list(catalogue.all()) == []
    ids = [new_image_id(NOW + number * dt.timedelta(seconds=1)) for number in range(9)]
    for image_id in reversed(ids):
        catalogue.add(make_record(image_id))
    assert [record.image_id for record in catalogue.all()] == ids


def test_a_reading_of_all_does_not_hold_up_writing(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 1)
    first, second = (make_record(new_image_id(NOW + number * DAY)) for number in range(2))
    catalogue.add(first)
    reading = catalogue.all()
    assert next(reading) == first
    catalogue.add(second)
    assert list(reading) == [second]
