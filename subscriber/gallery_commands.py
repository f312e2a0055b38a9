"""The gallery on the command line: `subscriber gallery`, and beside the daemon `subscriber run --gallery`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING

from common import console
from common.certificates import user_of
from common.console import HomeOption, JsonOption, Printer, Stop, VerboseOption, examples
from common.decoder import Decoder
from common.device import demand_device
from common.errors import ConfigurationError
from common.identity import certificate_in
from common.settings import Settings, load_settings
from common.verified import Verified
from subscriber.album import Album
from subscriber.options import GalleryPortOption, InboxOption, inbox_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import typer

_ROOT = 0
_UNTIL_ASKED_AGAIN = 3600.0  # seconds


def add_gallery_command(app: typer.Typer, default_home: Path) -> None:
    """Add gallery to the program."""

    @app.command(epilog=examples("subscriber gallery"))
    def gallery(
        *,
        gallery_port: GalleryPortOption = 0,
        inbox: InboxOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Show the inbox in a browser on this machine.

        Prints the address to open. Works without a broker, and beside `subscriber run`: what that saves appears.
        """
        console.start_logging(verbose=verbose)
        stop = Stop()
        demand_device(home)
        settings = load_settings(home)
        with (
            Decoder(settings) as decoder,
            serving(home, inbox_folder(inbox, home), gallery_port, decoder, settings) as address,
        ):
            show_address(address, Printer(as_json=json))
            while not stop.wait(_UNTIL_ASKED_AGAIN):
                pass


@contextlib.contextmanager
def serving(home: Path, inbox: Path, port: int, decoder: Decoder, settings: Settings) -> Iterator[str]:
    """Serve the gallery of a folder and yield its address; raises ConfigurationError, also where the port is taken."""
    # 0.2 s that no other command needs.
    from subscriber.gallery.admission import Door  # noqa: PLC0415 - see above
    from subscriber.gallery.app import make_app  # noqa: PLC0415 - the same
    from subscriber.gallery.server import Server, listen  # noqa: PLC0415 - the same
    from subscriber.gallery.thumbnails import Thumbnails  # noqa: PLC0415 - the same

    certificate = certificate_in(home)
    with listen(port) as listener, Album(home) as album, Verified(home) as verified:
        door = Door(listener.getsockname()[1], users={os.getuid(), _ROOT})
        app = make_app(
            home=home,
            album=album,
            verified=verified,
            thumbnails=Thumbnails(home, decoder.thumbnail, maximum_bytes=settings.maximum_thumbnails_size),
            door=door,
            user=user_of(certificate) if certificate else "",
            inbox=inbox,
            maximum_image_size=settings.maximum_image_size,
        )
        with Server(app, listener):
            yield door.new_address()


@contextlib.contextmanager
def serving_beside(gallery: AbstractContextManager[str], printer: Printer) -> Iterator[None]:
    """Serve the gallery beside the daemon; where it cannot be, that is said, and images are received all the same."""
    with contextlib.ExitStack() as stack:
        try:
            show_address(stack.enter_context(gallery), printer)
        except ConfigurationError as error:
            console.fail(error)
        yield


def show_address(address: str, printer: Printer) -> None:
    """Say where the gallery is."""
    printer.event(f"gallery: {address} (open it in your browser; it works once)", event="gallery", address=address)
