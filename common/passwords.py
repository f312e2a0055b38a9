"""Passwords that are typed in a terminal or come from stdin."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

import typer

from common import console
from common.errors import ConfigurationError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

_MAY_NOT_BE_SET = {"password_common", "password_too_long", "password_too_short"}
_Result = TypeVar("_Result")


def use_password(
    use: Callable[[str], _Result], *, from_stdin: bool, prompt: str = "Password", confirm: bool
) -> _Result:
    """Return what ``use`` returns for the password that is read.

    In a terminal, one that the registrar does not let be set is asked for again. Raises as ``read_password`` and
    ``use`` do.
    """
    while True:
        password = read_password(from_stdin=from_stdin, prompt=prompt, confirm=confirm)
        try:
            return use(password)
        except RefusedError as error:
            if from_stdin or error.code not in _MAY_NOT_BE_SET:
                raise
            console.fail(error)


def read_password(*, from_stdin: bool, prompt: str, confirm: bool) -> str:
    """Return a secret from the terminal, or the next line of stdin; raises ConfigurationError without one."""
    what = prompt.lower()
    try:
        if from_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        elif sys.stdin.isatty():
            password = str(typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))
        else:
            raise ConfigurationError(
                f"there is no terminal to ask for the {what}", hint="use --password-stdin", code="no_password"
            )
        password.encode()
    except UnicodeError as error:
        raise ConfigurationError(
            f"the {what} is not UTF-8", hint="set the terminal's, or the file's, encoding to UTF-8", code="no_password"
        ) from error
    if not password:
        raise ConfigurationError(f"the {what} is empty", hint="give one line on stdin", code="no_password")
    return password
