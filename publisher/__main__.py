"""The `publisher` command: post, outbox, flush, remove; the others are beside it, or in common."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import Annotated

import typer

from common import console
from common.connection import Address
from common.console import (
    DEFAULT_BROKER,
    DEFAULT_PORT,
    BrokerOption,
    HomeOption,
    JsonOption,
    PortOption,
    Printer,
    VerboseOption,
    examples,
    option,
)
from common.decoder import Decoder
from common.device import demand_device
from common.enveloping import Cipher
from common.errors import SealcastError
from common.identity import Identity
from common.member_commands import SHARED_OPTIONS, ImageIdArgument, add_member_commands
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import load_settings
from common.topics import DEFAULT_CHANNEL
from common.verify_commands import add_verify_commands
from publisher.account_commands import add_account_commands
from publisher.courier import reach
from publisher.items import PRESENT, State
from publisher.known import KNOWN
from publisher.outbox import Outbox
from publisher.people_commands import add_people_command
from publisher.post import post_all
from publisher.post_options import (
    CaptionOption,
    ChannelOption,
    CipherOption,
    ExpiresOption,
    KeepMetadataOption,
    ToOption,
    make_wishes,
)
from publisher.removal import remove
from publisher.reporting import Report, progress, show_item, show_removal
from publisher.revocation_commands import add_revocation_commands
from publisher.status_commands import add_status_command
from publisher.watching.command import add_watch_command

PROGRAM = "publisher"
HOME = console.default_home(PROGRAM)
_NOTHING_WAITS = "nothing waits to be sent"

app = console.make_app("Share images: sign, encrypt and post them.", PROGRAM)
add_member_commands(app, HOME)


@app.command(
    "post",
    epilog=examples(
        "publisher post photo.jpg",
        "publisher post *.jpg --to bob --to carol --caption 'at the lake'",
    ),
)
def post_command(
    files: Annotated[list[Path], typer.Argument(help="PNG, JPEG, WebP, GIF, TIFF, AVIF or BMP.", metavar="FILE")],
    *,
    to: ToOption = None,
    channel: ChannelOption = DEFAULT_CHANNEL,
    caption: CaptionOption = None,
    expires: ExpiresOption = None,
    keep_metadata: KeepMetadataOption = False,
    cipher: CipherOption = Cipher.AES_256_GCM,
    queue: Annotated[bool, option("--queue", help="Do not fail where an image has to wait in the outbox.")] = False,
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Post images: sign, encrypt and send them.

    Returns when every one is stored, or waits in the outbox.
    """
    console.start_logging(verbose=verbose)
    settings = load_settings(home)
    wishes = make_wishes(to, channel, caption, expires, keep_metadata=keep_metadata, cipher=cipher)
    identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
    report = Report(Printer(as_json=json))
    try:
        with (
            Decoder(settings) as decoder,
            Outbox(home) as outbox,
            reach(outbox, identity, Address(broker, port), settings) as courier,
            progress(files, wanted=not json) as advance,
        ):
            for file, outcome in post_all(files, wishes, courier, inspect=decoder.inspect, settings=settings):
                report.tell(file, outcome)
                advance(file)
    except KeyboardInterrupt as interruption:
        # To post a file once more would make a second image of it.
        hint = "see publisher outbox --all; publisher flush sends what waits, post again only what is not listed"
        raise SealcastError("interrupted", hint=hint) from interruption
    if not queue:
        report.explain_waiting()
    if report.failed or (report.waiting and not queue):
        raise typer.Exit(console.FAILED)


@app.command("outbox")
def outbox_command(
    *,
    all: Annotated[  # noqa: A002 - what the option is called in settings.toml too
        bool, option("--all", help="Also what was stored, failed or was removed.")
    ] = False,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """List what waits to be sent, or was refused."""
    console.start_logging(verbose=verbose)
    demand_device(home)
    printer = Printer(as_json=json)
    with Outbox(home, read_only=True) as outbox:
        items = list(outbox.items(*(frozenset(State) - {State.WRITING} if all else PRESENT)))
    for item in items:
        show_item(printer, item)
    if not items:
        printer.remark("nothing was posted from here" if all else _NOTHING_WAITS)


@app.command()
def flush(
    *,
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Send what waits in the outbox.

    What was refused is tried once more.
    """
    console.start_logging(verbose=verbose)
    settings = load_settings(home)
    identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
    printer = Printer(as_json=json)
    report = Report(printer, flushing=True)
    with Outbox(home) as outbox:
        outbox.retry_refused()
        if not any(outbox.items(State.WAITING)):
            printer.remark(_NOTHING_WAITS)
            return
        with (
            reach(outbox, identity, Address(broker, port), settings) as courier,
            ThreadPoolExecutor(settings.posts_at_once) as pool,
        ):
            for outcome in courier.deliver_waiting(pool):
                report.tell(None, outcome)
    report.explain_waiting()
    if report.failed or report.waiting:
        raise typer.Exit(console.FAILED)


@app.command("remove")
def remove_command(
    image_id: ImageIdArgument,
    *,
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Remove an image of yours.

    It goes from the outbox, the archive and the announcements; who has saved it keeps it.
    """
    console.start_logging(verbose=verbose)
    settings = load_settings(home)
    identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
    with Outbox(home) as outbox:
        removal = remove(
            image_id, outbox, lambda: reach(outbox, identity, Address(broker, port), settings), console.now
        )
    show_removal(Printer(as_json=json), image_id, removal)


add_watch_command(app, HOME)
add_verify_commands(app, HOME)
add_account_commands(app, HOME)
add_status_command(app, HOME)
add_people_command(app, HOME)
add_revocation_commands(app, HOME)


def main() -> None:
    """Run the command line."""
    console.run(app, PROGRAM, shared_options=SHARED_OPTIONS, known=KNOWN)


if __name__ == "__main__":
    main()
