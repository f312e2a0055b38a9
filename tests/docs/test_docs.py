"""Runs what the documents show: every ``console`` block of the documents in SHOWN, each in a world of its own.

A document goes on from where PRELUDE leaves off, which is a part of a document itself, and depends on no other. The
prelude is done once; each document gets a copy of the home that it has left, with what went on there started again.

The word behind ``console`` names the terminal in which a block is typed. A line that begins with ``$ `` is typed, and
the lines below it have to be all that is shown: ``…`` stands for any text, alone on a line for any lines. What goes on
by itself (DAEMONS) is left running, and a block without a command is what such a terminal shows next.

So that nothing depends on the machine, HOME and TMPDIR are temporary, and SEALCAST_PORT and SEALCAST_ENROL_PORT name
free ports, which also take the place of 8883 and 8884 where a document writes them out. Other blocks are not run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docs.terminal import Terminal
from system import KEY_SIZE, PATIENCE, ROOT, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PRELUDE, PRELUDE_HEADING = "docs/tutorial.md", "On one laptop"
SHOWN = (
    "README.md",
    "docs/administration.md",
    "docs/audit.md",
    "docs/debugging.md",
    "docs/gallery.md",
    "docs/proof.md",
    "docs/reliability.md",
    "docs/sharing.md",
    "docs/tutorial.md",
    "docs/verifying.md",
    "docs/watching.md",
)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ONE_SCREEN = 60  # lines
DAEMONS = ("registrar serve", "subscriber run", "publisher watch", "subscriber gallery")
# What is not run here: it has a test of its own, or needs Docker, or stops what other tests have started.
NOT_RUN = ("make ", "docker-compose ", "printf ", "ps ", "kill ")


@dataclass
class Step:
    """A command, or None for what a running one shows next, and the lines that have to be shown."""

    where: str
    terminal: str
    command: str | None
    lines: list[str] = field(default_factory=list)

    @property
    def goes_on(self) -> bool:
        return self.command is not None and self.command.startswith(DAEMONS) and "--count" not in self.command

    @property
    def expected(self) -> re.Pattern[str]:
        return re.compile("".join(map(line_pattern, self.lines)))


def line_pattern(line: str) -> str:
    if line == "…":
        return r"(.*\n)*?"
    return ".*".join(map(re.escape, line.rstrip().split("…"))) + r"[ \t]*\n"


def read_steps(name: str, text: str) -> Iterator[Step]:
    for block in re.finditer(r"^```console (\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first_line = text.count("\n", 0, block.start()) + 2
        step: Step | None = None
        for number, line in enumerate(block[2].splitlines(), first_line):
            if step and step.command and step.command.endswith("\\"):
                step.command += f"\n{line}"
                continue
            if line.startswith("$ ") or step is None:
                if step:
                    yield step
                step = Step(f"{name}:{number}", block[1], line[2:] if line.startswith("$ ") else None)
            if not line.startswith("$ "):
                step.lines.append(line)
        if step:
            yield step


def follow(steps: Iterable[Step], environment: dict[str, str]) -> None:
    """Type every step into its terminal; fails where something else is shown."""
    with contextlib.ExitStack() as stack:
        terminals: dict[str, Terminal] = {}
        running: dict[str, Terminal] = {}
        for step in steps:
            if step.terminal not in terminals:
                terminals[step.terminal] = stack.enter_context(Terminal(environment))
            terminal = terminals[step.terminal]
            if step.command is not None:
                terminal.type(step.command)
            if step.command is None or step.goes_on:
                running[step.terminal] = terminal
                shown = terminal.expect(step.expected)
            else:
                shown = terminal.finish()
            # What another program logs may stand in its log a moment later.
            deadline = time.monotonic() + PATIENCE
            while "broker.log" in (step.command or "") and not shown and time.monotonic() < deadline:
                terminal.type(step.command or "")
                shown = terminal.finish()
            as_shown = step.expected.fullmatch(shown) is not None
            assert as_shown, "\n".join([f"{step.where}: {step.command}", *step.lines, "but is:", shown])
        for name, terminal in reversed(running.items()):
            assert terminal.interrupt() == "", f"{name} has shown more"


def environment_in(home: Path) -> dict[str, str]:
    port, enrol_port = free_ports(2)
    return {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SEALCAST_PORT": str(port),
        "SEALCAST_ENROL_PORT": str(enrol_port),
        "SEALCAST_KEY_SIZE": KEY_SIZE,
    }


def steps_of(name: str, text: str, environment: dict[str, str]) -> list[Step]:
    ports = {"8883": environment["SEALCAST_PORT"], "8884": environment["SEALCAST_ENROL_PORT"]}
    return list(read_steps(name, re.sub("888[34]", lambda found: ports[found[0]], text)))


def split_prelude(name: str) -> tuple[str, str]:
    """Return a document's prelude and the rest; empty lines stand for the others, so that a step says where it is."""
    text = (ROOT / name).read_text()
    if name != PRELUDE:
        return "", text
    begin = text.index(f"\n## {PRELUDE_HEADING}\n") + 1
    end = text.index("\n## ", begin)
    return "\n" * text.count("\n", 0, begin) + text[begin:end], "\n" * text.count("\n", 0, end) + text[end:]


def copy(source: Path, target: Path) -> None:
    subprocess.run(["/bin/cp", "--archive", source, target], check=True)


@dataclass
class World:
    """What the prelude has left: a home with members, and what went on in its terminals."""

    home: Path
    environment: dict[str, str]
    daemons: list[Step]

    def begin(self) -> None:
        """Put the home back as the prelude has left it."""
        shutil.rmtree(self.home, ignore_errors=True)
        copy(self.home.with_name("kept"), self.home)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("docs") / "home"
    home.mkdir()
    environment = environment_in(home)
    steps = steps_of(PRELUDE, split_prelude(PRELUDE)[0], environment)
    follow(steps, environment)
    copy(home, home.with_name("kept"))
    daemons = [step for step in steps if step.goes_on]
    return World(home, environment, [replace(step, lines=step.lines[:1]) for step in daemons])


@pytest.mark.parametrize("name", SHOWN)
def test_what_a_document_shows_is_what_happens(world: World, name: str) -> None:
    steps = steps_of(name, split_prelude(name)[1], world.environment)
    assert steps
    world.begin()
    follow([*world.daemons, *steps], world.environment)


@pytest.mark.parametrize("shown", ["two", "one\ntwo", "", "o…x"])
def test_what_a_document_shows_wrongly_is_noticed(tmp_path: Path, shown: str) -> None:
    environment = environment_in(tmp_path)
    document = "```console a\n$ echo \\\n  one\n{}\n```\n"
    follow(read_steps("right", document.format("o…e")), environment)
    with pytest.raises(AssertionError, match="wrong:2"):
        follow(read_steps("wrong", document.format(shown)), environment)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_run_or_known_to_be_not(document: Path) -> None:
    blocks = re.findall(r"^```(\S+).*\n((?:.*\n)*?)^```$", document.read_text(), re.MULTILINE)
    for kind, block in blocks:
        assert kind in {"console", "sh", "text", "toml"}
        assert kind != "console" or str(document.relative_to(ROOT)) in SHOWN
        assert kind != "sh" or all(line.startswith(NOT_RUN) for line in block.splitlines())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        file, _, heading = target.partition("#")
        if "://" in file:
            continue
        path = document.parent / file if file else document
        assert path.exists(), target
        assert not heading or heading in map(anchor, re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)), target


def test_the_readme_is_one_screen_and_leads_to_every_document() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= ONE_SCREEN
    reached = {ROOT / "README.md"}
    waiting = set(reached)
    while waiting:
        document = waiting.pop()
        targets = re.findall(r"\]\(([^)\s#]+\.md)", document.read_text())
        found = {(document.parent / target).resolve() for target in targets if "://" not in target} - reached
        reached |= found
        waiting |= found
    assert set(DOCUMENTS) - reached == set()


def anchor(heading: str) -> str:
    """Return how GitHub names a heading in links."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
