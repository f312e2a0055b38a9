from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from common import console
from common.console import HomeOption, JsonOption, Printer, VerboseOption, option
from common.errors import RefusedError
from common.member_commands import SHARED_OPTIONS
from publisher.__main__ import app as publisher
from subscriber.__main__ import app as subscriber

app = console.make_app("A program for tests.", "sample")


@app.command()
def show(
    words: Annotated[list[str] | None, typer.Argument()] = None,
    *,
    name: Annotated[str, option("--name", help="A name.")] = "default",
    number: Annotated[int, option("--number", help="A number.", min=1)] = 1,
    several: Annotated[list[str] | None, option("--several", help="Some.")] = None,
    home: HomeOption = Path("/default"),
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    Printer(as_json=True).event(
        None, words=words, name=name, number=number, several=several, home=home, json=json, verbose=verbose
    )


@app.command()
def fail(kind: str) -> None:
    raise {
        "ours": RefusedError("it is refused", hint="ask again", code="refused"),
        "without a hint": RefusedError("it is refused"),
        "fault": ZeroDivisionError("by zero"),
        "interrupt": KeyboardInterrupt(),
        "file": PermissionError(13, "Permission denied", "/some/file"),
        "pipe": BrokenPipeError(),
    }[kind]


class Cli:
    """Runs the sample program in this process."""

    def __init__(self, captured: pytest.CaptureFixture[str], home: Path) -> None:
        self._captured = captured
        self.home = home

    def run(self, *arguments: str, app: typer.Typer = app) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        with pytest.raises(SystemExit) as ended:
            console.run(app, "sample", arguments, shared_options=frozenset({"shared"}))
        out, err = self._captured.readouterr()
        return int(ended.value.code or 0), out, err

    def show(self, *arguments: str) -> dict[str, object]:
        code, out, err = self.run(*arguments)
        assert (code, err) == (0, "")
        return dict(json.loads(out))

    def refused(self, *arguments: str) -> list[str]:
        code, out, err = self.run(*arguments)
        assert out == ""
        return [str(code), *err.splitlines()]

    def settings(self, text: str) -> None:
        (self.home / "settings.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in [name for name in os.environ if name.startswith("SEALCAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SEALCAST_HOME", str(tmp_path))
    # What closes a broken output would close pytest's.
    monkeypatch.setattr(console, "_silence_stdout", lambda: None)
    return Cli(capsys, tmp_path)


# Where options come from


def test_the_command_line_wins_then_the_environment_then_the_settings(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [cli.show("show")["name"]]
    cli.settings('name = "settings"')
    seen.append(cli.show("show")["name"])
    monkeypatch.setenv("SEALCAST_NAME", "environment")
    seen.append(cli.show("show")["name"])
    seen.append(cli.show("show", "--name", "command line")["name"])
    assert seen == ["default", "settings", "environment", "command line"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "word", "--home", "{}", "--json", "--verbose"],
        ["--home", "{}", "--json", "--verbose", "show", "word"],
        ["--verbose", "--home={}", "show", "--json", "word"],
        ["--json", "show", "--home={}", "word", "--verbose"],
    ],
)
def test_global_options_stand_before_or_behind_the_command(cli: Cli, tmp_path: Path, arguments: list[str]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "settings.toml").write_text('name = "of the other"')
    shown = cli.show(*(argument.format(other) for argument in arguments))
    assert (shown["home"], shown["json"], shown["verbose"]) == (str(other), True, True)
    assert (shown["words"], shown["name"]) == (["word"], "of the other")


def test_what_may_be_repeated_comes_as_one_or_several(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.show("show", "--several", "a", "--several", "b")["several"] == ["a", "b"]
    cli.settings('several = "one"')
    assert cli.show("show")["several"] == ["one"]
    cli.settings('several = ["a", "b"]')
    assert cli.show("show")["several"] == ["a", "b"]
    monkeypatch.setenv("SEALCAST_SEVERAL", "c d")
    assert cli.show("show")["several"] == ["c", "d"]


def test_only_options_come_from_the_settings_and_other_programs_may_stand_there(cli: Cli) -> None:
    cli.settings('shared = 1\ncrl_days = 7\nname = "it is"\n')
    shown = cli.show("show")
    assert (shown["name"], shown["number"]) == ("it is", 1)


@pytest.mark.parametrize("key", ["nmae", "words", "home", "[show]"])
def test_an_unknown_setting_is_refused(cli: Cli, key: str) -> None:
    cli.settings(key if key.startswith("[") else f'{key} = "x"')
    said = cli.refused("show")
    assert said == [
        "1",
        f"error: {cli.home / 'settings.toml'} has an unknown setting: {key.strip('[]')}",
        "hint: mend the name, remove the line, or give another folder with --home",
    ]


def test_help_and_version_need_no_sound_settings(cli: Cli) -> None:
    cli.settings("no TOML")
    assert cli.refused("show")[0] == "1"
    for arguments in (["--help"], ["--version"], ["show", "--help"], ["--json", "--help"]):
        code, out, err = cli.run(*arguments)
        assert (code, err) == (0, "")
        assert "sample" in out


def test_publisher_and_subscriber_know_each_other_s_options() -> None:
    options = [
        {
            parameter.name
            for command in get_command(app).commands.values()  # type: ignore[attr-defined]  # Typer's are groups
            for parameter in command.params
            if parameter.param_type_name == "option"
        }
        for app in (publisher, subscriber)
    ]
    assert options[0] ^ options[1] <= SHARED_OPTIONS
    assert options[0] | options[1] >= SHARED_OPTIONS


# How a command ends


def test_a_refusal_is_an_error_and_a_hint(cli: Cli) -> None:
    assert cli.refused("fail", "ours") == ["1", "error: it is refused", "hint: ask again"]
    assert cli.refused("fail", "without a hint") == ["1", "error: it is refused"]
    assert cli.refused("fail", "interrupt")[:2] == ["1", "error: interrupted"]
    assert cli.refused("fail", "pipe") == ["1"]
    assert cli.refused("fail", "file") == [
        "1",
        "error: cannot use /some/file: permission denied",
        "hint: make room, or mend permissions",
    ]


def test_a_fault_of_ours_is_named_as_one_and_shown_to_developers(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    code, error, hint = cli.refused("fail", "fault")
    assert (code, error) == ("1", "error: unexpected ZeroDivisionError: by zero")
    assert "SEALCAST_DEBUG=1" in hint
    monkeypatch.setenv("SEALCAST_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        console.run(app, "sample", ["fail", "fault"])


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ([], "missing command", "see sample --help"),
        (["--json"], "missing command", "see sample --help"),
        (["dance"], "no such command 'dance'", "see sample --help"),
        (["--dance"], "no such option: --dance", "see sample --help"),
        (["show", "--name"], "option '--name' requires an argument", "see sample show --help"),
        (["--json", "show", "--name"], "option '--name' requires an argument", "see sample show --help"),
        (["show", "--dance"], "no such option: --dance", "see sample show --help"),
        (["fail"], "missing argument 'kind'", "see sample fail --help"),
        (["fail", "ours", "more"], "got unexpected extra argument(s) (more)", "see sample fail --help"),
    ],
)
def test_wrong_usage_has_an_exit_code_of_its_own(cli: Cli, arguments: list[str], error: str, hint: str) -> None:
    code, said, advice = cli.refused(*arguments)
    assert code == "2"
    assert said.startswith(f"error: {error.split('(', maxsplit=1)[0]}")
    assert advice == f"hint: {hint}"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("command line", ""),
        ("environment", "; the value comes from the environment"),
        ("settings", "; the value comes from settings.toml"),
    ],
)
def test_a_value_that_does_not_fit_is_wrong_usage_wherever_it_comes_from(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, source: str, told: str
) -> None:
    if source == "environment":
        monkeypatch.setenv("SEALCAST_NUMBER", "many")
    elif source == "settings":
        cli.settings('number = "many"')
    code, error, hint = cli.refused("show", *(["--number", "many"] if source == "command line" else []))
    assert code == "2"
    assert error.startswith(
        "error: invalid value for '--number' (env var: 'SEALCAST_NUMBER'): it should be a valid integer"
    )
    assert hint == f"hint: see sample show --help{told}"
