"""Login failures in the audit log: summed up, bounded, and without the names that are no account's."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from authorities import NOW
from sqlalchemy import text

from common.errors import VerificationError
from registrar.audit import FIRST, AuditLog

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytest_plugins = ("databases",)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def log(engine: Engine) -> AuditLog:
    return AuditLog(engine)


def written(log: AuditLog) -> list[tuple[str | None, int, dt.datetime]]:
    """Return whose failures there are, how many, and since when."""
    log.verify()
    found = []
    for entry in log.entries():
        assert entry.event == "login-failed"
        details = json.loads(entry.details)
        found.append((entry.user, details["count"], dt.datetime.fromisoformat(details["since"])))
    return found


def test_the_first_is_written_soon_and_the_others_a_minute_later(log: AuditLog) -> None:
    failures = log.login_failures
    for seconds in range(100):
        now = NOW + seconds * SECOND
        failures.note("alice", now)
        failures.write(now)
    assert written(log) == [("alice", 1, NOW), ("alice", 60, NOW + SECOND)]
    failures.write(NOW + 120 * SECOND)
    assert written(log)[2:] == [("alice", 39, NOW + 61 * SECOND)]
    failures.write(NOW + 300 * SECOND)
    assert len(written(log)) == 3


def test_a_flood_makes_few_entries_and_loses_none(log: AuditLog) -> None:
    failures = log.login_failures

    def attack(number: int) -> None:
        failures.note("alice" if number % 2 else None, NOW)

    with ThreadPoolExecutor(8) as pool:
        attacks = pool.map(attack, range(10_000))
        failures.write(NOW)
        list(attacks)
    failures.write(NOW, everything=True)
    found = written(log)
    assert len(found) <= 4
    assert {account: sum(count for name, count, _ in found if name == account) for account in ("alice", None)} == {
        "alice": 5000,
        None: 5000,
    }


def test_accounts_do_not_wait_for_each_other(log: AuditLog) -> None:
    log.login_failures.note("alice", NOW)
    log.login_failures.write(NOW)
    log.login_failures.note("bob", NOW + SECOND)
    log.login_failures.write(NOW + SECOND)
    assert [account for account, *_ in written(log)] == ["alice", "bob"]


def test_the_end_waits_for_no_minute(log: AuditLog) -> None:
    for _ in range(2):
        log.login_failures.note("alice", NOW)
        log.login_failures.write(NOW, everything=True)
    assert written(log) == [("alice", 1, NOW), ("alice", 1, NOW)]


def test_what_could_not_be_written_is_written_later(log: AuditLog, engine: Engine) -> None:
    log.login_failures.note("alice", NOW)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_head"))
    with pytest.raises(VerificationError):
        log.login_failures.write(NOW)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO audit_head VALUES (0, :first)"), {"first": FIRST})
    log.login_failures.note("alice", NOW + SECOND)
    log.login_failures.write(NOW + SECOND)
    assert written(log) == [("alice", 2, NOW)]
