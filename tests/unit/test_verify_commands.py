"""A person compares words on a terminal; only what was agreed to is verified."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import NOW

from common.console import Printer
from common.errors import ConfigurationError
from common.verified import Verified
from common.verify_commands import ask_person

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTHORITIES = authorities.default()
LAPTOP = AUTHORITIES.member("alice").certificate
PHONE = AUTHORITIES.new_member("alice").certificate


class Typed(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def verified(tmp_path: Path) -> Iterator[Verified]:
    with Verified(tmp_path) as opened:
        yield opened


def ask(verified: Verified, *, yes: bool = False) -> list[object]:
    return list(ask_person([LAPTOP, PHONE], "alice", verified, Printer(as_json=True), yes=yes))


def test_words_that_agree_are_verified(
    verified: Verified, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verified.add([LAPTOP], NOW)
    monkeypatch.setattr("sys.stdin", Typed("y\n"))
    assert ask(verified) == [LAPTOP, PHONE]
    shown = capsys.readouterr()
    assert [json.loads(line)["known"] for line in shown.out.split("\n") if line.strip()] == [True, False]
    assert "alice's devices" in shown.err


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_words_that_do_not_agree_are_not(verified: Verified, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr("sys.stdin", Typed(typed))
    with pytest.raises(ConfigurationError, match="alice is not verified") as error:
        ask(verified)
    assert error.value.code == "unconfirmed"


def test_without_a_terminal_nothing_is_agreed_to(verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ConfigurationError, match="no terminal"):
        ask(verified)
    assert ask(verified, yes=True) == [LAPTOP, PHONE]


def test_what_is_known_is_not_asked_again(verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    verified.add([LAPTOP, PHONE], NOW)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert ask(verified) == [LAPTOP, PHONE]
