"""The reference and the man pages are what the commands say of themselves, and what they say can be read."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from docs.test_commands import parse
from typer.main import get_command

from tools.json_lines import NOTES, read_lines
from tools.reference import DOCS, PROGRAMS, files, read_program

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from tools.reference import Command

COMMANDS = [
    pytest.param(module.PROGRAM, command, id=f"{module.PROGRAM} {command.name}")
    for module in PROGRAMS
    for command in read_program(module).commands
]
WIDTH = 80
LONGEST = 150  # characters of a sentence


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(DOCS)))
def test_what_is_written_is_what_the_commands_say(path: Path) -> None:
    assert path.read_text() == files()[path], f"{path.relative_to(DOCS)} is stale: run make docs"


def test_nothing_is_left_of_what_is_no_command_any_more() -> None:
    assert {path for folder in ("reference", "man") for path in (DOCS / folder).iterdir()} == files().keys()


@pytest.mark.parametrize("page", sorted((DOCS / "man").iterdir()), ids=lambda page: page.name)
def test_a_man_page_has_no_fault(page: Path) -> None:
    # A date would be that of the last `make docs`, so that each one changed every page.
    assert [fault for fault in faults(page) if "missing date" not in fault] == []


def test_a_fault_in_a_man_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "publisher.1"
    page.write_text((DOCS / "man" / "publisher.1").read_text().replace(".SH NAME", ".SX NAME"))
    assert any("unknown macro" in fault for fault in faults(page))


def faults(page: Path) -> list[str]:
    command = [shutil.which("mandoc") or "mandoc", "-Tlint", "-Wwarning", page]
    looked_at = subprocess.run(command, capture_output=True, text=True, check=False)
    return looked_at.stdout.splitlines()


@pytest.mark.parametrize("module", PROGRAMS, ids=lambda module: module.PROGRAM)
def test_the_list_of_commands_cuts_no_sentence_off(module: ModuleType) -> None:
    group = get_command(module.app)
    room = WIDTH - 6 - max(map(len, group.commands))
    assert {
        name: text for name, each in group.commands.items() if (text := each.get_short_help_str(room))[-3:] == "..."
    } == {}


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_what_is_said_of_a_command_is_said_in_sentences(program: str, command: Command) -> None:
    assert command.usage.startswith(f"{program} {command.name}")
    said = [command.help, *(each.help for each in (*command.arguments, *command.options))]
    assert [text for text in said if not is_a_sentence(text)] == []


@pytest.mark.parametrize(
    "text", ["the broker", "The broker's name", "Please say it.", "It is new!", "x" * 151 + ".", ""]
)
def test_what_is_no_sentence_is_found(text: str) -> None:
    assert is_a_sentence("The broker's host name or address.")
    assert not is_a_sentence(text)


def is_a_sentence(text: str) -> bool:
    return (
        re.fullmatch(r"[A-Z0-9].*\.", text) is not None
        and not re.search(r"!|\b[Pp]lease\b|n't\b|\bNone\b|  ", text)
        and max(map(len, text.split(". "))) <= LONGEST
    )


@pytest.mark.parametrize(("program", "command"), COMMANDS)
def test_an_example_is_understood(program: str, command: Command) -> None:
    for example in command.examples:
        name, *words = shlex.split(example.removeprefix("$ "))
        assert [name, words[0]] == [program, command.name]
        parse([name, *words])


def test_every_line_for_scripts_is_listed() -> None:
    written = {(program, event) for program, event, _ in read_lines()}
    assert {("publisher", "`stored`"), ("subscriber", "`NEW_IMAGE`"), ("subscriber", "`saved`")} <= written
    assert ("registrar", "`initialised`", "`fingerprint`, `home`") in read_lines()
    assert ("registrar", "`ready`", "`fingerprint`") in read_lines()


def test_every_note_is_about_what_is_printed() -> None:
    written = "\n".join(f"{program}: {members}" for program, _, members in read_lines())
    for (program, _, member), note in NOTES.items():
        noted = note if member == "…" else f"`{member}` ({note})"
        assert re.search(rf"^{program}: .*{re.escape(noted)}", written, re.MULTILINE), (program, member)
    assert "…" not in written
