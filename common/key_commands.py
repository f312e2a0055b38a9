"""The commands for a device's own key, which publisher and subscriber share: its size, and passphrase."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import console
from common.console import HomeOption, JsonOption, Printer, VerboseOption, option
from common.device import KEY, Device
from common.option_values import check_key_size, parser
from common.passphrases import NewPassphraseFileOption, PassphraseFileOption, Passphrases, RemoveOption

if TYPE_CHECKING:
    import typer

KeySizeOption = Annotated[
    int,
    option(
        "--key-size", metavar="BITS", help="RSA bits of a new key: 2048, 3072 or 4096.", callback=parser(check_key_size)
    ),
]


def add_key_commands(app: typer.Typer, default_home: Path) -> None:
    """Add passphrase to a program."""

    @app.command()
    def passphrase(
        *,
        new_passphrase_file: NewPassphraseFileOption = None,
        remove: RemoveOption = False,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Encrypt this device's key with a new passphrase.

        It takes the place of today's, if there is one.
        """
        console.start_logging(verbose=verbose)
        device = Device.load(home, Passphrases(passphrase_file))
        device.encrypt(None if remove else Passphrases(new_passphrase_file).new("--new-passphrase-file"))
        line = f"{home / KEY} is {'not encrypted any more' if remove else 'encrypted with the new passphrase'}"
        Printer(as_json=json).event(line, event="passphrase", encrypted=not remove)
