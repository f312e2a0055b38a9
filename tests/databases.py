"""Both databases for tests: SQLite in a file, and a PostgreSQL server that is started for the test run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from registrar.database import migrate, open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

_VERSIONS = Path("/usr/lib/postgresql")  # where Debian keeps the programs of each version
# The test run's data may be lost; without flushing it starts in half the time.
_OPTIONS = "-c listen_addresses= -c fsync=off -c unix_socket_directories={folder}"


class Server:
    """A PostgreSQL server in a temporary folder, reached through a socket in it."""

    def __init__(self) -> None:
        programs = sorted(_VERSIONS.glob("*/bin/pg_ctl"))
        assert programs, "PostgreSQL is missing: apt-get install postgresql"
        self._program = programs[-1]
        # A folder of its own, since the server does not run as root and may not enter root's.
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._schemas = 0
        self._run("initdb", "--options", "--auth=trust --username=postgres --no-sync")
        self._run("start", "--wait", "--options", _OPTIONS.format(folder=self._folder), "--log", self._folder / "log")

    def new_database(self) -> str:
        """Return a URL that shows an empty database: a schema of its own, which is made in a moment."""
        self._schemas += 1
        url = f"postgresql://postgres@/postgres?host={self._folder}"
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA test{self._schemas}"))
        engine.dispose()
        return f"{url}&options=-csearch_path%3Dtest{self._schemas}"

    def stop(self) -> None:
        self._run("stop", "--mode", "immediate")
        shutil.rmtree(self._folder)

    def _run(self, command: str, *options: str | Path) -> None:
        subprocess.run(
            [self._program, command, "--pgdata", self._folder / "data", "--silent", *options],
            check=True,
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


# `make test` as root installs PostgreSQL; an ordinary user who has none tests the default, and is told so.
KINDS = ["sqlite", "postgresql"] if os.geteuid() == 0 or any(_VERSIONS.glob("*/bin/pg_ctl")) else ["sqlite"]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'registrar.sqlite3'}"
    server: Server = request.getfixturevalue("server")
    return server.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database of each kind with the current schema."""
    one = open_database(url)
    migrate(one)
    yield one
    one.dispose()
