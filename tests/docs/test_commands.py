"""Commands that a document shows and that cannot run here, for want of Docker or systemd, are understood at least."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from docs.test_docs import DOCUMENTS
from system import ROOT
from typer.exceptions import TyperException
from typer.main import get_command

from tools.reference import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMANDS = {module.PROGRAM: get_command(module.app).commands for module in PROGRAMS}
OURS = "|".join(rf"{program} (?:{'|'.join(commands)})" for program, commands in COMMANDS.items())


def parse(words: list[str]) -> None:
    """Have a program's parser read a command line, but for what it would do."""
    COMMANDS[words[0]][words[1]].make_context(words[1], words[2:])


def commands_in(text: str) -> Iterator[str]:
    """Yield the commands of ours in the blocks that are not typed, whatever stands before them in their lines."""
    for block in re.findall(r"^```(?:text|sh).*\n((?:.*\n)*?)^```$", text, re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(("$ ", *COMMANDS)) and "[OPTIONS]" not in line:
                for command in re.findall(rf"\b(?:{OURS})\b[^|;&<>]*", line):
                    # The last of what a shell is given in quotes has their end behind it.
                    yield command if command.count("'") % 2 == 0 else command.replace("'", "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_are_only_shown_are_understood(document: Path) -> None:
    for command in commands_in(document.read_text()):
        parse(shlex.split(command))


def test_commands_that_are_only_shown_are_found() -> None:
    lines = [
        "$ docker-compose exec a sh -c \\",
        "  'registrar backup /tmp && tar' > backup.tar",
        "registrar init",
    ]
    shown = "\n".join(["```text", *lines, "```", ""])
    assert [found.strip() for found in commands_in(shown)] == ["registrar backup /tmp", "registrar init"]
    assert sum(len(list(commands_in(document.read_text()))) for document in DOCUMENTS) > 20


@pytest.mark.parametrize("wrong", ["registrar init --hots x", "publisher post", "subscriber run --count none"])
def test_a_command_that_is_wrong_is_not_understood(wrong: str) -> None:
    with pytest.raises(TyperException):
        parse(shlex.split(wrong))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_to_be_made_can_be_made(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+(?: [\w-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {target for line in targets for target in line.split()}
    named = re.findall(r"(?:`|^)make ([a-z][\w-]*)", document.read_text(), re.MULTILINE)
    assert [target for target in named if target not in known] == []
