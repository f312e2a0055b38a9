"""Where the passphrase of a key comes from: a file, the environment, or the terminal; never the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from common.console import option
from common.errors import ConfigurationError
from common.files import read_private
from common.key_files import LONGEST_PASSPHRASE, missing_passphrase, no_passphrase

_VARIABLE = "SEALCAST_PASSPHRASE"
_SHORTEST = 15  # characters, as of a password: whoever has the file can guess for as long as they like

PassphraseFileOption = Annotated[
    Path | None, option("--passphrase-file", help="A file whose first line is the passphrase of the key.")
]

NewPassphraseFileOption = Annotated[
    Path | None, option("--new-passphrase-file", help="A file whose first line is the new passphrase.")
]
RemoveOption = Annotated[bool, option("--remove", help="Leave the key without a passphrase.")]


class Passphrases:
    """Gives the passphrase of key files: the first line of ``file``, else SEALCAST_PASSPHRASE, else what is typed.

    It is read once, when it is needed, for all files. Raises ConfigurationError without one.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        # Taken out, so that no program that is started from here gets it.
        self._variable = os.environ.pop(_VARIABLE, None)
        self._known: bytes | None = None

    def __call__(self, path: Path) -> bytes:
        """Return the passphrase of an encrypted file."""
        if self._known is None:
            given = self._given()
            if given is None and not sys.stdin.isatty():
                return no_passphrase(path)
            self._known = given or _check(_ask(f"Passphrase of {path}", confirm=False))
        return self._known

    def new(self, option: str = "--passphrase-file") -> bytes:
        """Return a passphrase to encrypt with; typed, it has to be typed twice. ``option`` names the file."""
        given = self._given()
        if given is None and not sys.stdin.isatty():
            raise missing_passphrase("there is no new passphrase", option)
        self._known = _check_new(given or _check(_ask("New passphrase", confirm=True)))
        return self._known

    def _given(self) -> bytes | None:
        if self._file is not None:
            return _read(self._file)
        return None if self._variable is None else _check(os.fsencode(self._variable))


def _read(file: Path) -> bytes:
    return _check(read_private(file).split(b"\n")[0].removesuffix(b"\r"))


def _ask(prompt: str, *, confirm: bool) -> bytes:
    return os.fsencode(str(typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)))


def _check(passphrase: bytes) -> bytes:
    if not passphrase:
        raise missing_passphrase("the passphrase is empty")
    if len(passphrase) > LONGEST_PASSPHRASE:
        raise ConfigurationError(
            f"the passphrase is longer than {LONGEST_PASSPHRASE:,} bytes",
            hint="use a shorter one; of a file the first line counts",
            code="passphrase_too_long",
        )
    return passphrase


def _check_new(passphrase: bytes) -> bytes:
    if len(passphrase.decode(errors="replace")) < _SHORTEST:
        raise ConfigurationError(
            f"the passphrase has fewer than {_SHORTEST} characters",
            hint="take a few words that nobody would put together",
            code="passphrase_too_short",
        )
    return passphrase
