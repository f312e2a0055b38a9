"""The commands with which members decide about their own accounts: password."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import console
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
from common.identity import Identity
from common.member_commands import member_session
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from common.registrar_client import RegistrarClient

PasswordStdinOption = Annotated[bool, option("--password-stdin", help="Read the password from stdin.")]


def add_account_commands(app: typer.Typer, default_home: Path) -> None:
    """Add password to the program."""

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
        """Change your password: asks for the old one, then for the new one."""
        console.start_logging(verbose=verbose)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        old = console.read_password(from_stdin=password_stdin, prompt="Old password", confirm=False)
        new = console.read_password(from_stdin=password_stdin, prompt="New password", confirm=True)
        with _registrar(identity, Address(broker, port)) as registrar:
            changed = registrar.change_password(old, new)
        Printer(as_json=json).event(
            "the password is changed, and your devices stay logged in",
            event="password_changed",
            user=identity.user,
            changed_at=changed.changed_at.isoformat(),
        )


@contextlib.contextmanager
def _registrar(identity: Identity, door: Address) -> Iterator[RegistrarClient]:
    """Open a session at the members' door beside those of other programs."""
    settings = load_settings(identity.home)
    # The broker keeps the session for a while, so that a reply outlasts a lost connection.
    options = session_options(settings, expiry=settings.publisher_session_seconds, forgotten_on_leaving=True)
    with member_session(identity, door, identity.device.client_id("account", fresh=True), options) as (_, registrar):
        yield registrar
