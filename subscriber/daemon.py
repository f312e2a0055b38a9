"""The reader's loop: what arrives, what could not be saved, what was missed, the certificate, each in its turn."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from common import topics
from common.arrivals import Connected
from common.errors import SealcastError
from subscriber.catch_up import CatchUp
from subscriber.obtaining import Obtainer
from subscriber.receive import Receiver
from subscriber.witness import Witness

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from common.console import Printer
    from common.identity import Identity
    from common.images import Inspect
    from common.registrar_client import RegistrarClient
    from common.session import Session
    from common.settings import Settings
    from subscriber.keeping import Keeper
    from subscriber.ledger import Ledger
    from subscriber.presence import Presence

# So many messages may arrive before what was missed gets a turn, too: as many as the broker keeps in flight.
_WINDOW = 20


def subscribe(session: Session, ledger: Ledger, channel_filters: Sequence[str]) -> None:
    """Subscribe to announcements and images on these channels, and no longer to earlier ones."""
    filters = [build(name) for name in channel_filters for build in (topics.images, topics.announcements)]
    no_longer = ledger.replace_subscriptions(filters)
    if no_longer:
        session.unsubscribe(*no_longer)
    # What was announced before, the catalogue says: a broker would send all of it at once, or drop what is too much.
    session.subscribe(*filters, retained=False)


def make_daemon(
    *,
    identity: Identity,
    session: Session,
    registrar: RegistrarClient,
    keeper: Keeper,
    ledger: Ledger,
    printer: Printer,
    channel_filters: Sequence[str],
    inspect: Inspect,
    settings: Settings,
    clock: Callable[[], dt.datetime],
    presence: Presence,
    monotonic: Callable[[], float] = time.monotonic,
) -> Daemon:
    """Return the daemon of one identity; ``session`` is for what arrives, the registrar's is another."""
    obtainer = Obtainer(identity, registrar, inspect=inspect, settings=settings, clock=clock, seen=ledger.knows)
    receiver = Receiver(
        session=session, obtainer=obtainer, keeper=keeper, ledger=ledger, printer=printer, settings=settings
    )
    catch_up = CatchUp(
        registrar=registrar,
        receiver=receiver,
        ledger=ledger,
        channel_filters=channel_filters,
        settings=settings,
        monotonic=monotonic,
    )
    return Daemon(
        session=session,
        registrar=registrar,
        receiver=receiver,
        catch_up=catch_up,
        witness=Witness(identity, settings.clock_tolerance, clock),
        presence=presence,
        settings=settings,
        monotonic=monotonic,
    )


class Daemon:
    """Receives until it is over; ``monotonic`` is a clock in seconds."""

    def __init__(
        self,
        *,
        session: Session,
        registrar: RegistrarClient,
        receiver: Receiver,
        catch_up: CatchUp,
        witness: Witness,
        presence: Presence,
        settings: Settings,
        monotonic: Callable[[], float],
    ) -> None:
        self._session = session
        self._registrar = registrar
        self.receiver = receiver
        self.catch_up = catch_up
        self._witness = witness
        self._presence = presence
        self._retry_seconds = settings.retry_seconds
        self._monotonic = monotonic
        self._next_try = monotonic() + self._retry_seconds
        self._has_more = False

    def run_until(self, is_over: Callable[[], bool]) -> None:
        """Give everything its turn, until ``is_over``; asked after each image."""
        while not is_over():
            self.turn(is_over)

    def turn(self, is_over: Callable[[], bool], *, timeout: float = 0.5) -> None:
        """Take what has arrived, waiting up to ``timeout`` seconds where there is nothing else to do; then the rest."""
        for _ in range(_WINDOW):
            arrived = self._session.receive(0 if self._has_more else timeout)
            if arrived is None:
                break
            if not isinstance(arrived, Connected):
                self.receiver.take(arrived)
            else:
                self._presence.tell()
                if arrived.again:
                    self._next_try = self._monotonic()
                    self.catch_up.begin_soon()
            if is_over():
                return
        self._presence.keep()
        if self._monotonic() >= self._next_try:
            self.receiver.try_postponed(is_over)
            with contextlib.suppress(SealcastError):  # what is out of date, or no room, is said when an image comes
                # A reader to whom nothing comes has to know a new authority before it checks what that has signed.
                self._registrar.refresh_trust()
            self._registrar.renew_when_due()
            self._witness.take(self._registrar.audit_head())
            self._next_try = self._monotonic() + self._retry_seconds
        if not is_over():
            self._has_more = self.catch_up.step()
