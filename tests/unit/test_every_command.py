"""The contract of the command line, for every command there is: exit codes, and what stands where with --json."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_lines import Typing
from typer.main import get_command

import publisher.__main__
import registrar.__main__
import subscriber.__main__

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

PROGRAMS = (registrar.__main__, publisher.__main__, subscriber.__main__)
COMMANDS = [(program, name) for program in PROGRAMS for name in get_command(program.app).commands]
# What can be done in an empty folder.
NEEDS_NOTHING = {("registrar", "init")}

every_command = pytest.mark.parametrize(
    ("program", "name"), COMMANDS, ids=[f"{program.PROGRAM} {name}" for program, name in COMMANDS]
)


@pytest.fixture
def type_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typing:
    return Typing(tmp_path, monkeypatch, capsys)


@every_command
def test_wrong_usage_ends_with_2_and_says_where_help_is(program: ModuleType, name: str, type_in: Typing) -> None:
    done = type_in(program, name, *type_in.arguments(program, name), "--no-such-option", "--json")
    done.demand_refusal(2)
    assert f"{program.PROGRAM} {name} --help" in done.err
    if type_in.needs_arguments(program, name):
        type_in(program, name, "--json").demand_refusal(2)


@every_command
def test_help_is_for_people_and_ends_with_0(program: ModuleType, name: str, type_in: Typing) -> None:
    done = type_in(program, name, "--help")
    assert (done.exit_code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: {program.PROGRAM} {name} ")


@every_command
def test_what_fails_ends_with_1_and_leaves_stdout_to_json(program: ModuleType, name: str, type_in: Typing) -> None:
    home = type_in.folder / "empty"
    done = type_in(program, name, *type_in.arguments(program, name), "--home", str(home), "--json")
    if (program.PROGRAM, name) in NEEDS_NOTHING:
        assert (done.exit_code, done.err) == (0, "")
        assert [each["event"] for each in done.objects] == ["initialised"]
    else:
        done.demand_refusal(1)
