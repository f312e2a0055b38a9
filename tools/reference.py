"""The reference of the three programs, as Markdown and as man pages: written from the commands themselves.

``python -m tools.reference`` (``make docs``) writes docs/reference/ and docs/man/. Nothing there is written by hand:
what is said about a command stands where the command does, and `--help` says the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.main import get_command

import publisher.__main__
import registrar.__main__
import subscriber.__main__
from common.console import default_home
from tools.json_lines import read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = (registrar.__main__, publisher.__main__, subscriber.__main__)
DOCS = Path(__file__).parent.parent / "docs"
NOT_BY_HAND = "<!-- Written by `make docs` from the commands themselves. -->\n"
EXIT_CODES = (("0", "done"), ("1", "refused or failed"), ("2", "wrong usage"))


@dataclass(frozen=True)
class Parameter:
    """An argument or an option: how it is written, what it means, its variable and default, empty where it has none."""

    term: str
    help: str
    variable: str
    default: str


@dataclass(frozen=True)
class Command:
    """A command; ``shared`` are the options that every command of its program has."""

    name: str
    usage: str
    help: str
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A program with its commands; ``shared`` are the options that each of these has."""

    name: str
    help: str
    shared: tuple[Parameter, ...]
    commands: tuple[Command, ...]


def read_program(module: Any) -> Program:  # noqa: ANN401 - each of the programs' main modules
    """Return what a program's commands say of themselves."""
    group = get_command(module.app)
    read = [read_command(module.PROGRAM, command) for command in group.commands.values()]  # type: ignore[attr-defined] # a group
    shared = tuple(option for option in read[0].options if all(option in command.options for command in read))
    commands = tuple(
        Command(
            each.name,
            each.usage,
            each.help,
            each.arguments,
            tuple(option for option in each.options if option not in shared),
            each.examples,
        )
        for each in read
    )
    return Program(module.PROGRAM, group.help or "", shared, commands)


def read_command(program: str, command: Any) -> Command:  # noqa: ANN401 - Typer's own copy of click has no public types
    """Return what a command says of itself."""
    context = command.context_class(command, info_name=f"{program} {command.name}")
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    return Command(
        command.name,
        " ".join([context.command_path, *command.collect_usage_pieces(context)]),
        " ".join(command.help.split()),
        tuple(read_parameter(program, each, context) for each in arguments),
        tuple(read_parameter(program, each, context) for each in options),
        tuple(line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("$ ")),
    )


def read_parameter(program: str, parameter: Any, context: Any) -> Parameter:  # noqa: ANN401 - as above
    """Return what an argument or an option says of itself."""
    default = parameter.default
    if default == default_home(program):
        shown = f"~/.local/share/sealcast/{default.name}"  # on Linux; not that of whoever writes the reference
    elif isinstance(default, bool) or default is None:
        shown = ""
    else:
        shown = str(getattr(default, "value", default))
    term, _ = parameter.get_help_record(context)
    term = re.sub(r" <[\w\[\]]+>$", "", term)  # of an argument, the type in Python
    return Parameter(term, parameter.help or "", getattr(parameter, "envvar", None) or "", shown)


def markdown(program: Program) -> str:
    """Return the page of a program for docs/reference/."""
    return "\n".join([NOT_BY_HAND, *_markdown(program), ""])


def _markdown(program: Program) -> Iterator[str]:
    yield f"# {program.name}\n\n{program.help}\n"
    yield "Contents: " + " · ".join(f"[{each.name}](#{each.name})" for each in program.commands) + "\n"
    exits = ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES)
    yield f"Each has `--help`, the program has `--version` too. Exit codes: {exits}.\n"
    yield "## Every command\n"
    yield from _markdown_table(program.shared)
    for command in program.commands:
        yield f"## {command.name}\n\n{command.help}\n\n```text\n{command.usage}"
        yield "\n".join(["```\n", *_markdown_table(command.arguments + command.options)])
        if command.examples:
            yield "\n".join(["For example:\n\n```text", *command.examples, "```\n"])


def _markdown_table(parameters: tuple[Parameter, ...]) -> Iterator[str]:
    if not parameters:
        return
    yield "| | variable | unless said | meaning |\n| --- | --- | --- | --- |"
    for each in parameters:
        cells = (_code(each.term), _code(each.variable), _code(each.default), each.help)
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    yield ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def index(programs: list[Program]) -> str:
    """Return docs/reference/README.md: every command in a line."""
    lines = [NOT_BY_HAND, "# Every command\n"]
    for program in programs:
        lines += [f"## {program.name}\n\n{program.help}\n", "| command | does |\n| --- | --- |"]
        lines += [
            f"| [`{program.name} {it.name}`]({program.name}.md#{it.name}) | {it.help} |" for it in program.commands
        ]
        lines.append("")
    lines.append("What is printed with `--json` is in [JSON lines](json.md), and what a code means in")
    lines.append("[the protocol](../protocol.md#codes).\n")
    return "\n".join(lines)


def json_lines() -> str:
    """Return docs/reference/json.md: what is printed with --json."""
    lines = [
        NOT_BY_HAND,
        "# JSON lines\n",
        "With `--json` a command prints one object a line on stdout, and nothing else there; logs, questions and the",
        "`error:` line go to stderr. Each has an `event`. An image that several lines tell of has the same `image_id`",
        "in all.\n",
        "| program | event | members beside it |\n| --- | --- | --- |",
    ]
    lines += [f"| {program} | {event} | {members} |" for program, event, members in read_lines()]
    return "\n".join([*lines, ""])


def man(program: Program, others: list[str]) -> str:
    """Return the man page of a program, in section 1."""
    return "\n".join([*_man(program, others), ""])


def _man(program: Program, others: list[str]) -> Iterator[str]:
    yield '.\\" Written by `make docs` from the commands themselves.'
    yield f'.TH {program.name.upper()} 1 "" "Sealcast {version("sealcast")}" "Sealcast"'
    yield f".SH NAME\n{program.name} \\- {_roff(program.help[:1].lower() + program.help[1:].rstrip('.'))}"
    yield f".SH SYNOPSIS\n.B {program.name}\n.I COMMAND\n[OPTIONS] [ARGUMENTS]"
    yield ".nh\n.ad l"  # names of variables are not to be divided
    yield ".SH DESCRIPTION\nSealcast shares images privately over an MQTT broker that nobody has to trust with them."
    yield _roff(
        "Every option can also come from the environment, or from settings.toml in the folder that --home names."
    )
    yield ".SH COMMANDS"
    for command in program.commands:
        yield f".SS {command.name}\n.B {_roff(command.usage)}\n.PP\n{_roff(command.help)}"
        yield from _man_list(command.arguments + command.options)
        for example in command.examples:
            yield f".PP\n.nf\n.RS\n{_roff(example)}\n.RE\n.fi"
    yield ".SH OPTIONS OF EVERY COMMAND"
    yield from _man_list(program.shared)
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES:
        yield f".TP\n.B {code}\n{meaning}"
    folder = next(each.default for each in program.shared if each.term.startswith("--home"))
    yield f".SH FILES\n.TP\n.I {_roff(folder)}"
    yield "The folder, unless said; settings.toml in it holds options and limits."

    first, second = (each for each in others if each != program.name)
    yield f".SH SEE ALSO\n.BR {first} (1),\n.BR {second} (1)"


def _man_list(parameters: tuple[Parameter, ...]) -> Iterator[str]:
    for each in parameters:
        yield f".TP\n.B {_roff(each.term)}\n{_roff(each.help)}"
        notes = [f"${each.variable}"] * bool(each.variable) + [f"unless said {each.default}"] * bool(each.default)
        if notes:
            yield f"[{_roff(', '.join(notes))}]"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("|", "|\\:")  # which a line may end behind
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def files() -> dict[Path, str]:
    """Return every file that is written, with what has to stand in it."""
    programs = [read_program(module) for module in PROGRAMS]
    names = [program.name for program in programs]
    written = {DOCS / "reference" / "README.md": index(programs), DOCS / "reference" / "json.md": json_lines()}
    written |= {DOCS / "reference" / f"{program.name}.md": markdown(program) for program in programs}
    return written | {DOCS / "man" / f"{program.name}.1": man(program, names) for program in programs}


def main() -> None:
    """Write what is not as it should be."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
