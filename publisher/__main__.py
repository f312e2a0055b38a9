"""The `publisher` command: register, whoami, post."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

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
from common.enveloping import Cipher
from common.errors import SealcastError
from common.identity import Identity
from common.member_commands import SHARED_OPTIONS, add_member_commands, member_session
from common.settings import load_settings
from common.topics import DEFAULT_CHANNEL
from publisher.post import Posted, Wishes, post_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = "publisher"
HOME = console.default_home(PROGRAM)
_LARGE = 4 * 1024 * 1024  # bytes; below it, a bar would be gone before it is seen

app = console.make_app("Post images: seal, sign and publish them.", PROGRAM)
add_member_commands(app, HOME)


@app.command("post")
def post_command(
    files: Annotated[list[Path], typer.Argument(help="PNG, JPEG, WebP, GIF, TIFF, AVIF or BMP.", metavar="FILE")],
    *,
    to: Annotated[list[str] | None, option("--to", help="Only for this member; may be repeated.")] = None,
    channel: Annotated[str, option("--channel", help="One to four words joined by /.")] = DEFAULT_CHANNEL,
    caption: Annotated[str | None, option("--caption", help="A line for the readers, sealed with the image.")] = None,
    keep_metadata: Annotated[
        bool, option("--keep-metadata", help="Post the bytes exactly as they are, position and all.")
    ] = False,
    cipher: Annotated[Cipher, option("--cipher", help="How the image is encrypted.")] = Cipher.AES_256_GCM,
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Seal, sign and post images; returns when every one is stored."""
    console.start_logging(verbose=verbose)
    settings = load_settings(home)
    wishes = Wishes(tuple(dict.fromkeys(to or ())), channel, caption, keep_metadata, cipher)
    identity = Identity.load(home, now=console.now())
    printer = Printer(as_json=json)
    client_id = identity.device.client_id(PROGRAM, fresh=True)
    failed = 0
    with (
        member_session(identity, Address(broker, port), client_id, session_options(settings)) as (_, registrar),
        progress(files, wanted=not json) as advance,
    ):
        for file, outcome in post_all(files, wishes, identity, registrar, settings=settings, clock=console.now):
            if isinstance(outcome, SealcastError):
                failed += 1
                report_failure(printer, file, outcome)
            else:
                report_stored(printer, file, outcome)
            advance(file)
    if failed:
        raise typer.Exit(console.FAILED)


def report_stored(printer: Printer, file: Path, stored: Posted) -> None:
    """Say that an image is stored, and what was taken out of it."""
    header = stored.header
    audience = "every member" if header.audience == "members" else "the named people"
    line = f"stored     {file}  for {audience} on {stored.channel}, as {header.image_id}"
    if stored.removed:
        line += f"\n           removed: {', '.join(stored.removed)}"
    printer.event(
        line,
        event="stored",
        image_id=header.image_id,
        owner=header.owner,
        channel=stored.channel,
        name=header.name,
        topic=header.topic,
        size=header.size,
        sealed_size=stored.sealed_size,
        sha256=header.sha256,
        removed=stored.removed,
    )


def report_failure(printer: Printer, file: Path, error: SealcastError) -> None:
    """Say that a file could not be posted; the others go on."""
    printer.event(None, event="failed", file=file, code=error.code, message=error.message)
    console.fail(SealcastError(f"{file}: {error.message}", hint=error.hint))


@contextlib.contextmanager
def progress(files: list[Path], *, wanted: bool) -> Iterator[Callable[[Path], None]]:
    """Show a bar on a terminal for many or large files; yields what to call after each."""
    sizes = {file: _size(file) for file in files}
    worth_it = len(files) > 1 or sum(sizes.values()) >= _LARGE
    if not (wanted and worth_it and sys.stderr.isatty()):
        yield lambda _file: None
        return
    from rich.console import Console  # noqa: PLC0415 - 100 ms that a single small image need not wait for
    from rich.progress import Progress  # noqa: PLC0415 - the same

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("posting", total=sum(sizes.values()) or 1)
        yield lambda file: bar.advance(task, sizes[file])


def _size(file: Path) -> int:
    # What cannot be read is told when its turn comes.
    with contextlib.suppress(OSError):
        return file.stat().st_size if file.is_file() else 0
    return 0


def main() -> None:
    """Run the command line."""
    console.run(app, PROGRAM, shared_options=SHARED_OPTIONS)


if __name__ == "__main__":
    main()
