from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from typing import TYPE_CHECKING

import pytest

from common.errors import ConfigurationError
from subscriber.ledger import LEDGER, SAVED, Entry, Ledger

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def entry(owner: str = "alice", image_id: uuid.UUID = ONE, outcome: str = SAVED) -> Entry:
    return Entry(owner, image_id, "public", outcome)


def test_what_was_added_is_known_and_nothing_else(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.add(entry(), NOW)
        assert ledger.knows("alice", ONE)
        assert not ledger.knows("bob", ONE)
        assert not ledger.knows("alice", OTHER)


def test_it_is_known_after_a_restart_and_the_first_word_stands(tmp_path: Path) -> None:
    path = tmp_path / "inbox" / "image.png"
    with Ledger(tmp_path) as ledger:
        ledger.add(Entry("alice", ONE, "public", SAVED, path, "ab" * 32), NOW)
    with Ledger(tmp_path) as ledger:
        ledger.add(entry(outcome="not_verified"), NOW)
        assert ledger.knows("alice", ONE)
    with sqlite3.connect(tmp_path / LEDGER) as database:
        assert database.execute("SELECT * FROM images").fetchall() == [
            ("alice", str(ONE), "public", SAVED, str(path), "ab" * 32, NOW.isoformat())
        ]
    database.close()


def test_a_refused_image_is_known_too(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.add(entry(outcome="not_recipient"), NOW)
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
    assert raised.value.message.startswith(f"cannot use the ledger {home / LEDGER}: ")
    assert raised.value.code == "ledger"
    assert "move a damaged ledger away" in str(raised.value.hint)


def test_a_ledger_that_fails_later_is_explained(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        database = sqlite3.connect(tmp_path / LEDGER)
        database.executescript("DROP TABLE images; DROP TABLE subscriptions;")
        database.close()
        for use in (
            lambda: ledger.knows("alice", ONE),
            lambda: ledger.add(entry(), NOW),
            lambda: ledger.replace_subscriptions(["a"]),
        ):
            with pytest.raises(ConfigurationError, match="cannot use the ledger"):
                use()
