"""The `subscriber` command: register, whoami, run."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import time
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import console, topics
from common.arrivals import Message
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
    option,
)
from common.errors import ConfigurationError, SealcastError
from common.files import reason
from common.identity import Identity
from common.member_commands import SHARED_OPTIONS, add_member_commands, member_session
from common.settings import PACKET_MARGIN, Settings, load_settings
from subscriber.inbox import Inbox
from subscriber.ledger import Ledger
from subscriber.receive import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.connection import SessionOptions
    from common.registrar_client import RegistrarClient
    from common.session import Session

PROGRAM = "subscriber"
HOME = console.default_home(PROGRAM)
# Images wait unacknowledged for their announcement, so the window is far wider than the images that may wait.
_RECEIVE_MAXIMUM = 64
_POSTPONED_SECONDS = 15.0
_log = logging.getLogger(__name__)

app = console.make_app("Receive images: verify, open and save what members post.", PROGRAM)
add_member_commands(app, HOME)


@app.command()
def run(
    *,
    inbox: Annotated[Path | None, option("--inbox", help="Where images are saved; <home>/inbox unless said.")] = None,
    channel: Annotated[
        list[str] | None, option("--channel", help="Only these channels; + is any word, # all that follows.")
    ] = None,
    count: Annotated[int | None, option("--count", help="Stop after so many saved images.", min=1)] = None,
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Wait for images, and save each that is verified, until stopped."""
    console.start_logging(verbose=verbose)
    stop = Stop()
    settings = load_settings(home)
    identity = Identity.load(home, now=console.now())
    door = Address(broker, port)
    asking_id, client_id = identity.device.client_id("asking", fresh=True), identity.device.client_id(PROGRAM)
    printer = Printer(as_json=json)
    filters = [topics.check_channel_filter(name) for name in channel or ["#"]]
    box = Inbox((inbox or home / "inbox").absolute())
    with (
        only_one(home),
        Ledger(home) as ledger,
        # Two sessions: a broker sends only so much that is not acknowledged, and what is received stays so until it is
        # saved. On the same session the registrar's replies, which saving may wait for, could not come any more.
        member_session(identity, door, asking_id, session_options(settings)) as (asking, registrar),
        asking.beside(client_id, _options(settings)) as session,
    ):
        receiver = Receiver(
            identity=identity,
            session=session,
            registrar=registrar,
            inbox=box,
            ledger=ledger,
            printer=printer,
            settings=settings,
            clock=console.now,
        )
        subscribe(session, ledger, filters)
        printer.event(f"ready: waiting for images as {identity.user}, saving to {box.folder}", event="ready")
        receive_until(session, receiver, registrar, stop, count)


def subscribe(session: Session, ledger: Ledger, channel_filters: Sequence[str]) -> None:
    """Subscribe to announcements and images on these channels, and no longer to earlier ones."""
    filters = [build(name) for name in channel_filters for build in (topics.images, topics.announcements)]
    no_longer = ledger.replace_subscriptions(filters)
    if no_longer:
        session.unsubscribe(*no_longer)
    session.subscribe(*filters, retained_once=True)


def receive_until(
    session: Session, receiver: Receiver, registrar: RegistrarClient, stop: Stop, count: int | None
) -> None:
    """Receive until asked to stop, or until ``count`` images are saved; keep the certificate in date meanwhile."""
    next_try = time.monotonic() + _POSTPONED_SECONDS
    while not stop and (count is None or receiver.saved < count):
        arrived = session.receive(timeout=0.5)
        if isinstance(arrived, Message):
            receiver.take(arrived)
        if time.monotonic() >= next_try:
            receiver.try_postponed()
            try:
                registrar.renew_when_due()
            except SealcastError as error:
                _log.warning("cannot renew the certificate yet: %s", error.message)
            next_try = time.monotonic() + _POSTPONED_SECONDS


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the folder for this process; raises ConfigurationError where another subscriber runs."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context((home / "subscriber.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"a subscriber is running for {home} already",
                hint="stop it, or register a second device with another --home",
                code="already_running",
            ) from error
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to {home}: {reason(error)}", hint="mend its permissions", code="unwritable"
            ) from error
        yield


def _options(settings: Settings) -> SessionOptions:
    return session_options(
        settings,
        expiry=settings.subscriber_session_seconds,
        receive_maximum=_RECEIVE_MAXIMUM,
        maximum_packet_size=settings.maximum_sealed_size + PACKET_MARGIN,
        manual_acknowledgement=True,
    )


def main() -> None:
    """Run the command line."""
    console.run(app, PROGRAM, shared_options=SHARED_OPTIONS)


if __name__ == "__main__":
    main()
