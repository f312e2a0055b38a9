"""docs/threats.md: every attack has a test, a twin that has to work, and a defence that `make defences` takes out."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from defences.threats import Attack, read_attacks, read_removals
from system import ROOT

ATTACKERS = (
    "An outsider", "A member", "A revoked member", "The broker", "The network", "A stolen device",
    "The same machine", "A stolen database", "The registrar",
)  # fmt: skip
ATTACKS = {attack.name: attack for attack in read_attacks()}


def is_a_test(name: str) -> bool:
    file, _, function = name.partition("::")
    path = ROOT / "tests" / file
    return path.exists() and any(
        isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(ast.parse(path.read_text()))
    )


def test_every_attacker_is_there_and_every_attack_once() -> None:
    attacks = read_attacks()
    assert list(dict.fromkeys(attack.attacker for attack in attacks)) == list(ATTACKERS)
    assert [name for name, number in Counter(attack.name for attack in attacks).items() if number > 1] == []


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_has_a_test_and_a_twin(attack: Attack) -> None:
    assert attack.shown_by
    assert attack.still_works
    assert [name for name in attack.shown_by + attack.still_works if not is_a_test(name)] == []


def test_every_defence_can_be_removed_from_where_it_is() -> None:
    removals = read_removals()
    assert removals.keys() == ATTACKS.keys()
    for removal in removals.values():
        assert (ROOT / removal.file).read_text().count(removal.old) == 1, removal
        assert removal.old != removal.new
