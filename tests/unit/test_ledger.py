from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import uuid
from typing import TYPE_CHECKING

import pytest
from sealed_images import make_header

from common.errors import ConfigurationError
from subscriber.ledger import LEDGER, SAVED, Entry, Ledger

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


# As version 0.1.0 made it.
FIRST_TABLES = """
CREATE TABLE images (
    owner TEXT NOT NULL,
    image_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    outcome TEXT NOT NULL,
    path TEXT,
    sha256 TEXT,
    at TEXT NOT NULL,
    PRIMARY KEY (owner, image_id)
);
CREATE TABLE subscriptions (filter TEXT PRIMARY KEY);
"""


def entry(owner: str = "alice", image_id: uuid.UUID = ONE, outcome: str = SAVED, path: Path | None = None) -> Entry:
    return Entry(owner, image_id, "public", outcome, NOW, path)


def test_what_was_added_is_known_and_nothing_else(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.add(entry())
        assert ledger.knows("alice", ONE)
        assert not ledger.knows("bob", ONE)
        assert not ledger.knows("alice", OTHER)


def test_it_is_known_after_a_restart_and_the_first_word_stands(tmp_path: Path) -> None:
    first = Entry("alice", ONE, "public", SAVED, NOW, tmp_path / "boats.png", "ab" * 32, "boats.png")
    with Ledger(tmp_path) as ledger:
        ledger.add(first)
    with Ledger(tmp_path) as ledger:
        ledger.add(entry(outcome="not_verified"))
        assert ledger.knows("alice", ONE)
        assert ledger.entries() == [first]


def test_what_the_owner_has_signed_is_kept_with_it(tmp_path: Path) -> None:
    header = make_header([], caption="two boats <b>", expires_at=NOW)
    first = Entry("alice", ONE, "public", SAVED, NOW, tmp_path / "boats.png", header=header, fingerprint="ab" * 32)
    with Ledger(tmp_path) as ledger, ledger.transaction():
        ledger.add(first, b"signature")
    with Ledger(tmp_path, read_only=True) as ledger:
        assert ledger.entries() == [first]
        assert ledger.signature("alice", ONE) == b"signature"
        assert ledger.signature("bob", ONE) is None


def test_entries_come_in_the_order_in_which_they_were_noted(tmp_path: Path) -> None:
    refused = Entry("bob", ONE, "family", "removed", NOW, message="the image was removed by bob")
    with Ledger(tmp_path) as ledger:
        for one in (entry(image_id=OTHER), entry(), refused):
            ledger.add(one)
        assert ledger.entries() == [entry(image_id=OTHER), entry(), refused]
        assert ledger.entries(ONE) == [entry(), refused]
        assert ledger.entries(uuid.UUID(int=3)) == []


def test_an_entry_is_forgotten_unless_another_is_there_by_now(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        refused, saved = entry(outcome="not_verified"), entry()
        ledger.add(saved)
        ledger.forget(refused)
        assert ledger.entries() == [saved]
        ledger.forget(saved)
        assert not ledger.knows("alice", ONE)


def test_a_file_is_here_until_it_is_gone_or_another_image_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "boats.png"
    with Ledger(tmp_path) as ledger:
        ledger.add(entry(path=path))
        path.touch()
        assert [one.is_here for one in ledger.entries()] == [True]
        path.unlink()
        assert [one.is_here for one in ledger.entries()] == [False]
        path.touch()
        ledger.add(entry(image_id=OTHER, path=path))
        assert [one.is_here for one in ledger.entries()] == [False, True]
        ledger.add(entry("bob", outcome="not_verified"))
        assert [one.is_here for one in ledger.entries()] == [False, True, False]


def test_a_failed_transaction_is_undone(tmp_path: Path) -> None:
    def fail_halfway(ledger: Ledger) -> None:
        with ledger.transaction():
            ledger.add(entry())
            assert ledger.knows("alice", ONE)
            raise ConfigurationError("the disk is full")

    with Ledger(tmp_path) as ledger:
        with pytest.raises(ConfigurationError, match="the disk is full"):
            fail_halfway(ledger)
        assert not ledger.knows("alice", ONE)


def test_nobody_else_notes_anything_during_a_transaction(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger, Ledger(tmp_path) as beside:
        other = threading.Thread(target=lambda: beside.add(entry("bob")))
        with ledger.transaction():
            other.start()
            other.join(0.1)
            assert other.is_alive()
            ledger.add(entry())
        other.join()
        assert [one.owner for one in ledger.entries()] == ["alice", "bob"]


def test_a_ledger_of_the_first_version_is_opened(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / LEDGER)
    database.executescript(FIRST_TABLES)
    old = ("alice", str(ONE), "public", SAVED, str(tmp_path / "boats.png"), "ab" * 32, NOW.isoformat())
    with database:
        database.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", old)
        database.execute("INSERT INTO subscriptions VALUES ('a')")
    database.close()
    for read_only in (True, False, False):
        with Ledger(tmp_path, read_only=read_only) as ledger:
            assert ledger.entries(ONE) == [
                Entry("alice", ONE, "public", SAVED, NOW, tmp_path / "boats.png", "ab" * 32, None)
            ]
            assert ledger.signature("alice", ONE) is None
            if read_only:
                continue
            assert ledger.mark(["#"]) is None
            ledger.add(entry(image_id=OTHER))
            assert ledger.replace_subscriptions(["a"]) == set()


@pytest.mark.parametrize("is_old", [False, True])
def test_what_is_in_the_folder_is_found_where_the_folder_is_moved_to(tmp_path: Path, *, is_old: bool) -> None:
    (tmp_path / "bob" / "inbox").mkdir(parents=True)
    images = [tmp_path / "bob" / "inbox" / "boats.png", tmp_path / "elsewhere.png", tmp_path / "bob0" / "boats.png"]
    with Ledger(tmp_path / "bob") as ledger:
        for number, path in enumerate(images):
            ledger.add(entry(image_id=uuid.UUID(int=number), path=path))
        assert [one.path for one in ledger.entries()] == images
    if is_old:
        with sqlite3.connect(tmp_path / "bob" / LEDGER) as database:
            database.execute("UPDATE images SET path = ? WHERE path = 'inbox/boats.png'", (str(images[0]),))
        database.close()
        with Ledger(tmp_path / "bob"):
            pass
    images[0].touch()
    (tmp_path / "bob").rename(tmp_path / "robert")
    with Ledger(tmp_path / "robert") as ledger:
        found = ledger.entries()
    assert [one.path for one in found] == [tmp_path / "robert" / "inbox" / "boats.png", *images[1:]]
    assert [one.is_here for one in found] == [True, False, False]


def test_what_is_only_read_makes_nothing_and_is_not_written(tmp_path: Path) -> None:
    with Ledger(tmp_path, read_only=True) as ledger:
        assert ledger.entries() == []
    assert list(tmp_path.iterdir()) == []
    with Ledger(tmp_path) as writing, Ledger(tmp_path, read_only=True) as ledger:
        writing.add(entry())
        assert ledger.entries() == [entry()]
        with pytest.raises(ConfigurationError, match="readonly"):
            ledger.add(entry("bob"))


def test_a_mark_is_kept_and_moves_on(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        assert ledger.mark(["#"]) is None
        ledger.keep_mark("1", ["#"])
        ledger.keep_mark("2", ["#"])
    with Ledger(tmp_path) as ledger:
        assert ledger.mark(["#"]) == "2"


@pytest.mark.parametrize(
    ("before", "now", "counts"),
    [
        (["#"], ["#"], True),
        (["#"], ["family"], True),
        (["family", "site-7/#"], ["site-7/#"], True),
        (["family"], ["family", "site-7/#"], False),
        (["family"], ["#"], False),
        (["+"], ["family/one"], False),
    ],
)
def test_a_mark_counts_for_the_channels_for_which_it_was_reached(
    tmp_path: Path, before: list[str], now: list[str], *, counts: bool
) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.keep_mark("7", before)
        assert ledger.mark(now) == ("7" if counts else None)


def test_a_refused_image_is_known_too(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.add(entry(outcome="not_recipient"))
        assert ledger.knows("alice", ONE)


def test_filters_that_are_no_longer_wanted_are_told(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        assert ledger.replace_subscriptions(["a", "b"]) == set()
    with Ledger(tmp_path) as ledger:
        assert ledger.replace_subscriptions(["b", "c"]) == {"a"}
        assert ledger.replace_subscriptions(["b", "c"]) == set()
        assert ledger.replace_subscriptions([]) == {"b", "c"}


@pytest.mark.parametrize("kind", ["damaged", "folder", "no home"])
def test_a_ledger_that_cannot_be_opened_is_explained(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    if kind != "no home":
        home.mkdir()
    if kind == "damaged":
        (home / LEDGER).write_bytes(b"no ledger " * 1000)
    elif kind == "folder":
        (home / LEDGER).mkdir()
    with pytest.raises(ConfigurationError) as raised:
        Ledger(home)
    assert raised.value.message.startswith(f"cannot use {home / LEDGER}: ")
    assert raised.value.code == "ledger"
    assert "move a damaged file away" in str(raised.value.hint)


def test_a_ledger_that_fails_later_is_explained(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        database = sqlite3.connect(tmp_path / LEDGER)
        database.executescript("DROP TABLE images; DROP TABLE subscriptions;")
        database.close()
        for use in (
            lambda: ledger.knows("alice", ONE),
            lambda: ledger.add(entry()),
            lambda: ledger.replace_subscriptions(["a"]),
        ):
            with pytest.raises(ConfigurationError, match="cannot use"):
                use()
