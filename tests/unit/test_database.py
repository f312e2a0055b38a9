from __future__ import annotations

import datetime as dt
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from authorities import DAY, NOW
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from common.errors import ConfigurationError, RefusedError
from registrar.accounts import Accounts
from registrar.catalogue import Catalogue
from registrar.database import migrate, open_database, transaction
from registrar.listing import Viewer
from registrar.tables import AccountRow, Table

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

pytest_plugins = ("databases",)


def test_the_migrations_make_the_tables_that_the_models_describe(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_the_comparison_would_see_a_difference(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE removals"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) != []


def test_images_of_the_first_schema_keep_their_order_their_readers_and_their_owners_usage(url: str) -> None:
    engine = open_database(url)
    migrate(engine, "0001")
    image = (
        "INSERT INTO images"
        " (image_id, owner, channel, audience, size, sealed_size, sha256_sealed, recipients, stored_at)"
        " VALUES (:image_id, :owner, 'public', :audience, 1, 50, :sha256, :recipients, :stored_at)"
    )
    ids = [uuid.UUID(int=number) for number in range(3)]
    with engine.begin() as connection:
        for number, recipients in enumerate(["", b"bob".hex(), f"{b'bob'.hex()} {b'carol'.hex()}"]):
            values = {
                "image_id": ids[number].hex,
                "owner": "alice",
                "audience": "named" if recipients else "members",
                "sha256": "ab" * 32,
                "recipients": recipients,
                "stored_at": (NOW - number * DAY).replace(tzinfo=None).isoformat(" "),
            }
            connection.execute(text(image), values)
    migrate(engine)
    catalogue = Catalogue(engine)
    for viewer, seen in (("bob", [2, 1, 0]), ("carol", [2, 0]), ("dave", [0])):
        page = catalogue.visible_to(Viewer(viewer, viewer.encode()), "oldest", None, 9)
        assert [record.image_id for record in page.records] == [ids[number] for number in seen]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT owner, images, bytes FROM usage")).all() == [("alice", 3, 150)]
    engine.dispose()


def test_a_current_database_is_left_as_it_is(engine: Engine) -> None:
    Accounts(engine).create("alice", "hash", NOW)
    migrate(engine)
    assert Accounts(engine).password_hash("alice") == "hash"


def test_several_registrars_may_migrate_at_once(url: str) -> None:
    engines = [open_database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, engines))
    Accounts(engines[0]).create("alice", "hash", NOW)
    assert Accounts(engines[3]).password_hash("alice") == "hash"
    for engine in engines:
        engine.dispose()


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    threads = 8
    with ThreadPoolExecutor(threads) as pool:
        # Each round is a chance of one in ten for SQLite to say that the database is locked.
        for number in range(40):
            engines = [open_database(f"sqlite:///{tmp_path / str(number)}") for _ in range(threads)]
            together = threading.Barrier(threads)

            def use(engine: Engine, together: threading.Barrier = together) -> None:
                together.wait()
                with engine.begin() as connection:
                    connection.execute(text("CREATE TABLE IF NOT EXISTS there (is_one)"))

            list(pool.map(use, engines))
            for engine in engines:
                engine.dispose()


def test_a_database_of_a_newer_registrar_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError) as caught:
        migrate(engine)
    assert caught.value.code == "database"
    assert caught.value.hint is not None


def test_a_block_that_fails_changes_nothing(engine: Engine) -> None:
    def fail() -> None:
        with transaction(engine) as session:
            session.add(AccountRow(user_name="alice", password_hash="hash", created_at=NOW))
            session.flush()
            raise KeyError("alice")

    with pytest.raises(KeyError):
        fail()
    assert Accounts(engine).password_hash("alice") is None


def test_times_come_back_aware_and_in_utc(engine: Engine) -> None:
    elsewhere = NOW.astimezone(dt.timezone(dt.timedelta(hours=-7)))
    Accounts(engine).create("alice", "hash", elsewhere)
    (member,) = Accounts(engine).members(NOW)
    assert member.created_at == NOW
    assert member.created_at.tzinfo is dt.UTC


def test_a_naive_time_is_a_mistake(engine: Engine) -> None:
    with pytest.raises(StatementError, match="naive"):
        Accounts(engine).create("alice", "hash", NOW.replace(tzinfo=None))


def test_sqlite_is_durable_checked_and_private(tmp_path: Path) -> None:
    path = tmp_path / "registrar.sqlite3"
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    with engine.connect() as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["", "nothing", "sqlite://", "sqlite:///:memory:", "mongodb://host/name", "sqlite:////no/such/folder/file"]
)
def test_what_is_no_database_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_database(url)
    assert caught.value.code == "database"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registrar.sqlite3"
    path.write_bytes(b"not a database at all" * 100)
    engine = open_database(f"sqlite:///{path}")
    with pytest.raises(ConfigurationError):
        migrate(engine)
    engine.dispose()


def test_a_server_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    engine = open_database(f"postgresql://postgres@/postgres?host={tmp_path}")
    with pytest.raises(ConfigurationError):
        migrate(engine)
    with pytest.raises(RefusedError) as caught:
        Accounts(engine).password_hash("alice")
    assert caught.value.code == "unavailable"
    assert caught.value.retry_after
    engine.dispose()
