"""The options that may stand before a command as well as behind it, and are needed before the command line is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

_GLOBAL_OPTIONS = {"--home": 2, "--json": 1, "--verbose": 1}  # how many words each takes


class Program(TyperGroup):
    """The commands of a program, also while a shell asks how to complete one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own type is private
        """Read what stands before the command, with our own options behind it."""
        return super().parse_args(ctx, move_global_options(args))


def move_global_options(arguments: list[str]) -> list[str]:
    """Return the arguments with --home, --json and --verbose behind the command's name: they may stand anywhere."""
    moved: list[str] = []
    rest = list(arguments)
    while rest and (width := _GLOBAL_OPTIONS.get(rest[0].split("=")[0])):
        width = 1 if "=" in rest[0] else width
        moved, rest = moved + rest[:width], rest[width:]
    has_command = rest and not rest[0].startswith("-")
    return rest[:1] + moved + rest[1:] if has_command else rest


def home_among(arguments: list[str]) -> Path | None:
    """Return the folder that --home or SEALCAST_HOME names."""
    for index, argument in enumerate(arguments):
        if argument == "--home":
            return Path(*arguments[index + 1 : index + 2])
        if argument.startswith("--home="):
            return Path(argument.removeprefix("--home="))
    named = os.environ.get("SEALCAST_HOME")
    return Path(named) if named else None
