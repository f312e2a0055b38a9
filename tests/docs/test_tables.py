"""What the documents list, the source has, and the other way round: options, settings, codes, topics."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING, Any, get_args

from system import ROOT
from typer.main import get_command

import publisher.__main__
import registrar.__main__
import subscriber.__main__
from common.settings import Settings
from registrar.audit import Event
from subscriber.executing import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = (registrar.__main__, publisher.__main__, subscriber.__main__)
PACKAGES = ("common", "registrar", "publisher", "subscriber")
SETTINGS, PROTOCOL, DEBUGGING, AUDIT = (
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("settings", "protocol", "debugging", "audit")
)


def rows(document: str, heading: str) -> Iterator[list[str]]:
    """Yield the cells of the tables under a heading, but for the heads of the columns, which quote nothing."""
    text = document.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| (?=`)(.*) \|$", text, re.MULTILINE):
        yield line.split(" | ")


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def options() -> Iterator[tuple[str, Any]]:
    """Yield the name of a command and one of its options."""
    for program in PROGRAMS:
        for name, command in get_command(program.app).commands.items():
            for option in command.params:
                if option.param_type_name == "option" and option.name != "help":
                    yield name, option


def source() -> Iterator[ast.AST]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            yield from ast.walk(ast.parse(path.read_text()))


def test_every_option_of_which_more_is_said_is_one_and_none_is_said_twice() -> None:
    listed = [name for option, *_ in rows(SETTINGS, "Options") for name in quoted(option)]
    assert len(listed) == len(set(listed))
    assert set(listed) <= {name for _, option in options() for name in (*option.opts, *option.secondary_opts)}
    assert "--home" in listed


def test_every_setting_is_listed_with_its_default() -> None:
    listed = {quoted(name)[0]: quoted(default)[0] for name, default, _ in rows(SETTINGS, "Limits and times")}
    assert listed == {name: str(field.default) for name, field in Settings.model_fields.items()}


def test_every_variable_and_the_example_are_right() -> None:
    names = {option.name for _, option in options()} | set(Settings.model_fields)
    variables = {f"SEALCAST_{name.upper()}" for name in (*names, "debug", "passphrase")}
    assert set(re.findall(r"SEALCAST_\w+", SETTINGS)) <= variables
    # No option's: a program of ours that --exec starts would take it for its own.
    assert not [name for name in variables if name.startswith(VARIABLE)]
    constants = {str(node.value) for node in source() if isinstance(node, ast.Constant)} - {VARIABLE}
    assert {text for text in constants if re.fullmatch(r"SEALCAST_\w+", text)} <= variables
    (example,) = re.findall(r"```toml\n(.*?)```", SETTINGS, re.DOTALL)
    assert tomllib.loads(example).keys() <= names


def codes(node: ast.AST) -> set[str]:
    """Return what an argument or an attribute of a class with the name ``code`` can be, and what a ``…CODE`` is."""
    match node:
        case ast.keyword(arg="code", value=value):
            return {each.value for each in ast.walk(value) if isinstance(each, ast.Constant) and each.value}
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))) if (
            name == "code" or name.endswith("CODE")
        ):
            return {value}
    return set()


def test_every_code_is_listed() -> None:
    listed = {code for row in rows(PROTOCOL, "Codes") for code in quoted(row[0])}
    assert listed == set().union(*map(codes, source()))


def test_every_kind_of_entry_in_the_audit_log_is_listed_and_written() -> None:
    listed = {quoted(row[0])[0] for row in rows(AUDIT, "Entries")}
    arguments = [arg for node in source() if isinstance(node, ast.Call) for arg in node.args]
    written = {arg.value for arg in arguments if isinstance(arg, ast.Constant)}
    assert listed == set(get_args(Event))
    assert listed <= written


def test_every_kind_of_topic_is_looked_at() -> None:
    kinds = {topic.partition("/")[0] for row in rows(PROTOCOL, "Topics") for topic in quoted(row[0])}
    assert kinds > {"trust", "members", "requests", "replies", "images", "announcements"}
    assert [kind for kind in kinds if not re.search(rf"(`|sealcast/v1/){kind}/", DEBUGGING)] == []
