"""The command that ends an account for good: delete."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING

from common import console
from common.confirming import YesOption, demand_user_name
from common.console import HomeOption, JsonOption, Printer, VerboseOption
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import load_settings
from registrar.account_commands import UserArgument  # noqa: TC001 - Typer reads the annotations at run time
from registrar.archive_commands import DatabaseOption, database_url
from registrar.authority import Authority
from registrar.crls import issue_when_due
from registrar.database import open_current
from registrar.deletions import Deletions
from registrar.revocations import Revocations

if TYPE_CHECKING:
    import typer


def add_deletion_commands(app: typer.Typer, default_home: Path) -> None:
    """Add delete to the program."""

    @app.command()
    def delete(
        user: UserArgument,
        *,
        yes: YesOption = False,
        database: DatabaseOption = None,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Delete an account with all that it owns, for good.

        Nobody gets the name again.
        """
        console.start_logging(verbose=verbose)
        authority = Authority.load(home, load_settings(home), Passphrases(passphrase_file))
        engine = open_current(database_url(home, database))
        revocations = Revocations(engine)
        demand_user_name(user, yes=yes)
        # First they meet, as for `revoke`.
        issue_when_due(authority, revocations, console.now())
        deletion = Deletions(engine).delete(user, console.now())
        issue_when_due(authority, revocations, console.now())
        Printer(as_json=json).event(
            f"deleted    {user}, {deletion.deleted_at:%Y-%m-%d %H:%M} UTC; images to be removed: {deletion.images}"
            + (", by a registrar that serves" if deletion.images else ""),
            event="deleted",
            user=user,
            deleted_at=deletion.deleted_at.isoformat(),
            images=deletion.images,
        )
