"""The commands with which members decide about their own accounts: password, delete-account."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import console, messages
from common.confirming import YesOption, demand_user_name
from common.connection import Address, session_options
from common.console import (
    DEFAULT_BROKER,
    DEFAULT_PORT,
    BrokerOption,
    HomeOption,
    JsonOption,
    PortOption,
    Printer,
    VerboseOption,
    option,
)
from common.errors import SessionError
from common.identity import Identity
from common.member_commands import member_session
from common.passphrases import PassphraseFileOption, Passphrases
from common.passwords import read_password, use_password
from common.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from common.registrar_client import RegistrarClient

PasswordStdinOption = Annotated[bool, option("--password-stdin", help="Read the password from stdin.")]


def add_account_commands(app: typer.Typer, default_home: Path) -> None:
    """Add password and delete-account to the program."""

    @app.command()
    def password(
        *,
        password_stdin: PasswordStdinOption = False,
        passphrase_file: PassphraseFileOption = None,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Change your password.

        Asks for the old one, then for the new one.
        """
        console.start_logging(verbose=verbose)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        old = read_password(from_stdin=password_stdin, prompt="Old password", confirm=False)

        def change_to(new: str) -> messages.PasswordResult:
            with reach_registrar(identity, Address(broker, port)) as registrar:
                return registrar.change_password(old, new)

        changed = use_password(change_to, from_stdin=password_stdin, prompt="New password", confirm=True)
        Printer(as_json=json).event(
            "the password is changed, and your devices stay logged in",
            event="password_changed",
            user=identity.user,
            changed_at=changed.changed_at.isoformat(),
        )

    @app.command("delete-account")
    def delete_account(
        *,
        yes: YesOption = False,
        password_stdin: PasswordStdinOption = False,
        passphrase_file: PassphraseFileOption = None,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Delete your account and all that you have posted.

        It is gone on all devices, for good, and nobody gets the name again.
        """
        console.start_logging(verbose=verbose)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        demand_user_name(identity.user, yes=yes)
        secret = read_password(from_stdin=password_stdin, prompt="Password", confirm=False)
        with reach_registrar(identity, Address(broker, port)) as registrar:
            deleted = _delete(registrar, secret)
        Printer(as_json=json).event(
            f"deleted    {identity.user}; images to be removed: {deleted.images}\n"
            f"The identity in {identity.home.absolute()} is of no use any more. Nothing was deleted on this device, "
            "and the pictures that you and others have saved stay where they are.",
            event="deleted",
            user=identity.user,
            deleted_at=deleted.deleted_at.isoformat(),
            images=deleted.images,
        )


def _delete(registrar: RegistrarClient, password: str) -> messages.DeleteResult:
    try:
        return registrar.delete_account(password)
    except SessionError as error:
        # It may have been done: then the registrar answers this device no more.
        hint = "the account may be deleted all the same: then this device is let in no more, and logging in fails"
        raise SessionError(error.message, hint=hint, code=error.code) from error


@contextlib.contextmanager
def reach_registrar(identity: Identity, door: Address) -> Iterator[RegistrarClient]:
    """Open a session at the members' door beside those of other programs."""
    settings = load_settings(identity.home)
    # The broker keeps the session for a while, so that a reply outlasts a lost connection.
    options = session_options(settings, expiry=settings.publisher_session_seconds, forgotten_on_leaving=True)
    with member_session(identity, door, identity.device.client_id("account", fresh=True), options) as (_, registrar):
        yield registrar
