"""The command line's side of everything: global options, settings.toml, JSON lines, ``error:`` and ``hint:``.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage. A person never sees a traceback; with SEALCAST_DEBUG=1 a
developer does.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import logging
import os
import signal
import sys
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import platformdirs
import typer
from typer.exceptions import TyperException
from typer.main import get_command

from common import completion
from common.errors import ConfigurationError, SealcastError
from common.files import reason, write_private
from common.global_options import Program, home_among, move_global_options
from common.settings import SETTINGS_FILE, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from common.completion import Known

FAILED, WRONG_USAGE = 1, 2
_SOURCES = {"ENVIRONMENT": "the environment", "DEFAULT_MAP": SETTINGS_FILE}  # besides the command line
_INTERRUPTED = 130  # what Typer makes of a KeyboardInterrupt
_HELP = frozenset({"--help", "--version"})


def option(*names: str, help: str, **details: Any) -> Any:  # noqa: A002, ANN401 - Typer's own words and types
    """Return a Typer option that can also come from ``SEALCAST_<NAME>``; its value is called as the last word is."""
    details.setdefault("metavar", names[0].rpartition("-")[2].upper())
    variable = "SEALCAST_" + names[0].split("/")[0].lstrip("-").replace("-", "_").upper()
    return typer.Option(*names, help=help, envvar=variable, **details)


def examples(*commands: str) -> str:
    """Return what --help says below the options: commands as one would type them."""
    return "\n".join(["\b", "For example:", *(f"  $ {command}" for command in commands)])


HomeOption = Annotated[Path, option("--home", metavar="FOLDER", help="The identity's folder, or the registrar's.")]
JsonOption = Annotated[bool, option("--json", help="Print one JSON object a line.")]
VerboseOption = Annotated[bool, option("--verbose", help="Log what is going on to stderr.")]
BrokerOption = Annotated[str, option("--broker", metavar="HOST", help="The broker's host name or address.")]
PortOption = Annotated[int, option("--port", help="The broker's port for members.", min=1, max=65535)]
EnrolPortOption = Annotated[int, option("--enrol-port", help="The broker's port for who registers.", min=1, max=65535)]
DEFAULT_BROKER, DEFAULT_PORT, DEFAULT_ENROL_PORT = "localhost", 8883, 8884


def now() -> dt.datetime:
    """Return the time, aware, in UTC: the programs' one clock."""
    return dt.datetime.now(dt.UTC)


class Printer:
    """Prints what happens: a line for people, or with ``as_json`` one JSON object a line and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._lock = threading.Lock()

    def event(self, line: str | None, **members: object) -> None:
        """Print ``members`` as JSON, or ``line`` for people (None: nothing)."""
        text = json.dumps(members, default=str) if self._as_json else line
        if text is not None:
            with self._lock:
                # A file's name need not be UTF-8; that must not keep the rest of the line from being said.
                print(text.encode(errors="backslashreplace").decode(), flush=True)  # noqa: T201 - where programs print

    def remark(self, line: str) -> None:
        """Tell people that there is nothing to show; to a script, no line says so."""
        if not self._as_json:
            self.event(line)


class Stop:
    """Turns SIGTERM and SIGINT into a flag, so that a daemon finishes what it holds and exits 0."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; return whether the daemon was asked to stop."""
        return self._event.wait(timeout)


def make_app(summary: str, program: str) -> typer.Typer:
    """Return the Typer application of a program, with --version."""
    app = typer.Typer(name=program, cls=Program, help=summary, pretty_exceptions_enable=False, rich_markup_mode=None)

    def show_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it so
        if wanted:
            from importlib.metadata import version  # noqa: PLC0415 - 20 ms that no other command needs

            typer.echo(f"{program} {version('sealcast')}")
            raise typer.Exit

    flag = typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")

    # The name has an underscore, so that no command can have it: settings for commands are found by their names.
    def options(*, show_version_only: bool = False) -> None:
        """Take what stands before the command."""

    # Set here, since Typer could not find this function's names in an annotation that is a string.
    options.__annotations__["show_version_only"] = Annotated[bool, flag]
    app.callback()(options)
    return app


def run(
    app: typer.Typer,
    program: str,
    arguments: Sequence[str] | None = None,
    *,
    shared_options: frozenset[str] = frozenset(),
    known: Known | None = None,
) -> NoReturn:
    """Run a program's command line and exit with 0, 1 or 2.

    ``shared_options`` are those of other programs in the same settings.toml, ``known`` is what the shell may offer.
    """
    # What has been imported stays: not looking through it again saves a short command 40 ms at its end (measured).
    gc.freeze()
    if completion.is_asked(program):
        completion.answer(app, program, known or {})
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_run(app, program, given, shared_options))
    except SealcastError as error:
        sys.exit(fail(error))
    except TyperException as error:
        sys.exit(fail(_wrong_usage(error, program, given), WRONG_USAGE))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(fail(SealcastError("interrupted", hint="run the command again; what was done stays done")))
    except BrokenPipeError:
        # Whoever read our output is gone.
        _silence_stdout()
        sys.exit(FAILED)
    except Exception as error:
        if os.environ.get("SEALCAST_DEBUG"):
            raise
        if isinstance(error, OSError):
            _silence_stdout()
            what = error.filename or "stdout"
            sys.exit(fail(SealcastError(f"cannot use {what}: {reason(error)}", hint="make room, or mend permissions")))
        unexpected = SealcastError(
            f"unexpected {type(error).__name__}: {error}",
            hint="report this fault of Sealcast with what SEALCAST_DEBUG=1 shows",
        )
        sys.exit(fail(unexpected))


def fail(error: SealcastError, exit_code: int = FAILED, *, kind: str = "error") -> int:
    """Print the ``error:`` or ``warning:`` line and, if there is one, the ``hint:`` line; return the exit code."""
    print(f"{kind}: {error.message}", file=sys.stderr)  # noqa: T201 - this is where the programs print
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)  # noqa: T201 - the same
    return exit_code


def start_logging(*, verbose: bool) -> None:
    """Send the log to stderr: warnings, or with ``verbose`` everything that is worth a line."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def remember(home: Path, **values: str | int) -> None:
    """Keep settings in the folder's settings.toml; what else stands there stays as it is."""
    path = home / SETTINGS_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if line.split("=")[0].strip() not in values]
    ours = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    write_private(path, "\n".join([*ours, *kept, ""]).encode())


def _run(app: typer.Typer, program: str, given: list[str], shared_options: frozenset[str]) -> int:
    command = get_command(app)
    repeatable = {
        name: {option.name: option.multiple for option in each.params if option.param_type_name == "option"}
        for name, each in getattr(command, "commands", {}).items()
    }
    defaults = {}
    if _HELP.isdisjoint(given):
        known = shared_options.union(Settings.model_fields, *repeatable.values()) - {"home"}
        settings = _read_settings(home_among(given) or default_home(program), known)
        defaults = {name: _as_defaults(settings, options) for name, options in repeatable.items()}
    result = command.main(given, prog_name=program, standalone_mode=False, default_map=defaults)
    if result == _INTERRUPTED:
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _as_defaults(settings: dict[str, Any], repeatable: dict[str, bool]) -> dict[str, Any]:
    """Return what the settings say about a command's options; one value will do where there may be several."""
    return {
        name: [value] if repeatable[name] and not isinstance(value, list) else value
        for name, value in settings.items()
        if name in repeatable and (repeatable[name] or not isinstance(value, list))
    }


def default_home(program: str) -> Path:
    """Return the platform's folder for the registrar, or for the member's identity that the other two share."""
    return platformdirs.user_data_path("sealcast") / ("registrar" if program == "registrar" else "member")


def _read_settings(home: Path, known: frozenset[str]) -> dict[str, Any]:
    path = home / SETTINGS_FILE
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {reason(error)}", hint="mend its permissions, or give another folder with --home"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}", hint="mend the line, or remove the file") from error
    if unknown := settings.keys() - known:
        raise ConfigurationError(
            f"{path} has an unknown setting: {min(unknown)}",
            hint="mend the name, remove the line, or give another folder with --home",
        )
    return settings


def _wrong_usage(error: TyperException, program: str, given: list[str]) -> ConfigurationError:
    message = " ".join(error.format_message().split()).removesuffix(".")
    # What a value should be, Typer says in the words of pydantic.
    message = message.replace(": Value error, ", ": ").replace(": Input should ", ": it should ")
    context = getattr(error, "ctx", None)
    # An option without its value has no context; it is one of the command's, which comes first then.
    words = [program, *(word for word in move_global_options(given)[:1] if not word.startswith("-"))]
    hint = f"see {context.command_path if context else ' '.join(words)} --help"
    if (ours := getattr(error.__cause__, "hint", None)) is not None:
        hint = f"{ours}; {hint}"
    parameter = getattr(error, "param", None)
    source = context.get_parameter_source(parameter.name) if context and parameter else None
    if source is not None and source.name in _SOURCES:
        hint += f"; the value comes from {_SOURCES[source.name]}"
    return ConfigurationError(message[:1].lower() + message[1:], hint=hint)


def _silence_stdout() -> None:
    # The interpreter's own flush at exit would fail once more, and complain about it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
