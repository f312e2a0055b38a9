"""Opens the registrar's database, SQLite or PostgreSQL, and brings it to the current schema.

Every transaction is durable when it returns: SQLite runs with a write-ahead log and ``synchronous=FULL``, PostgreSQL
with its default ``synchronous_commit``.
"""

from __future__ import annotations

import datetime as dt
import uuid  # noqa: TC003 - SQLAlchemy reads the annotations at run time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    MetaData,
    String,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy import types as sql
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from common.errors import ConfigurationError, RefusedError
from common.files import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from sqlite3 import Connection as SQLiteConnection

ONLY_READS = "sealcast_only_reads"  # an execution option: a long reading that holds up no writer
_BUSY_TIMEOUT_SECONDS = 10.0
_RETRY_AFTER_SECONDS = 5.0
# Any number that no other user of the same PostgreSQL database takes as a lock.
_MIGRATION_LOCK = 0x5EA1CA57


class UtcDateTime(sql.TypeDecorator[dt.datetime]):
    """An aware time in UTC, on databases with and without time zones."""

    impl = sql.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the time in UTC; a naive one is a mistake in the program."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a naive time has no place in the database")
        return value and value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - the same
        """Return the time in UTC; SQLite gives it back without its zone."""
        return value and (value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC))


class Table(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class AccountRow(Table):
    """A user and the Argon2id hash of the password."""

    __tablename__ = "accounts"
    user_name: Mapped[str] = mapped_column(String(32), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)


class DeviceRow(Table):
    """A key, by its subject key identifier; it belongs to one user for ever."""

    __tablename__ = "devices"
    key_identifier: Mapped[bytes] = mapped_column(primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey(AccountRow.user_name), index=True)


class CertificateRow(Table):
    """A certificate of a device; a higher ``ordinal`` is a later one."""

    __tablename__ = "certificates"
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    key_identifier: Mapped[bytes] = mapped_column(ForeignKey(DeviceRow.key_identifier), index=True)
    pem: Mapped[bytes]
    issued_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)


class CrlNumberRow(Table):
    """The number of the latest CRL: one row."""

    __tablename__ = "crl_number"
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class CatalogueRow(Table):
    """The catalogue itself, one row: which one it is, and the ordinal of its latest image."""

    __tablename__ = "catalogue"
    epoch: Mapped[str] = mapped_column(String(16), primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger)


class ImageRow(Table):
    """A stored image; a higher ``ordinal`` was stored later."""

    __tablename__ = "images"
    __table_args__ = (
        Index("ix_images_audience_ordinal", "audience", "ordinal"),
        Index("ix_images_owner_ordinal", "owner", "ordinal"),
    )
    image_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, unique=True)
    owner: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(131))
    name: Mapped[str | None] = mapped_column(String(255))
    audience: Mapped[str] = mapped_column(String(7))
    size: Mapped[int] = mapped_column(BigInteger)
    sealed_size: Mapped[int] = mapped_column(BigInteger)
    sha256_sealed: Mapped[str] = mapped_column(String(64))
    wrapped_key: Mapped[bytes | None]
    stored_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime, index=True)


class RecipientRow(Table):
    """Who an image for named people is for: the key identifier of each, with the image's ordinal."""

    __tablename__ = "recipients"
    key_identifier: Mapped[bytes] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(ForeignKey(ImageRow.ordinal), primary_key=True, index=True)


class UsageRow(Table):
    """How much of the archive an owner takes up."""

    __tablename__ = "usage"
    owner: Mapped[str] = mapped_column(String(32), primary_key=True)
    images: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)


class RemovalRow(Table):
    """An image that is gone for good, or an announced one that never came; ``settled`` once nothing is left of it."""

    __tablename__ = "removals"
    image_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel: Mapped[str | None] = mapped_column(String(131))
    reason: Mapped[str] = mapped_column(String(7))
    removed_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    settled: Mapped[bool] = mapped_column(index=True)


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
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def _set_up(connection: SQLiteConnection, _: object) -> None:
        # Transactions begin and end where SQLAlchemy says, not where the driver guesses.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Taking the write lock at once waits for it; upgrading a read lock fails where another one writes.
        only_reads = connection.get_execution_options().get(ONLY_READS)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

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
            "the registrar's database does not answer", code="unavailable", retry_after=_RETRY_AFTER_SECONDS
        ) from error
