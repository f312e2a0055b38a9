"""The commands about who is, becomes and stays a member: invite, invitations, reset."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - Typer reads the annotations at run time
import sys
from pathlib import Path  # noqa: TC003 - the same
from typing import Annotated

import typer

from common import certificates, console, topics
from common.console import (
    DEFAULT_BROKER,
    DEFAULT_ENROL_PORT,
    DEFAULT_PORT,
    BrokerOption,
    EnrolPortOption,
    HomeOption,
    JsonOption,
    PortOption,
    Printer,
    VerboseOption,
    examples,
    option,
)
from common.errors import ConfigurationError
from common.invitation import CODE_BYTES, INVITATION_BYTES, Invitation, new_token, show_code
from common.option_values import parse_lifetime, parser
from common.settings import load_settings
from registrar.accounts import Accounts
from registrar.archive_commands import DatabaseOption, database_url
from registrar.authority import BROKER, read_root
from registrar.authority_files import read_certificates
from registrar.database import open_current
from registrar.host_names import doubt
from registrar.qr import draw
from registrar.tokens import Tokens

UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="The user name.", parser=parser(topics.check_user_name))
]


def expires_option(help: str) -> object:  # noqa: A002 - Typer's own word
    """Return the option for how long a token is open."""
    return option("--expires", help=help, metavar="LIFETIME", parser=parser(parse_lifetime))


def add_account_commands(app: typer.Typer, default_home: Path) -> None:
    """Add invite, invitations and reset to the program."""

    @app.command(epilog=examples("registrar invite --user carol --broker images.example.org"))
    def invite(
        *,
        user: Annotated[
            str | None, option("--user", help="For this user name only.", parser=parser(topics.check_user_name))
        ] = None,
        expires: Annotated[dt.timedelta, expires_option("For how long it can be used, as 12h or 7d.")] = "7d",  # type: ignore[assignment] # Typer parses it
        qr: Annotated[bool, option("--qr", help="Draw a QR code, also where stdout is no terminal.")] = False,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        enrol_port: EnrolPortOption = DEFAULT_ENROL_PORT,
        database: DatabaseOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Invite somebody to register, once.

        Prints the line that `subscriber register --invite` needs, and nothing besides.
        """
        console.start_logging(verbose=verbose)
        settings = load_settings(home)
        pin = certificates.fingerprint(read_root(home))
        if (doubted := doubt(broker, read_certificates(home / BROKER)[0])) is not None:
            console.fail(doubted, kind="warning")
        if settings.registration == "closed":
            raise ConfigurationError(
                "the registrar is closed, so nobody could use an invitation",
                hint="set registration to invitation or open, and start the registrar again",
                code="registration_closed",
            )
        line = Invitation(broker, port, enrol_port, pin, token := new_token(INVITATION_BYTES)).line()
        now = console.now()
        tokens = Tokens(open_current(database_url(home, database)))
        identifier = tokens.add_invitation(token, user, now=now, expires_at=now + expires)
        Printer(as_json=json).event(
            line,
            event="invitation",
            id=identifier,
            invitation=line,
            user=user,
            expires_at=(now + expires).isoformat(),
        )
        if not json and (qr or sys.stdout.isatty()):
            print(draw(line), flush=True)  # noqa: T201 - it is for the same eyes as the line

    @app.command()
    def invitations(
        *,
        withdraw: Annotated[
            str | None, option("--withdraw", metavar="ID", help="Close the invitation with this id.")
        ] = None,
        database: DatabaseOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """List the invitations that are open, or withdraw one.

        What an invitation says is not kept.
        """
        console.start_logging(verbose=verbose)
        read_root(home)
        printer = Printer(as_json=json)
        tokens = Tokens(open_current(database_url(home, database)))
        if withdraw is not None:
            tokens.withdraw(withdraw, console.now())
            printer.event(f"withdrawn  {withdraw}", event="withdrawn", id=withdraw)
            return
        for one in tokens.invitations(console.now()):
            printer.event(
                f"{one.id}  for {one.user or 'anybody':32}  until {one.expires_at:%Y-%m-%d %H:%M} UTC",
                event="invitation",
                id=one.id,
                user=one.user,
                created_at=one.created_at.isoformat(),
                expires_at=one.expires_at.isoformat(),
            )

    @app.command()
    def reset(
        user: UserArgument,
        *,
        expires: Annotated[dt.timedelta, expires_option("For how long the code can be used, as 12h or 7d.")] = "24h",  # type: ignore[assignment] # the same
        lock: Annotated[bool, option("--lock", help="Have the old password let nobody in from now on.")] = False,
        database: DatabaseOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Let a member set a new password, once.

        Prints a code for `publisher register USER --code CODE`.
        """
        console.start_logging(verbose=verbose)
        read_root(home)
        now, token = console.now(), new_token(CODE_BYTES)
        accounts = Accounts(open_current(database_url(home, database)))
        accounts.add_reset_code(user, token, now=now, expires_at=now + expires, lock=lock)
        Printer(as_json=json).event(
            show_code(token),
            event="reset",
            user=user,
            code=show_code(token),
            expires_at=(now + expires).isoformat(),
        )
