"""The chain of the audit log, on both databases, and what a hostile administrator can do to it."""

from __future__ import annotations

import datetime as dt
import json
import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from authorities import NOW
from hostile_administrator import execute, rewrite

from common.errors import VerificationError
from registrar import audit
from registrar.accounts import Accounts
from registrar.audit import FIRST, AuditLog, Head
from registrar.database import open_current, transaction

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

pytest_plugins = ("databases",)
USERS = ("alice", "bob", "carol", "dave", "erin")


@pytest.fixture
def log(engine: Engine) -> AuditLog:
    """A log of five entries."""
    for seconds, user in enumerate(USERS):
        with transaction(engine) as session:
            audit.append(session, "registered", user, NOW + dt.timedelta(seconds=seconds), invitation=None)
    return AuditLog(engine)


def reason(log: AuditLog, kept: Head | None = None) -> str:
    with pytest.raises(VerificationError) as caught:
        log.verify(kept)
    assert caught.value.code == "audit_broken"
    assert caught.value.hint is not None
    return caught.value.reason


def test_entries_come_back_in_order_and_the_chain_holds(log: AuditLog) -> None:
    entries = list(log.entries())
    assert [(entry.ordinal, entry.user) for entry in entries] == list(enumerate(USERS, start=1))
    assert {(entry.event, entry.details) for entry in entries} == {("registered", '{"invitation":null}')}
    assert entries[4].time == NOW + dt.timedelta(seconds=4)
    assert log.verify() == Head(5, entries[4].hash)
    assert list(log.entries(3)) == entries[3:]


def test_anybody_can_compute_the_chain_as_the_document_says(log: AuditLog) -> None:
    previous = "0" * 64
    for entry in log.entries():
        time = entry.time.isoformat(timespec="microseconds")
        fields = [previous, entry.ordinal, time, entry.event, entry.user, entry.details]
        previous = sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()
        assert entry.hash == previous


def test_a_log_without_entries_holds(engine: Engine) -> None:
    assert AuditLog(engine).verify() == Head(0, "0" * 64)


def test_a_long_log_is_read_in_pages(engine: Engine, log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 2, 5):
        monkeypatch.setattr(audit, "_PAGE", size)
        assert len(list(log.entries())) == log.verify().ordinal == 5
    execute(engine, "DELETE FROM audit WHERE ordinal = 5")
    for size in (1, 2, 4, 5):
        monkeypatch.setattr(audit, "_PAGE", size)
        assert reason(log) == "it ends with entry 4, and 5 were written"


def test_what_is_undone_leaves_no_entry(engine: Engine, log: AuditLog) -> None:
    def fail() -> None:
        with transaction(engine) as session:
            audit.append(session, "registered", "frank", NOW)
            raise KeyError("frank")

    with pytest.raises(KeyError):
        fail()
    assert log.verify().ordinal == 5


def test_several_registrars_write_one_chain(url: str) -> None:
    engines = [open_current(url) for _ in range(4)]

    def register(number: int) -> None:
        Accounts(engines[number % 4]).create(f"user-{number}", "hash", NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(register, range(40)))
    log = AuditLog(engines[0])
    assert log.verify().ordinal == 40
    assert {entry.user for entry in log.entries()} == {f"user-{number}" for number in range(40)}
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit SET user_name = 'mallory' WHERE ordinal = 2", "entry 2 is not the one that was written"),
        ("UPDATE audit SET user_name = NULL WHERE ordinal = 2", "entry 2 is not the one that was written"),
        ("UPDATE audit SET event = 'revoked' WHERE ordinal = 3", "entry 3 is not the one that was written"),
        ("UPDATE audit SET details = '{}' WHERE ordinal = 1", "entry 1 is not the one that was written"),
        ("UPDATE audit SET details = '{\"invitation\": null}' WHERE ordinal = 1", "entry 1 is not the one"),
        ("UPDATE audit SET time = '2020-01-01 00:00:00.000000' WHERE ordinal = 4", "entry 4 is not the one"),
        ("UPDATE audit SET hash = upper(hash) WHERE ordinal = 5", "entry 5 is not the one that was written"),
        ("DELETE FROM audit WHERE ordinal = 1", "entry 1 is missing"),
        ("DELETE FROM audit WHERE ordinal = 3", "entry 3 is missing"),
        ("DELETE FROM audit WHERE ordinal > 3", "it ends with entry 3, and 5 were written"),
        ("DELETE FROM audit", "it ends with entry 0, and 5 were written"),
        ("UPDATE audit_head SET ordinal = 6", "it ends with entry 5, and 6 were written"),
        ("UPDATE audit_head SET hash = 'ab'", "entry 5, the last, is not the one that was written"),
        ("DELETE FROM audit_head", "where it ends is not known"),
    ],
)
def test_what_is_edited_or_deleted_shows(engine: Engine, log: AuditLog, statement: str, found: str) -> None:
    execute(engine, statement)
    assert reason(log).startswith(found)


def test_entries_that_change_places_show(engine: Engine, log: AuditLog) -> None:
    execute(
        engine,
        "UPDATE audit SET ordinal = 0 WHERE ordinal = 2",
        "UPDATE audit SET ordinal = 2 WHERE ordinal = 3",
        "UPDATE audit SET ordinal = 3 WHERE ordinal = 0",
    )
    assert reason(log) == "entry 2 is not the one that was written"


def test_an_entry_that_is_put_in_shows(engine: Engine, log: AuditLog) -> None:
    execute(
        engine,
        "UPDATE audit SET ordinal = ordinal + 10 WHERE ordinal > 2",
        "INSERT INTO audit SELECT 3, time, event, 'mallory', details, hash FROM audit WHERE ordinal = 1",
        "UPDATE audit SET ordinal = ordinal - 9 WHERE ordinal > 10",
        "UPDATE audit_head SET ordinal = 6",
    )
    assert reason(log) == "entry 3 is not the one that was written"


def test_an_edited_entry_with_a_hash_to_match_breaks_at_the_next(engine: Engine, log: AuditLog) -> None:
    first, second, *_ = log.entries()
    forged = audit.link(first.hash, 2, second.time, event="registered", user="mallory", details=second.details)
    execute(engine, "UPDATE audit SET user_name = 'mallory', hash = :forged WHERE ordinal = 2", forged=forged)
    assert reason(log) == "entry 3 is not the one that was written"


def test_a_time_that_is_none_shows(tmp_path: Path) -> None:
    # Only SQLite takes one.
    engine = open_current(f"sqlite:///{tmp_path / 'registrar.sqlite3'}")
    Accounts(engine).create("alice", "hash", NOW)
    execute(engine, "UPDATE audit SET time = 'noon'")
    assert reason(AuditLog(engine)) == "an entry behind 0 cannot be read"
    engine.dispose()


@pytest.mark.parametrize("without", ["alice", "carol"])
def test_a_log_that_is_written_anew_holds_but_for_a_head_that_was_kept(
    engine: Engine, log: AuditLog, without: str
) -> None:
    kept = Head(3, list(log.entries())[2].hash)
    assert log.verify(kept).ordinal == 5
    rewrite(engine, without=without)
    assert log.verify().ordinal == 4
    assert reason(log, kept) == "entry 3 is not the one of the head that was kept"


def test_what_was_written_anew_behind_a_kept_head_is_not_in_it(engine: Engine, log: AuditLog) -> None:
    kept = Head(3, list(log.entries())[2].hash)
    rewrite(engine, without="dave")
    assert log.verify(kept).ordinal == 4


def test_a_log_that_is_shorter_than_a_kept_head_was_cut(engine: Engine, log: AuditLog) -> None:
    kept = log.verify()
    execute(
        engine,
        "DELETE FROM audit WHERE ordinal > 3",
        "UPDATE audit_head SET ordinal = 3, hash = (SELECT hash FROM audit WHERE ordinal = 3)",
    )
    assert log.verify().ordinal == 3
    assert reason(log, kept) == "it ends with entry 3, and the head that was kept is of entry 5"


def test_a_head_from_before_the_first_entry_holds(log: AuditLog) -> None:
    assert log.verify(Head(0, FIRST)).ordinal == 5


def test_nothing_more_is_written_where_the_end_is_not_known(engine: Engine, log: AuditLog) -> None:
    assert log.verify().ordinal == 5
    execute(engine, "DELETE FROM audit_head")
    with pytest.raises(VerificationError):
        Accounts(engine).create("frank", "hash", NOW)
    assert Accounts(engine).password_hash("frank") is None


def test_an_event_fits_its_column(engine: Engine) -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", event) and len(event) <= 24 for event in audit.Event.__args__)
    assert AuditLog(engine).verify().ordinal == 0
