"""The command about what has happened: audit."""

from __future__ import annotations

import json as json_text
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import console, topics
from common.console import HomeOption, JsonOption, Printer, Stop, VerboseOption, option
from common.display import is_displayable
from common.option_values import parser
from registrar.archive_commands import DatabaseOption, database_url
from registrar.audit import AuditLog, Entry, Event, Head, altered
from registrar.audit_head import read_head
from registrar.authority import REGISTRAR, read_root
from registrar.authority_files import read_certificate
from registrar.database import open_current

if TYPE_CHECKING:
    import typer

    from common.messages import AuditHead

_LOOK_SECONDS = 1.0


def add_audit_commands(app: typer.Typer, default_home: Path) -> None:
    """Add audit to the program."""

    @app.command()
    def audit(
        *,
        verify: Annotated[bool, option("--verify", help="Check that no entry was changed, and list none.")] = False,
        head: Annotated[
            Path | None,
            option("--head", metavar="FILE", help="Verify also that the log still has this signed head, a file."),
        ] = None,
        follow: Annotated[bool, option("--follow", help="Go on with what happens from now on.")] = False,
        user: Annotated[
            str | None, option("--user", help="Only about this user.", parser=parser(topics.check_user_name))
        ] = None,
        event: Annotated[
            Event | None,
            option("--event", metavar=None, help="Only what happened in this way, as registered or released."),
        ] = None,
        database: DatabaseOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """List what has happened, or verify that list.

        It tells of accounts, certificates, keys and images.
        """
        console.start_logging(verbose=verbose)
        read_root(home)
        log, printer = AuditLog(open_current(database_url(home, database))), Printer(as_json=json)
        if verify or head is not None:
            _verify(log, read_head(head, read_certificate(home / REGISTRAR)) if head else None, printer)
            return
        last, stop = 0, Stop() if follow else None
        while True:
            for entry in log.entries(last):
                last = entry.ordinal
                if user in {None, entry.user} and event in {None, entry.event}:
                    _show(entry, printer)
            if stop is None or stop.wait(_LOOK_SECONDS):
                return


def _verify(log: AuditLog, kept: AuditHead | None, printer: Printer) -> None:
    head = log.verify(Head(kept.ordinal, kept.hash) if kept else None)
    also = f", among them the {kept.ordinal:,} of {kept.signed_at:%Y-%m-%d %H:%M} UTC" if kept else ""
    printer.event(
        f"verified   {head.ordinal:,} entries{also}, the last is {head.hash}",
        event="verified",
        entries=head.ordinal,
        hash=head.hash,
    )


def _show(entry: Entry, printer: Printer) -> None:
    try:
        details = json_text.loads(entry.details)
        said = "  ".join(f"{name} {_say(value)}" for name, value in details.items() if value)
    except (ValueError, AttributeError) as error:
        raise altered(entry) from error
    line = f"{entry.time:%Y-%m-%d %H:%M:%S}  {entry.event:20}  {entry.user or '-':32}  {said}".rstrip()
    if not is_displayable(line):
        raise altered(entry)
    printer.event(
        line,
        event=entry.event,
        ordinal=entry.ordinal,
        time=entry.time.isoformat(timespec="microseconds"),
        user=entry.user,
        details=details,
        hash=entry.hash,
    )


def _say(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
