"""The `subscriber` command: run, fetch, list; the others are beside it, or in common."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import console
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
from common.decoder import Decoder
from common.device import demand_device
from common.errors import ConfigurationError
from common.files import only_one
from common.identity import Identity
from common.member_commands import (
    SHARED_OPTIONS,
    ImageIdArgument,
    add_member_commands,
    member_session,
    read_channel_filter,
)
from common.option_values import parser
from common.passphrases import PassphraseFileOption, Passphrases
from common.readiness import Readiness
from common.settings import PACKET_MARGIN, Settings, load_settings
from common.verified import Verified
from common.verify_commands import add_verify_commands
from subscriber.daemon import make_daemon, subscribe
from subscriber.executing import Command, executing
from subscriber.fetch import fetch_one, say_where_it_is
from subscriber.gallery_commands import add_gallery_command, serving, serving_beside
from subscriber.inbox import Inbox
from subscriber.keeping import Keeper
from subscriber.known import KNOWN
from subscriber.ledger import Ledger
from subscriber.listing import show_entries
from subscriber.obtaining import Obtainer
from subscriber.options import GalleryPortOption, InboxOption, NoPresenceOption, NoReceiptsOption, inbox_folder
from subscriber.presence import Presence, last_will, presence_topic
from subscriber.proof_commands import add_proof_commands
from subscriber.receipts import Receipts, owed_by, sending

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from common.connection import LastWill, SessionOptions

PROGRAM = "subscriber"
HOME = console.default_home(PROGRAM)
# Images wait unacknowledged for their announcement, so the window is far wider than the images that may wait.
_RECEIVE_MAXIMUM = 64

app = console.make_app("Receive images: verify, decrypt and save what others post.", PROGRAM)
add_member_commands(app, HOME)
add_verify_commands(app, HOME)
add_proof_commands(app, HOME)
add_gallery_command(app, HOME)


@app.command(epilog=examples("subscriber run", "subscriber run --channel family --inbox ~/Pictures/family"))
def run(
    *,
    inbox: InboxOption = None,
    channel: Annotated[
        list[str] | None,
        option(
            "--channel",
            help="Only these channels; + is any word, # all that follows.",
            metavar="CHANNEL",
            parser=read_channel_filter,
            autocompletion=offering("channels"),
        ),
    ] = None,
    count: Annotated[
        int | None, option("--count", metavar="NUMBER", help="Stop after so many saved images.", min=1)
    ] = None,
    exec: Annotated[  # noqa: A002 - what the option is called in settings.toml too
        Command | None,
        option(
            "--exec",
            help="Run this for each saved image, its path last.",
            metavar="COMMAND",
            parser=parser(Command.read),
        ),
    ] = None,
    gallery: Annotated[bool, option("--gallery", help="Show the inbox in a browser on this machine, too.")] = False,
    gallery_port: GalleryPortOption = 0,
    no_receipts: NoReceiptsOption = False,
    no_presence: NoPresenceOption = False,
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Wait for images, and save each that is verified.

    Goes on until it is stopped.
    """
    console.start_logging(verbose=verbose)
    stop, readiness = Stop(), Readiness()
    settings = load_settings(home)
    identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
    door = Address(broker, port)
    asking_id, client_id = identity.device.client_id("asking", fresh=True), identity.device.client_id(PROGRAM)
    printer = Printer(as_json=json)
    filters = channel or ["#"]
    box, presence = _inbox(inbox, home), presence_topic(identity)
    with (
        _hold(home),
        Decoder(settings) as decoder,
        Ledger(home) as ledger,
        Verified(home) as verified,
        executing(exec, ledger, settings, lambda: bool(stop)),
        # Two sessions: a broker sends only so much that is not acknowledged, and what is received stays so until it is
        # saved. On the same session the registrar's replies, which saving may wait for, could not come any more.
        member_session(identity, door, asking_id, session_options(settings, quiet=True)) as (asking, registrar),
        asking.beside(client_id, _options(settings, None if no_presence else last_will(presence))) as session,
        sending(Receipts(identity, asking, registrar, ledger, console.now), settings, wanted=not no_receipts),
    ):
        owes_receipt = owed_by(None if no_receipts else identity.user)
        keeper = Keeper(box, ledger, verified, printer, console.now, owes_receipt=owes_receipt)
        daemon = make_daemon(
            identity=identity,
            session=session,
            registrar=registrar,
            keeper=keeper,
            ledger=ledger,
            printer=printer,
            channel_filters=filters,
            inspect=decoder.inspect,
            settings=settings,
            clock=console.now,
            presence=Presence(session, presence, wanted=not no_presence),
        )
        subscribe(session, ledger, filters)
        readiness.announce(printer, f"ready: waiting for images as {identity.user}, saving to {box.folder}")
        shown = serving(home, box.folder, gallery_port, decoder, settings)
        with serving_beside(shown, printer) if gallery else contextlib.nullcontext():
            daemon.run_until(lambda: bool(stop) or (count is not None and keeper.saved >= count))


@app.command()
def fetch(
    image_id: ImageIdArgument,
    *,
    inbox: InboxOption = None,
    no_receipts: NoReceiptsOption = False,
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Get one image from the archive, verify and save it.

    Does nothing where the file is here.
    """
    console.start_logging(verbose=verbose)
    settings = load_settings(home)
    identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
    printer = Printer(as_json=json)
    client_id = identity.device.client_id("fetching", fresh=True)
    with Decoder(settings) as decoder, Ledger(home) as ledger, Verified(home) as verified:
        if say_where_it_is(image_id, ledger, printer):
            return
        owes_receipt = owed_by(None if no_receipts else identity.user)
        keeper = Keeper(_inbox(inbox, home), ledger, verified, printer, console.now, owes_receipt=owes_receipt)
        door = Address(broker, port)
        with (
            member_session(identity, door, client_id, session_options(settings)) as (asking, registrar),
            sending(Receipts(identity, asking, registrar, ledger, console.now), settings, wanted=not no_receipts),
        ):
            obtainer = Obtainer(
                identity,
                registrar,
                inspect=decoder.inspect,
                settings=settings,
                clock=console.now,
                seen=lambda *_: False,
            )
            fetch_one(image_id, obtainer, keeper, ledger, printer)


@app.command("list")
def list_(*, home: HomeOption = HOME, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Show what was saved, and what was refused and why."""
    console.start_logging(verbose=verbose)
    demand_device(home)
    with Ledger(home, read_only=True) as ledger:
        show_entries(ledger.entries(), Printer(as_json=json))


def _hold(home: Path) -> AbstractContextManager[None]:
    busy = ConfigurationError(
        f"a subscriber is running for {home} already",
        hint="stop it, or register a second device with another --home",
        code="already_running",
    )
    return only_one(home / "subscriber.lock", busy)


def _inbox(folder: Path | None, home: Path) -> Inbox:
    return Inbox(inbox_folder(folder, home))


def _options(settings: Settings, will: LastWill | None) -> SessionOptions:
    return session_options(
        settings,
        expiry=settings.subscriber_session_seconds,
        receive_maximum=_RECEIVE_MAXIMUM,
        maximum_packet_size=settings.maximum_sealed_size + PACKET_MARGIN,
        manual_acknowledgement=True,
        will=will,
    )


def main() -> None:
    """Run the command line."""
    console.run(app, PROGRAM, shared_options=SHARED_OPTIONS, known=KNOWN)


if __name__ == "__main__":
    main()
