"""Reads docs/threats.md: the attacks, what shows each, and the removal of each defence in removals.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from system import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

THREATS = ROOT / "docs" / "threats.md"
REMOVALS = ROOT / "tests" / "defences" / "removals.toml"
_TEST = re.compile(r"`([a-z0-9_/]+\.py::test_\w+)`")
_NAME = re.compile(r"`([a-z0-9-]+)`")


@dataclass(frozen=True)
class Attack:
    """A row of docs/threats.md: who attacks, the tests that show the defence, and those that show what still works."""

    attacker: str
    name: str
    shown_by: tuple[str, ...]
    still_works: tuple[str, ...]


@dataclass(frozen=True)
class Removal:
    """A defence taken out of a file: ``old`` stands in it once, and ``new`` takes its place."""

    name: str
    file: str
    old: str
    new: str


def read_attacks() -> list[Attack]:
    """Return the attacks in the order of the document."""
    return list(_attacks_in(THREATS.read_text()))


def _attacks_in(text: str) -> Iterator[Attack]:
    attacker = ""
    for line in text.splitlines():
        if line.startswith("## "):
            attacker = line.removeprefix("## ")
        cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
        if line.startswith("| `") and len(cells) == 4 and (name := _NAME.match(cells[0])):
            yield Attack(attacker, name[1], *(tuple(_TEST.findall(cell)) for cell in cells[2:]))


def read_removals() -> dict[str, Removal]:
    """Return the removal of each defence, by the name of the attack."""
    tables = tomllib.loads(REMOVALS.read_text())
    return {name: Removal(name, **members) for name, members in tables.items()}
