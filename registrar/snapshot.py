"""Copies the registrar's database into a file, and back into any database; the registrar may serve meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from common.errors import ConfigurationError
from registrar import audit
from registrar.database import ONLY_READS, migrate, open_database
from registrar.tables import AccountRow, CatalogueRow, Table

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

_ROWS_AT_ONCE = 1000


def write_snapshot(engine: Engine, path: Path) -> Engine:
    """Copy everything, as it is at one moment, into a new SQLite file; return it, open."""
    snapshot = open_database(f"sqlite:///{path}")
    migrate(snapshot)
    isolation = "REPEATABLE READ" if engine.dialect.name == "postgresql" else "SERIALIZABLE"
    with (
        _explaining(),
        engine.connect().execution_options(isolation_level=isolation, **{ONLY_READS: True}) as source,
        snapshot.begin() as target,
    ):
        _copy(source, target)
    return snapshot


def demand_empty(engine: Engine) -> None:
    """Raise ConfigurationError, ``database``, where somebody uses the database already."""
    migrate(engine)
    with _explaining(), engine.connect() as connection:
        if connection.scalar(select(func.count()).select_from(AccountRow)):
            raise ConfigurationError(
                "the database is not empty", hint="give an empty one with --database", code="database"
            )


def restore_snapshot(path: Path, engine: Engine, now: dt.datetime) -> None:
    """Fill an empty database from a snapshot; from now on it is another catalogue, in which readers begin anew.

    The audit log says so: its heads of later than the snapshot do not fit any more.
    """
    snapshot = open_database(f"sqlite:///{path}")
    migrate(snapshot)
    with _explaining(), snapshot.connect() as source, engine.begin() as target:
        _copy(source, target)
        target.execute(update(CatalogueRow).values(epoch=secrets.token_hex(8)))
        with Session(target) as session:
            audit.append(session, "restored-from-backup", None, now)
            session.flush()
    snapshot.dispose()


def _copy(source: Connection, target: Connection) -> None:
    tables = Table.metadata.sorted_tables
    for table in reversed(tables):
        target.execute(table.delete())
    for table in tables:
        rows = source.execute(select(table).execution_options(yield_per=_ROWS_AT_ONCE)).mappings()
        for chunk in _chunks(dict(row) for row in rows):
            target.execute(insert(table), chunk)
    if target.dialect.name == "postgresql":
        # Rows that brought their own numbers have not moved the sequence that gives the next one.
        target.execute(
            text(
                "SELECT setval(pg_get_serial_sequence('certificates', 'ordinal'),"
                " (SELECT coalesce(max(ordinal), 0) + 1 FROM certificates), false)"
            )
        )


def _chunks(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    while chunk := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        yield chunk


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise ConfigurationError(
            "the database cannot be copied", hint="check that it can be reached, and make room", code="database"
        ) from error
