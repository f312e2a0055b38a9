"""Asks before what cannot be undone."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from common.console import option
from common.errors import ConfigurationError

YesOption = Annotated[bool, option("--yes", help="Do it without asking.")]


def demand_user_name(user: str, *, yes: bool) -> None:
    """Have the name of the user typed whose account is to be deleted; raises ConfigurationError where it is not."""
    if yes:
        return
    _demand_terminal()
    if typer.prompt(f"This cannot be undone; to delete the account, type its name, {user}", err=True) != user:
        raise ConfigurationError(
            "that is another name", hint="type the user name to confirm; nothing was deleted", code="unconfirmed"
        )


def demand_consent(question: str, *, yes: bool) -> None:
    """Ask whether it is meant; raises ConfigurationError where it is not."""
    if yes:
        return
    _demand_terminal()
    if not typer.confirm(question, err=True):
        raise ConfigurationError(
            "it was not confirmed", hint="answer y, or give --yes; nothing was done", code="unconfirmed"
        )


def _demand_terminal() -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "there is no terminal to ask whether it is meant", hint="use --yes", code="unconfirmed"
        )
