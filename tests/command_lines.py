"""Types commands of the three programs in this very process, which saves the start of another."""

from __future__ import annotations

import io
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

EXAMPLES = {"user": "alice", "image_id": str(uuid.UUID(int=7)), "image": str(uuid.UUID(int=7))}


class Done:
    """How a command has ended."""

    def __init__(self, exit_code: int, out: str, err: str) -> None:
        self.exit_code, self.out, self.err = exit_code, out, err

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What stands on stdout; fails unless it is one JSON object a line."""
        objects = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(each, dict) for each in objects)
        return objects

    def demand_refusal(self, exit_code: int) -> None:
        """Fail unless it has said why and what to do, on stderr alone."""
        lines = self.err.splitlines()
        assert (self.exit_code, self.out, len(lines)) == (exit_code, "", 2), self.err
        error, hint = lines
        assert error.startswith("error: ")
        assert hint.startswith("hint: ")
        assert not error.endswith(".")


class Typing:
    """Types commands, without a terminal, in a home where there is nothing."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.setenv("HOME", str(folder / "nobody"))
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    def __call__(self, program: ModuleType, *words: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", [program.PROGRAM, *words])
        with pytest.raises(SystemExit) as ended:
            program.main()
        out, err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out, err)

    def needs_arguments(self, program: ModuleType, name: str) -> bool:
        """Tell whether a command cannot do without an argument."""
        return any(each.required for each in get_command(program.app).commands[name].params)

    def arguments(self, program: ModuleType, name: str) -> list[str]:
        """Return something for each argument that a command needs, or would take to name somebody or something."""
        file = self.folder / "kyle.png"
        file.touch()
        command = get_command(program.app).commands[name]
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        given = [each for each in arguments if each.required or each.name in EXAMPLES]
        return [EXAMPLES.get(each.name, str(self.folder if each.name == "folder" else file)) for each in given]
