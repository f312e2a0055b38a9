"""Two members and a watcher who can send anything, for the tests of what is sent on purpose; and a way to no broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import raw_clients
from system import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raw_clients import Client, Watcher
    from system import System


@pytest.fixture(scope="session")
def alice(system: System) -> Iterator[Client]:
    with raw_clients.member(system, "raw-alice") as client:
        yield client


@pytest.fixture(scope="session")
def bob(system: System) -> Iterator[Client]:
    with raw_clients.member(system, "raw-bob") as client:
        yield client


@pytest.fixture
def watcher(system: System) -> Iterator[Watcher]:
    with raw_clients.watching(system) as one:
        yield one


@pytest.fixture
def nowhere() -> tuple[str, ...]:
    """The options that lead to no broker."""
    return ("--port", str(free_ports(1)[0]))
