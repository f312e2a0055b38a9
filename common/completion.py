"""What a shell offers when Tab is pressed: from files of this device alone, and silent where that fails.

zsh evaluates what it is offered, and Typer leaves a backslash in it as it is. So of texts that others have written only
characters are left that mean nothing to any shell.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Kind = Literal["images", "people", "channels"]
# Of the identity in a folder: each value, and a few words about it, the likeliest first.
Known = dict[Kind, "Callable[[Path], Iterable[tuple[str, str]]]"]
_MOST, _LONGEST = 200, 60
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,/_-]")


def offering(kind: Kind) -> Callable[[typer.Context, str], list[tuple[str, str]]]:
    """Return what offers the values of this kind that the program knows, for Typer's ``autocompletion``."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        known: Mapping[str, Callable[[Path], Iterable[tuple[str, str]]]] = ctx.find_root().obj or {}
        if kind not in known:
            return []
        fitting = (
            (value, _NOT_PLAIN.sub("_", words)[:_LONGEST])
            for value, words in known[kind](Path(ctx.params["home"]))
            if value.startswith(incomplete) and not _NOT_PLAIN.search(value)
        )
        return list(itertools.islice(dict(fitting).items(), _MOST))

    return complete


def is_asked(program: str) -> bool:
    """Tell whether a shell asks what it could offer, or for the script with which it will."""
    return _variable(program) in os.environ


def answer(app: typer.Typer, program: str, known: Known) -> NoReturn:
    """Answer the shell and exit."""
    # Whatever is wrong is said by the command itself, not between the words of the one that is being typed.
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
        typer.main.get_command(app).main([], prog_name=program, complete_var=_variable(program), obj=known)
    sys.exit(0)


def _variable(program: str) -> str:
    return f"_{program.upper()}_COMPLETE"
