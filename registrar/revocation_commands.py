"""The commands about who is a member no longer, or again: revoke, restore."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import console
from common.console import HomeOption, JsonOption, Printer, VerboseOption, option
from common.option_values import parse_fingerprint, parser
from common.passphrases import PassphraseFileOption, Passphrases
from common.revocation_lists import Reason
from common.settings import load_settings
from registrar.account_commands import UserArgument  # noqa: TC001 - Typer reads the annotations at run time
from registrar.archive_commands import DatabaseOption, database_url
from registrar.authority import Authority
from registrar.crls import issue_when_due
from registrar.database import open_current
from registrar.revocations import Revocations

if TYPE_CHECKING:
    import typer

DeviceOption = Annotated[
    str | None,
    option(
        "--device",
        help="Only the device with this fingerprint.",
        metavar="FINGERPRINT",
        parser=parser(parse_fingerprint),
    ),
]


def add_revocation_commands(app: typer.Typer, default_home: Path) -> None:
    """Add revoke and restore to the program."""

    @app.command()
    def revoke(
        user: UserArgument,
        *,
        device: DeviceOption = None,
        reason: Annotated[Reason, option("--reason", metavar=None, help="Why.")] = Reason.PRIVILEGE_WITHDRAWN,
        database: DatabaseOption = None,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Shut a member out, or one device of a member.

        It holds at once, wherever it is connected. What was posted stays.
        """
        console.start_logging(verbose=verbose)
        authority = Authority.load(home, load_settings(home), Passphrases(passphrase_file))
        revocations = Revocations(open_current(database_url(home, database)))
        # First they meet, so that the number of what comes is another than that of the list at hand.
        issue_when_due(authority, revocations, console.now())
        revoked = revocations.revoke(user, reason, console.now(), fingerprint=device)
        # A registrar that serves follows the database; without one this is all that can be done.
        issue_when_due(authority, revocations, console.now())
        whole = "and all devices" if device is None else f"device {device}"
        Printer(as_json=json).event(
            f"revoked    {user}, {whole}: {reason}",
            event="revoked",
            user=user,
            device=device,
            reason=reason,
            certificates=revoked,
        )

    @app.command()
    def restore(
        user: UserArgument,
        *,
        device: DeviceOption = None,
        database: DatabaseOption = None,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Let a revoked member in again.

        Devices that were on hold go on; others log in anew, with the password.
        """
        console.start_logging(verbose=verbose)
        authority = Authority.load(home, load_settings(home), Passphrases(passphrase_file))
        revocations = Revocations(open_current(database_url(home, database)))
        issue_when_due(authority, revocations, console.now())
        freed = revocations.restore(user, console.now(), fingerprint=device)
        issue_when_due(authority, revocations, console.now())
        Printer(as_json=json).event(
            f"restored   {user}; certificates that were on hold: {len(freed)}; other devices log in anew",
            event="restored",
            user=user,
            device=device,
            certificates=freed,
        )
