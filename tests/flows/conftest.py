"""The world that each flow happens in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flows.watching import Watched
from flows.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flows.members import Owner, Reader


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as one:
        yield one


@pytest.fixture
def alice(world: World) -> Owner:
    return world.owner("alice")


@pytest.fixture
def bob(world: World) -> Reader:
    return world.reader("bob")


@pytest.fixture
def watched(alice: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(alice, tmp_path / "photos", monkeypatch)
