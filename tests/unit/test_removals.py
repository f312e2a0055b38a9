"""Removing images: what is gone stays gone, and what an owner may take up is counted right."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from authorities import DAY, NOW

from common.errors import RefusedError
from common.topics import new_image_id
from registrar.catalogue import Catalogue, Quota, Record, Removal

if TYPE_CHECKING:
    import uuid

    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AMPLE = Quota(10**6, 2**62)


@pytest.fixture
def catalogue(engine: Engine) -> Catalogue:
    return Catalogue(engine)


def record_of(image_id: uuid.UUID | None = None, owner: str = "alice", size: int = 100) -> Record:
    return Record(
        image_id=image_id or new_image_id(NOW),
        owner=owner,
        channel="public",
        name="boats.png",
        audience="named",
        size=1,
        sealed_size=size,
        sha256_sealed="ab" * 32,
        wrapped_key=None,
        stored_at=NOW,
        expires_at=None,
    )


def store(catalogue: Catalogue, record: Record, quota: Quota = AMPLE) -> Record:
    return catalogue.add(record, frozenset({b"bob", b"carol"}), quota)


def removal_of(record: Record, reason: str = "removed") -> Removal:
    return Removal(record.image_id, record.owner, record.channel, reason, NOW)  # type: ignore[arg-type]


def code_of(catalogue: Catalogue, record: Record, quota: Quota = AMPLE) -> str:
    codes = set()
    for attempt in (lambda: catalogue.check_free(record, quota), lambda: store(catalogue, record, quota)):
        with pytest.raises(RefusedError) as caught:
            attempt()
        codes.add(caught.value.code)
    assert len(codes) == 1
    return codes.pop()


@pytest.mark.parametrize("reason", ["removed", "expired"])
def test_a_removed_image_is_gone_and_does_not_come_back(catalogue: Catalogue, reason: str) -> None:
    record = store(catalogue, record_of())
    removal = catalogue.remove(removal_of(record, reason))
    assert catalogue.get(record.image_id) is None
    assert catalogue.removal(record.image_id) == removal
    assert code_of(catalogue, record) == "removed"


def test_one_that_never_came_does_not_come_any_more_but_only_that_owners(catalogue: Catalogue) -> None:
    record = record_of()
    catalogue.remove(dataclasses.replace(removal_of(record), channel=None))
    assert catalogue.removal(record.image_id) is None
    assert code_of(catalogue, record) == "removed"
    others = dataclasses.replace(record, owner="mallory")
    assert store(catalogue, others) == others


def test_a_lost_image_may_come_back_until_its_owner_removes_it(catalogue: Catalogue) -> None:
    record = store(catalogue, record_of())
    catalogue.remove(removal_of(record, "lost"))
    assert store(catalogue, record) == record
    catalogue.remove(removal_of(record, "lost"))
    catalogue.remove(removal_of(record))
    assert code_of(catalogue, record) == "removed"


def test_a_removal_is_remembered_once_with_its_first_time(catalogue: Catalogue) -> None:
    record = store(catalogue, record_of())
    first = catalogue.remove(removal_of(record))
    assert catalogue.remove(dataclasses.replace(removal_of(record), removed_at=NOW + DAY)) == first


def test_a_removal_takes_nobody_elses_image(catalogue: Catalogue) -> None:
    record = store(catalogue, record_of())
    catalogue.remove(dataclasses.replace(removal_of(record), owner="mallory", channel=None))
    assert catalogue.get(record.image_id) == record


def test_removals_are_unsettled_until_they_are_settled(catalogue: Catalogue) -> None:
    removals = [catalogue.remove(removal_of(store(catalogue, record_of()))) for _ in range(3)]
    assert sorted(catalogue.unsettled(2), key=str) != sorted(removals, key=str)
    catalogue.settle(removals[1])
    assert {one.image_id for one in catalogue.unsettled(9)} == {removals[0].image_id, removals[2].image_id}


def test_expired_are_those_whose_time_is_over_the_longest_first(catalogue: Catalogue) -> None:
    ends = [NOW + 2 * DAY, None, NOW + DAY, NOW + 4 * DAY]
    stored = [store(catalogue, dataclasses.replace(record_of(), expires_at=end)) for end in ends]
    assert catalogue.expired(NOW, 9) == []
    assert catalogue.expired(NOW + 3 * DAY, 9) == [stored[2], stored[0]]
    assert catalogue.expired(NOW + 3 * DAY, 1) == [stored[2]]


@pytest.mark.parametrize(("quota", "fits"), [(Quota(2, 10**6), 2), (Quota(9, 299), 2), (Quota(9, 300), 3)])
def test_an_owner_may_store_up_to_the_quota(catalogue: Catalogue, quota: Quota, fits: int) -> None:
    stored = [store(catalogue, record_of(), quota) for _ in range(fits)]
    assert code_of(catalogue, record_of(), quota) == "quota_exceeded"
    assert store(catalogue, stored[0], quota) == stored[0]
    assert store(catalogue, record_of(owner="bob"), quota).owner == "bob"
    catalogue.remove(removal_of(stored[0]))
    assert store(catalogue, record_of(), quota)
    assert code_of(catalogue, record_of(), quota) == "quota_exceeded"


def test_what_is_refused_takes_up_nothing(catalogue: Catalogue) -> None:
    record = store(catalogue, record_of(), Quota(2, 1000))
    for _ in range(5):
        store(catalogue, record, Quota(2, 1000))
        assert code_of(catalogue, dataclasses.replace(record, owner="bob"), Quota(2, 1000)) == "image_id_taken"
    assert store(catalogue, record_of(), Quota(2, 1000))
    assert store(catalogue, record_of(owner="bob"), Quota(1, 1000))
