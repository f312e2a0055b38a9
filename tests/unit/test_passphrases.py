"""Where a passphrase comes from, in which order, and what cannot be one."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common import passphrases
from common.errors import ConfigurationError
from common.passphrases import Passphrases

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = Path("key.pem")
WORDS, OTHERS = "seven quiet boats at dusk", "nine loud carts by dawn"


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.delenv("SEALCAST_PASSPHRASE", raising=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Somebody at a terminal, who types WORDS; returns what was asked."""
    asked: list[dict[str, object]] = []

    def prompt(text: str, **details: object) -> str:
        asked.append({"text": text, **details})
        return WORDS

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(passphrases.typer, "prompt", prompt)
    return asked


def file_with(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "passphrase"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        work()
    assert caught.value.hint
    assert WORDS not in f"{caught.value.message} {caught.value.hint}"
    return caught.value.code


@pytest.mark.parametrize("content", [WORDS, f"{WORDS}\n", f"{WORDS}\r\n", f"{WORDS}\n{OTHERS}\n"])
def test_the_first_line_of_a_file_counts(tmp_path: Path, content: str) -> None:
    assert Passphrases(file_with(tmp_path, content.encode()))(KEY) == WORDS.encode()


def test_the_file_comes_before_the_environment_and_that_before_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: list[dict[str, object]]
) -> None:
    monkeypatch.setenv("SEALCAST_PASSPHRASE", OTHERS)
    assert Passphrases(file_with(tmp_path, b"from the file"))(KEY) == b"from the file"
    monkeypatch.setenv("SEALCAST_PASSPHRASE", OTHERS)
    assert Passphrases(None)(KEY) == OTHERS.encode()
    assert terminal == []
    monkeypatch.delenv("SEALCAST_PASSPHRASE", raising=False)
    asking = Passphrases(None)
    assert [asking(KEY), asking(KEY)] == [WORDS.encode()] * 2
    assert terminal == [
        {"text": "Passphrase of key.pem", "hide_input": True, "confirmation_prompt": False, "err": True}
    ]


def test_a_new_one_is_typed_twice(terminal: list[dict[str, object]]) -> None:
    asking = Passphrases(None)
    assert asking.new() == asking(KEY) == WORDS.encode()
    assert terminal == [{"text": "New passphrase", "hide_input": True, "confirmation_prompt": True, "err": True}]


def test_no_program_that_is_started_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALCAST_PASSPHRASE", WORDS)
    given = Passphrases(None)
    assert "SEALCAST_PASSPHRASE" not in os.environ
    assert given(KEY) == WORDS.encode()


def test_what_cannot_be_a_passphrase(tmp_path: Path) -> None:
    assert code_of(lambda: Passphrases(None)(KEY)) == "no_passphrase"
    assert code_of(Passphrases(None).new) == "no_passphrase"
    for content in (b"", b"\n", b"\nsecond line"):
        assert code_of(lambda: Passphrases(file_with(tmp_path, content))(KEY)) == "no_passphrase"  # noqa: B023 - called at once
    assert Passphrases(file_with(tmp_path, b"x" * 1024)).new() == b"x" * 1024
    assert code_of(lambda: Passphrases(file_with(tmp_path, b"x" * 1025))(KEY)) == "passphrase_too_long"
    assert code_of(Passphrases(file_with(tmp_path, b"x" * 14)).new) == "passphrase_too_short"
    # One that is short was made elsewhere, and opens what it opens.
    assert Passphrases(file_with(tmp_path, b"x" * 14))(KEY) == b"x" * 14
    assert code_of(lambda: Passphrases(file_with(tmp_path, WORDS.encode(), 0o644))(KEY)) == "exposed_key"
    assert code_of(lambda: Passphrases(tmp_path / "nowhere")(KEY)) == "unreadable"
