"""Pages of the catalogue: to each viewer what it may see, nothing twice, nothing left out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from authorities import NOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from common.topics import new_image_id
from registrar.catalogue import Catalogue, Quota, Record, Removal
from registrar.listing import Viewer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from common.messages import Order

pytest_plugins = ("databases",)
AMPLE = Quota(10**6, 2**62)
ALICE, BOB, CAROL = (Viewer(name, name.encode()) for name in ("alice", "bob", "carol"))


@pytest.fixture
def catalogue(engine: Engine) -> Catalogue:
    return Catalogue(engine)


def store(catalogue: Catalogue, owner: str = "alice", to: tuple[Viewer, ...] = ()) -> Record:
    record = Record(
        image_id=new_image_id(NOW),
        owner=owner,
        channel="public",
        name=None,
        audience="named" if to else "members",
        size=1,
        sealed_size=2,
        sha256_sealed="ab" * 32,
        wrapped_key=None,
        stored_at=NOW,
        expires_at=None,
    )
    return catalogue.add(record, frozenset(one.key_identifier for one in to), AMPLE)


def walk(
    catalogue: Catalogue, viewer: Viewer, order: Order, limit: int, mark: str | None = None
) -> tuple[list[Record], str]:
    found: list[Record] = []
    for _ in range(100):
        page = catalogue.visible_to(viewer, order, mark, limit)
        assert len(page.records) <= limit
        found += page.records
        mark = page.mark
        if page.complete:
            return found, mark
    raise AssertionError("no end")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_viewer_sees_what_it_may_fetch_in_either_order(catalogue: Catalogue, limit: int) -> None:
    stored = [
        (store(catalogue), {ALICE, BOB, CAROL}),
        (store(catalogue, to=(BOB,)), {ALICE, BOB}),
        (store(catalogue, "bob", to=(CAROL,)), {BOB, CAROL}),
        (store(catalogue, "carol"), {ALICE, BOB, CAROL}),
        (store(catalogue, "carol", to=(ALICE, BOB)), {ALICE, BOB, CAROL}),
        (store(catalogue, "carol", to=(CAROL,)), {CAROL}),
    ]
    for viewer in (ALICE, BOB, CAROL):
        theirs = [record for record, viewers in stored if viewer in viewers]
        assert walk(catalogue, viewer, "oldest", limit)[0] == theirs
        assert walk(catalogue, viewer, "newest", limit)[0] == theirs[::-1]
        assert [record for record, _ in stored if catalogue.may_see(record, viewer)] == theirs


def test_a_mark_brings_what_came_since(catalogue: Catalogue) -> None:
    store(catalogue)
    found, mark = walk(catalogue, BOB, "oldest", 10)
    assert len(found) == 1
    assert walk(catalogue, BOB, "oldest", 10, mark) == ([], mark)
    store(catalogue, to=(CAROL,))
    seen, later = walk(catalogue, BOB, "oldest", 10, mark)
    assert (seen, later != mark) == ([], True)
    new = store(catalogue, to=(BOB,))
    assert walk(catalogue, BOB, "oldest", 10, later)[0] == [new]
    assert walk(catalogue, BOB, "oldest", 10, mark)[0] == [new]


@pytest.mark.parametrize(
    "mark",
    ["", "0", "0123456789abcdef-1", "-1", "x" * 64, "{epoch}-" + "9" * 47, "{epoch}-\uff11", "{epoch}--1", "{epoch}-2"],
)
def test_a_mark_of_another_catalogue_or_none_at_all_begins_anew(catalogue: Catalogue, mark: str) -> None:
    record = store(catalogue)
    epoch = walk(catalogue, BOB, "oldest", 10)[1].split("-")[0]
    assert walk(catalogue, BOB, "oldest", 10, mark.format(epoch=epoch))[0] == [record]


def test_what_is_removed_is_listed_no_more_and_passes_no_mark_twice(catalogue: Catalogue) -> None:
    first, second, third = (store(catalogue) for _ in range(3))
    mark = catalogue.visible_to(BOB, "oldest", None, 1).mark
    catalogue.remove(Removal(second.image_id, "alice", "public", "removed", NOW))
    assert walk(catalogue, BOB, "oldest", 1, mark)[0] == [third]
    assert walk(catalogue, BOB, "newest", 1)[0] == [third, first]


def test_whoever_goes_by_marks_misses_nothing_that_is_stored_meanwhile(catalogue: Catalogue) -> None:
    together, done = threading.Barrier(5), threading.Event()

    def store_some() -> list[Record]:
        together.wait(60)
        return [store(catalogue) for _ in range(15)]

    def follow() -> list[Record]:
        together.wait(60)
        found: list[Record] = []
        mark = None
        for _ in range(10_000):
            last = done.is_set()
            seen, mark = walk(catalogue, BOB, "oldest", 3, mark)
            found += seen
            if last:
                return found
        raise AssertionError("no end")

    with ThreadPoolExecutor(5) as pool:
        following = pool.submit(follow)
        stored = [record for one in [pool.submit(store_some) for _ in range(4)] for record in one.result()]
        done.set()
        found = following.result()
    assert {record.image_id for record in found} == {record.image_id for record in stored}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_history_lists_as_it_should(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    from registrar.database import migrate, open_database  # noqa: PLC0415 - one database for each history

    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('history') / 'one.sqlite3'}")
    migrate(engine)
    catalogue = Catalogue(engine)
    stored: list[tuple[Record, set[Viewer]]] = []
    viewers = st.sampled_from([ALICE, BOB, CAROL])
    for _ in range(data.draw(st.integers(0, 12))):
        owner, to = data.draw(viewers), data.draw(st.sets(viewers))
        stored.append((store(catalogue, owner.user, tuple(to)), to | {owner} if to else {ALICE, BOB, CAROL}))
    for record, _ in data.draw(st.lists(st.sampled_from(stored), max_size=4)) if stored else []:
        catalogue.remove(Removal(record.image_id, record.owner, record.channel, "removed", NOW))
        stored = [one for one in stored if one[0] != record]
    viewer, limit = data.draw(viewers), data.draw(st.integers(1, 5))
    theirs = [record for record, audience in stored if viewer in audience]
    assert walk(catalogue, viewer, "oldest", limit)[0] == theirs
    assert walk(catalogue, viewer, "newest", limit)[0] == theirs[::-1]
    engine.dispose()


def test_a_page_costs_the_same_however_much_there_is(engine: Engine) -> None:
    """Each part of the query walks an index; none reads the whole table."""
    catalogue: Any = Catalogue(engine)
    store(catalogue)
    if engine.dialect.name != "sqlite":
        return
    from registrar.listing import _visible  # noqa: PLC0415 - its plan is what counts

    query = str(_visible(BOB, 0, 10, newest_first=False).compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        plan = [str(row) for row in connection.execute(text("EXPLAIN QUERY PLAN " + query))]
    assert any("SEARCH" in line for line in plan)
    assert not any("SCAN images" in line or "SCAN recipients" in line for line in plan), plan
