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
from registrar.catalogue import Catalogue, Quota, Record

if TYPE_CHECKING:
    import uuid

    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AMPLE = Quota(10**6, 2**62)
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
        stored_at=NOW,
        expires_at=NOW + DAY,
    )
    return dataclasses.replace(record, **changes)


def add(catalogue: Catalogue, record: Record, *recipients: bytes, quota: Quota = AMPLE) -> Record:
    return catalogue.add(record, frozenset(recipients), quota)


def all_records(catalogue: Catalogue) -> list[Record]:
    return [record for page in catalogue.pages() for record in page]


def test_a_record_comes_back_as_it_was(catalogue: Catalogue) -> None:
    full = make_record(new_image_id(NOW))
    least = make_record(new_image_id(NOW), name=None, audience="named", wrapped_key=None, expires_at=None)
    for record in (full, least):
        assert add(catalogue, record) == record
        assert catalogue.get(record.image_id) == record


def test_an_unknown_image_has_no_record(catalogue: Catalogue) -> None:
    assert catalogue.get(new_image_id(NOW)) is None
    assert catalogue.check_free(make_record(new_image_id(NOW)), AMPLE) is None


def test_times_come_back_aware_and_in_utc(catalogue: Catalogue) -> None:
    elsewhere = NOW.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=45))).replace(microsecond=123456)
    image_id = new_image_id(NOW)
    add(catalogue, make_record(image_id, stored_at=elsewhere))
    record = catalogue.get(image_id)
    assert record is not None
    assert record.stored_at == elsewhere
    assert record.stored_at.tzinfo is dt.UTC


def test_the_same_image_again_is_the_first_one(catalogue: Catalogue) -> None:
    first = make_record(new_image_id(NOW))
    again = dataclasses.replace(first, stored_at=NOW + DAY)
    add(catalogue, first)
    assert add(catalogue, again) == first
    assert catalogue.check_free(again, AMPLE) == first
    assert all_records(catalogue) == [first]


@pytest.mark.parametrize("change", [{"owner": "bob"}, {"sha256_sealed": OTHER_HASH}, {"channel": "public"}])
def test_another_image_under_the_same_id_is_refused(catalogue: Catalogue, change: dict[str, Any]) -> None:
    first = make_record(new_image_id(NOW))
    other = dataclasses.replace(first, **change)
    add(catalogue, first)
    for attempt in (lambda: add(catalogue, other), lambda: catalogue.check_free(other, AMPLE)):
        with pytest.raises(RefusedError) as caught:
            attempt()
        assert caught.value.code == "image_id_taken"
    assert catalogue.get(first.image_id) == first


def test_of_different_images_added_at_once_one_has_the_id(catalogue: Catalogue) -> None:
    image_id, together = new_image_id(NOW), threading.Barrier(6)

    def add_one(number: int) -> Record | str:
        together.wait(60)
        try:
            return add(catalogue, make_record(image_id, sha256_sealed=f"{number:064x}"))
        except RefusedError as error:
            return error.code

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(add_one, range(6)))
    assert answers.count("image_id_taken") == 5
    assert catalogue.get(image_id) in answers


def test_pages_yield_every_record_once_in_the_order_of_storing(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 4)
    assert all_records(catalogue) == []
    ids = [new_image_id(NOW - number * dt.timedelta(seconds=1)) for number in range(9)]
    for image_id in ids:
        add(catalogue, make_record(image_id))
    assert [record.image_id for record in all_records(catalogue)] == ids


def test_a_reading_of_pages_does_not_hold_up_writing(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 1)
    first, second = (make_record(new_image_id(NOW)) for _ in range(2))
    add(catalogue, first)
    reading = catalogue.pages()
    assert next(reading) == [first]
    add(catalogue, second)
    assert list(reading) == [[second]]


def test_those_that_are_known(catalogue: Catalogue) -> None:
    record = add(catalogue, make_record(new_image_id(NOW)))
    assert catalogue.known([record.image_id, new_image_id(NOW)]) == {record.image_id}
