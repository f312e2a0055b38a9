"""With --json a command that succeeds prints JSON objects, one a line, and nothing else anywhere."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest
from command_lines import Typing
from system import KEY_SIZE, PASSWORD, ROOT

import publisher.__main__
import registrar.__main__
import subscriber.__main__

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from system import System

CHELSEA = str(ROOT / "tools" / "chelsea.jpg")
PROGRAMS = {"registrar": registrar.__main__, "publisher": publisher.__main__, "subscriber": subscriber.__main__}


class Story:
    """Commands that follow each other, each of which has to succeed."""

    def __init__(self, typing: Typing, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self._typing, self._monkeypatch, self._home = typing, monkeypatch, home

    def __call__(self, line: str, *more: str, stdin: str = "") -> list[dict[str, Any]]:
        """Type a command, and return the objects that it has printed."""
        program, *words = line.split()
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        module: ModuleType = PROGRAMS[program]
        done = self._typing(module, *words, *more, "--home", str(self._home), "--json")
        assert (done.exit_code, done.err) == (0, ""), line
        assert all(each["event"] for each in done.objects), line
        return done.objects


@pytest.fixture
def typing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typing:
    return Typing(tmp_path, monkeypatch, capsys)


def test_of_a_member(system: System, typing: Typing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tell = Story(typing, monkeypatch, system.home_of("json-1"))
    key_size = ("--key-size", KEY_SIZE)
    pin = ("--ca-fingerprint", system.fingerprint)
    password = PASSWORD + "\n"
    tell("publisher register json-1 --password-stdin", *system.doors, *pin, *key_size, stdin=password)
    for program in ("publisher", "subscriber"):
        assert tell(f"{program} whoami")[0]["user"] == "json-1"
        tell(f"{program} renew")
    (stored,) = tell("publisher post", CHELSEA, "--to", "json-1")
    assert tell("publisher outbox") == []
    assert [each["event"] for each in tell("publisher outbox --all")] == ["stored"]
    assert tell("publisher flush") == []
    assert "json-1" in {each["user"] for each in tell("publisher members")}
    assert tell("publisher status", stored["image_id"])
    assert tell("subscriber verify --list") == []
    (saved,) = tell("subscriber fetch", stored["image_id"])
    assert [each["path"] for each in tell("subscriber list")] == [saved["path"]]
    (proof,) = tell("subscriber proof", stored["image_id"], "--output", str(tmp_path / "proof"))
    assert proof["image_id"] == stored["image_id"]
    assert tell("publisher remove", stored["image_id"])[0]["was_stored"]
    tell("publisher password --password-stdin", stdin=f"{PASSWORD}\n{PASSWORD} or two\n")
    tell("subscriber passphrase --new-passphrase-file", private(tmp_path / "passphrase", "a passphrase for tests"))
    monkeypatch.setenv("SEALCAST_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    tell("publisher delete-account --yes --password-stdin", stdin=f"{PASSWORD} or two\n")


def test_of_a_registrar(typing: Typing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tell = Story(typing, monkeypatch, tmp_path / "registrar")
    (made,) = tell("registrar init")
    assert tell("registrar fingerprint")[0]["fingerprint"] == made["fingerprint"]
    assert tell("registrar members") == []
    (invited,) = tell("registrar invite")
    assert [each["id"] for each in tell("registrar invitations")] == [invited["id"]]
    tell("registrar renew")
    tell("registrar rotate")
    assert tell("registrar audit")
    tell("registrar audit --verify")
    (tmp_path / "registrar" / "archive").mkdir(0o700)  # as the first `serve` would
    tell("registrar verify")
    tell("registrar backup", str(tmp_path / "backup"))
    tell("registrar passphrase --new-passphrase-file", private(tmp_path / "passphrase", "a passphrase for tests"))


def private(file: Path, line: str) -> str:
    file.touch(0o600)
    file.write_text(line)
    return str(file)
