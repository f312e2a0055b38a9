"""Fixtures for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from system import System

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole Sealcast that the tests of one worker share; every test has members of its own."""
    one = System.create(tmp_path_factory.mktemp("system"))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def own_system(tmp_path: Path) -> Iterator[System]:
    """A whole Sealcast for one test that stops or changes it; not started yet."""
    one = System.create(tmp_path)
    yield one
    if one.daemon is not None:
        one.daemon.kill()
