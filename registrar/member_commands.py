"""The command that lists who is a member, and with which devices."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from common import console, topics
from common.certificates import key_fingerprint, read_certificate
from common.console import HomeOption, JsonOption, Printer, VerboseOption
from common.option_values import parser
from common.words import spoken
from registrar.accounts import Accounts
from registrar.archive_commands import DatabaseOption, database_url
from registrar.authority import read_root
from registrar.database import open_current

if TYPE_CHECKING:
    import datetime as dt

    from registrar.accounts import Member, MemberDevice


def add_member_commands(app: typer.Typer, default_home: Path) -> None:
    """Add members to the program."""

    @app.command()
    def members(
        user: Annotated[
            str | None,
            typer.Argument(
                metavar="USER", help="List the devices of this user.", parser=parser(topics.check_user_name)
            ),
        ] = None,
        *,
        database: DatabaseOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """List the members, or the devices of one."""
        console.start_logging(verbose=verbose)
        read_root(home)
        printer = Printer(as_json=json)
        accounts, now = Accounts(open_current(database_url(home, database))), console.now()
        if user is None:
            for member in accounts.members(now):
                _show_member(printer, member)
            return
        for device in accounts.devices(user):
            _show_device(printer, user, device, now)


def _show_member(printer: Printer, member: Member) -> None:
    end = f"  revoked {_day_and_time(member.revoked_at)}" if member.revoked_at else ""
    printer.event(
        f"{member.user:32}  devices {member.devices:3}  since {_day_and_time(member.created_at)}{end}",
        event="member",
        user=member.user,
        devices=member.devices,
        created_at=member.created_at.isoformat(),
        revoked_at=member.revoked_at and member.revoked_at.isoformat(),
    )


def _show_device(printer: Printer, user: str, device: MemberDevice, now: dt.datetime) -> None:
    if device.revoked_at is not None:
        standing = f"revoked {_day_and_time(device.revoked_at)}"
    else:
        standing = f"{'until' if now < device.expires_at else 'expired'} {_day_and_time(device.expires_at)}"
    words = spoken(key_fingerprint(read_certificate(device.pem)))
    printer.event(
        f"{device.fingerprint}  {standing}  {words}",
        event="device",
        user=user,
        fingerprint=device.fingerprint,
        words=words,
        issued_at=device.issued_at.isoformat(),
        expires_at=device.expires_at.isoformat(),
        revoked_at=device.revoked_at and device.revoked_at.isoformat(),
    )


def _day_and_time(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
