"""Opens the registrar's database, SQLite or PostgreSQL, and brings it to the current schema.

What is deleted is overwritten in the file of a SQLite database, not only forgotten.

Every transaction is durable when it returns: SQLite runs with a write-ahead log and ``synchronous=FULL``, PostgreSQL
with its default ``synchronous_commit``.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from common.errors import ConfigurationError, RefusedError
from common.files import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

ONLY_READS = "sealcast_only_reads"  # an execution option: a long reading that holds up no writer
BUSY_TIMEOUT_SECONDS = 10.0
_LOCKED_WAIT_SECONDS = 0.05
_RETRY_AFTER_SECONDS = 5.0
# Any number that no other user of the same PostgreSQL database takes as a lock.
_MIGRATION_LOCK = 0x5EA1CA57


def open_database(url: str) -> Engine:
    """Return the engine for a database URL, ``sqlite:///…`` or ``postgresql://…``; raises ConfigurationError.

    A SQLite file that is not there yet is made for its owner only: it holds the hashes of passwords.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(parsed)
        return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError, OSError) as error:
        raise ConfigurationError(
            "the database cannot be opened",
            hint="give sqlite:///FILE in a folder that is there, or postgresql://USER@HOST/NAME "
            "with `pip install sealcast[postgresql]`",
            code="database",
        ) from error


def _open_sqlite(url: URL) -> Engine:
    if url.database is None or url.database == ":memory:":
        raise ArgumentError("a database in memory would be another one for each thread")
    Path(url.database).touch(PRIVATE_FILE)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: object) -> None:
        # Transactions begin and end where SQLAlchemy says, not where the driver guesses.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Taking the write lock at once waits for it; upgrading a read lock fails where another one writes.
        only_reads = connection.get_execution_options().get(ONLY_READS)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; SQLite does not wait by itself for who is just doing the same (measured)."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # The low byte is the kind of error; any other than this one, such as a read-only disk, does not pass.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCKED_WAIT_SECONDS)
        else:
            return


def open_current(url: str) -> Engine:
    """Return the engine for a database URL, brought to the current schema; raises ConfigurationError."""
    engine = open_database(url)
    migrate(engine)
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the database to the current schema, or from an older one to ``revision``; raises ConfigurationError.

    Several registrars may do so at once.
    """
    config = Config()
    config.set_main_option("script_location", "registrar:migrations")
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except (DBAPIError, CommandError) as error:
        raise ConfigurationError(
            "the database cannot be brought to the current schema",
            hint="check that it can be reached and written, and that no newer registrar has used it",
            code="database",
        ) from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """Give a session whose work is durable when the block ends, and undone where it fails.

    Raises RefusedError, code ``unavailable``, while the database does not answer or cannot write.
    """
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        raise RefusedError(
            "the registrar's database does not answer",
            hint="try again in a few seconds",
            code="unavailable",
            retry_after=_RETRY_AFTER_SECONDS,
        ) from error
