"""The command that tells who has an image: status."""

from __future__ import annotations

import contextlib
import time
import uuid  # noqa: TC003 - Typer reads the annotations at run time
from pathlib import Path  # noqa: TC003 - the same
from typing import TYPE_CHECKING, Annotated

import typer

from common import console, topics
from common.arrivals import Connected, Message
from common.completion import offering
from common.connection import Address, session_options
from common.console import (
    DEFAULT_BROKER,
    DEFAULT_PORT,
    BrokerOption,
    HomeOption,
    JsonOption,
    PortOption,
    Printer,
    Stop,
    VerboseOption,
    examples,
    option,
)
from common.errors import RefusedError, SealcastError
from common.identity import Identity
from common.member_commands import member_session, read_image_id
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import load_settings
from publisher.outbox import Outbox
from publisher.reporting import SHOWN_DIGITS, local_time
from publisher.standing import SAVED, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from common import messages
    from common.registrar_client import RegistrarClient
    from common.session import Session
    from publisher.items import Item

_LATEST = 10  # images that are listed where none is named
_LOOK_SECONDS = 15.0  # how often the registrar is asked once more: a receipt may have been lost on its way


def add_status_command(app: typer.Typer, default_home: Path) -> None:
    """Add status to the program."""

    @app.command(epilog=examples("publisher status", "publisher status 01890a5d-ac96-774b-bcce-b302099a8057 --follow"))
    def status(
        context: typer.Context,
        image_id: Annotated[
            uuid.UUID | None,
            typer.Argument(
                metavar="IMAGE-ID",
                parser=read_image_id,
                help="An image of yours; the latest unless said.",
                autocompletion=offering("images"),
            ),
        ] = None,
        *,
        follow: Annotated[bool, option("--follow", help="Go on until everybody has it, or you stop it.")] = False,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Show who has an image of yours, and who not yet."""
        if follow and image_id is None:
            raise typer.BadParameter("--follow needs an image id", context)
        console.start_logging(verbose=verbose)
        stop = Stop() if follow else None
        settings = load_settings(home)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        printer, client_id = Printer(as_json=json), identity.device.client_id("status", fresh=True)
        options = session_options(settings, expiry=settings.publisher_session_seconds, forgotten_on_leaving=True)
        with Outbox(home, read_only=True) as outbox:
            latest = outbox.latest(_LATEST) if image_id is None else []
            item = None if image_id is None else outbox.get(image_id)
        with member_session(identity, Address(broker, port), client_id, options) as (session, registrar):
            if image_id is None:
                _show_latest(latest, identity, registrar, printer)
                return
            standing = Standing(identity, image_id, item.sha256 if item else None, console.now)
            if stop is not None:
                # Before the registrar is asked, so that none is missed in between.
                session.subscribe(topics.receipts_of(identity.user, image_id))
            standing.look(registrar)
            _show_standing(standing, item, printer)
            if stop is not None:
                follow_receipts(standing, session, registrar, printer, stop=lambda: bool(stop))
                _show_summary(standing, item, printer)


def follow_receipts(
    standing: Standing, session: Session, registrar: RegistrarClient, printer: Printer, *, stop: Callable[[], bool]
) -> None:
    """Tell of each receipt that comes, until everybody has the image or ``stop``; the session is subscribed to them."""
    next_look = time.monotonic() + _LOOK_SECONDS
    while not standing.is_complete and not stop():
        new: list[messages.Receipt] = []
        match session.receive(timeout=0.5):
            case Message(payload=signed):
                new = standing.hear(signed)
            case Connected(again=True):
                next_look = 0.0
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _LOOK_SECONDS
            with contextlib.suppress(SealcastError):  # what keeps it from being asked may pass
                new += standing.look(registrar)
        for receipt in new:
            _show_receipt(receipt, printer)


def _show_latest(items: list[Item], identity: Identity, registrar: RegistrarClient, printer: Printer) -> None:
    for item in items:
        standing = Standing(identity, item.topic.image_id, item.sha256, console.now)
        try:
            standing.look(registrar)
        except RefusedError as error:
            if error.retry_after is not None:
                raise
            printer.event(
                f"gone       {item.name}  as {item.topic.image_id}: {error.message}",
                event="gone",
                image_id=item.topic.image_id,
                name=item.name,
                code=error.code,
                message=error.message,
            )
        else:
            _show_summary(standing, item, printer)
    if not items:
        printer.remark("nothing was posted from here")


def _show_standing(standing: Standing, item: Item | None, printer: Printer) -> None:
    _show_summary(standing, item, printer)
    for receipt in sorted(standing.receipts.values(), key=lambda one: one.handled_at):
        _show_receipt(receipt, printer)
    for reader in standing.silent:
        printer.event(f"not yet    {reader}", event="not_yet", image_id=standing.image_id, user=reader)


def _show_summary(standing: Standing, item: Item | None, printer: Printer) -> None:
    having, people = len(standing.having), len(standing.readers)
    which = f"{item.name}  as {standing.image_id}" if item else str(standing.image_id)
    who = f"{having} of {people} {'person has' if people == 1 else 'people have'} it"
    printer.event(
        f"status     {which}: {who if people else 'there is nobody to have it'}",
        event="status",
        image_id=standing.image_id,
        channel=item and item.topic.channel,
        name=item and item.name,
        saved=having,
        people=people,
    )


def _show_receipt(receipt: messages.Receipt, printer: Printer) -> None:
    device = f"on device {receipt.fingerprint[:SHOWN_DIGITS]}"
    at = receipt.handled_at
    if receipt.outcome == SAVED:
        printer.event(
            f"saved      {receipt.reader}  {local_time(at)}  {device}",
            event="saved",
            image_id=receipt.image_id,
            user=receipt.reader,
            fingerprint=receipt.fingerprint,
            at=at.isoformat(),
            sha256=receipt.sha256,
        )
    else:
        why = "it had expired" if receipt.outcome == "expired" else "it could not be verified"
        printer.event(
            f"refused    {receipt.reader}  {local_time(at)}  {device}: {why}",
            event="refused",
            image_id=receipt.image_id,
            user=receipt.reader,
            fingerprint=receipt.fingerprint,
            at=at.isoformat(),
            code=receipt.outcome,
        )
