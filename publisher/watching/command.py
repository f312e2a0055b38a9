"""The command `publisher watch`."""

from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

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
    Stop,
    VerboseOption,
    examples,
    option,
)
from common.decoder import Decoder
from common.enveloping import Cipher
from common.errors import ConfigurationError
from common.files import only_one
from common.identity import Identity
from common.passphrases import PassphraseFileOption, Passphrases
from common.readiness import Readiness
from common.settings import load_settings
from common.topics import DEFAULT_CHANNEL
from publisher.courier import reach
from publisher.outbox import Outbox
from publisher.post_options import (
    CaptionOption,
    ChannelOption,
    CipherOption,
    ExpiresOption,
    KeepMetadataOption,
    ToOption,
    make_wishes,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from publisher.courier import Courier


def add_watch_command(app: typer.Typer, default_home: Path) -> None:
    """Add watch to the program."""

    @app.command(
        epilog=examples("publisher watch ~/camera --to bob", "publisher watch ~/Sync/photos --channels-by-folder")
    )
    def watch(
        folder: Annotated[Path, typer.Argument(help="The folder, with all its sub-folders.", metavar="DIR")],
        *,
        to: ToOption = None,
        channel: ChannelOption = DEFAULT_CHANNEL,
        channels_by_folder: Annotated[
            bool, option("--channels-by-folder", help="Post what is in a sub-folder on the channel of its name.")
        ] = False,
        caption: CaptionOption = None,
        expires: ExpiresOption = None,
        keep_metadata: KeepMetadataOption = False,
        cipher: CipherOption = Cipher.AES_256_GCM,
        include_existing: Annotated[
            bool | None,
            option("--include-existing/--only-new", help="Post what is in the folder already, or leave it alone."),
        ] = None,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Post each new image in a folder, until stopped.

        Each is posted once, also after a restart, and the folder stays as it is.
        """
        from publisher.watching import running  # noqa: PLC0415 - what watches is no other command's to load
        from publisher.watching.completeness import ignore_writers  # noqa: PLC0415 - the same
        from publisher.watching.folder import Folder  # noqa: PLC0415 - the same
        from publisher.watching.line import Line  # noqa: PLC0415 - the same
        from publisher.watching.memory import Memory  # noqa: PLC0415 - the same
        from publisher.watching.posting import Clocks, Poster  # noqa: PLC0415 - the same
        from publisher.watching.reporting import WatchReport  # noqa: PLC0415 - the same
        from publisher.watching.watch import Watch  # noqa: PLC0415 - the same

        console.start_logging(verbose=verbose)
        wishes = make_wishes(to, channel, caption, expires, keep_metadata=keep_metadata, cipher=cipher)
        settings = load_settings(home)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        door, clocks = Address(broker, port), Clocks(time.time, time.monotonic)
        watched = Folder(folder, home)
        watched.demand()
        report = WatchReport(Printer(as_json=json), watched, Readiness())

        def open_session() -> AbstractContextManager[Courier]:
            # Another program may have renewed the certificate since.
            identity.follow_folder()
            return reach(outbox, identity, door, settings)

        with (
            _hold(home, folder),
            Memory(home, watched.root, is_mount=watched.is_mount) as memory,
            Decoder(settings) as decoder,
            Outbox(home) as outbox,
            Line(open_session, wishes, clocks.monotonic) as line,
        ):
            running.decide(
                watched, memory, wishes, include_existing=include_existing, channels_by_folder=channels_by_folder
            )
            stop = Stop()
            ignore_writers()
            running.demand_line(line, report)
            poster = Poster(
                watched,
                memory,
                outbox,
                line,
                wishes,
                channels_by_folder=channels_by_folder,
                inspect=decoder.inspect,
                settings=settings,
                clocks=clocks,
            )
            running.run(
                watched,
                Watch(memory, outbox, line, poster, report, settings=settings, stopping=lambda: bool(stop)),
                report,
                say_ready=lambda: report.ready(identity.user, wishes, memory),
                settings=settings,
                stop=stop,
            )


def _hold(home: Path, folder: Path) -> AbstractContextManager[None]:
    busy = ConfigurationError(
        f"{folder} is watched already", hint="stop the other watch, or watch another folder", code="already_running"
    )
    name = sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return only_one(home / f"watch-{name}.lock", busy)
