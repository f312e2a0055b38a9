"""Carries images from the outbox to the registrar (docs/protocol.md, "Posting").

An image leaves the outbox with the registrar's signed ``stored``, or with its signed and final refusal. What a broker
says, or that nobody says anything, decides nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import console
from common.connection import session_options
from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError
from common.member_commands import member_session
from publisher.items import State

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from common.connection import Address
    from common.identity import Identity
    from common.registrar_client import RegistrarClient
    from common.settings import Settings
    from publisher.items import Item
    from publisher.outbox import Claim, Outbox

_OVER = frozenset({"removed", "expired"})  # after these codes nobody can have the image any more
# The broker does not decide, a clock can be set, and a fault of the registrar can be mended.
_UNDECIDED = frozenset({"refused_by_broker", "clock", "internal"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of an image, and the error where it is not stored."""

    item: Item
    error: SealcastError | None = None


class Courier:
    """Sends what is in an outbox, from any thread, while the registrar can be reached.

    ``reached`` is who asks the registrar, or why it cannot be asked: then images wait.
    """

    def __init__(
        self,
        outbox: Outbox,
        identity: Identity,
        clock: Callable[[], dt.datetime],
        reached: RegistrarClient | SealcastError,
    ) -> None:
        self.outbox = outbox
        self.identity = identity
        self.clock = clock
        self._reached = reached

    @property
    def unreachable(self) -> SealcastError | None:
        """Why the registrar cannot be reached, if so."""
        return self._reached if isinstance(self._reached, SealcastError) else None

    def give_up(self, error: SealcastError) -> None:
        """Send nothing more: each image would wait in vain, and for as long as the first."""
        self._reached = error

    @property
    def registrar(self) -> RegistrarClient:
        """Who asks the registrar; raises why it cannot be reached."""
        if isinstance(self._reached, SealcastError):
            raise self._reached
        return self._reached

    def deliver(self, claim: Claim, *, is_new: bool) -> Outcome:
        """Send an image and settle it; what cannot be sent now goes on waiting.

        Of an image that ``is_new`` the owner has the file at hand: once refused, it leaves the outbox.
        """
        error: SealcastError | None = None
        state, at = State.STORED, self.clock()
        try:
            at = self._store(claim)
        except SealcastError as caught:
            error, state = caught, _state_after(caught, is_new=is_new)
            if isinstance(caught, SessionError):
                self.give_up(caught)
        try:
            return Outcome(self.outbox.settle(claim.item, state, at, error), error)
        except ConfigurationError as failure:
            # It waits, is sent again, and is answered again.
            return Outcome(claim.item, failure)

    def deliver_waiting(self, pool: Executor) -> Iterator[Outcome]:
        """Send what waits, the oldest first; yield what becomes of each, but not of what another process sends.

        All are begun before this returns.
        """
        begun = [pool.submit(self._deliver_waiting, item) for item in self.outbox.items(State.WAITING)]
        return (outcome for future in begun if (outcome := future.result()) is not None)

    def _deliver_waiting(self, item: Item) -> Outcome | None:
        try:
            claim = self.outbox.claim(item.topic.image_id)
        except ConfigurationError as error:
            return Outcome(self.outbox.get(item.topic.image_id) or item, error)
        if claim is None:
            return None
        with claim:
            return self.deliver(claim, is_new=False)

    def _store(self, claim: Claim) -> dt.datetime:
        now, item = self.clock(), claim.item
        if item.expires_at is not None and item.expires_at <= now:
            raise RefusedError(
                "the image has expired before it could be sent", hint="post it again with a later end", code="expired"
            )
        registrar, sealed = self.registrar, claim.read()
        self.outbox.note_attempt(claim, now)
        # Where it is for named people, its name is for nobody else either.
        name = item.name if item.audience == "members" else None
        return registrar.store(sealed, item.topic, name=name, size=item.size, expires_at=item.expires_at).stored_at


@contextlib.contextmanager
def reach(outbox: Outbox, identity: Identity, door: Address, settings: Settings) -> Iterator[Courier]:
    """Yield a courier with a session at the members' door, or one that lets images wait where none comes about."""
    client_id = identity.device.client_id("publisher", fresh=True)
    # The broker keeps the session for a while, so that a reply outlasts a lost connection.
    options = session_options(settings, expiry=settings.publisher_session_seconds, forgotten_on_leaving=True)
    with contextlib.ExitStack() as stack:
        try:
            _, registrar = stack.enter_context(member_session(identity, door, client_id, options))
        except SealcastError as error:
            if not may_pass(error):
                raise
            courier = Courier(outbox, identity, console.now, error)
        else:
            courier = Courier(outbox, identity, console.now, registrar)
        yield courier


def may_pass(error: SealcastError) -> bool:
    """Tell whether it may go better by itself later: nobody answers, or the registrar says so."""
    return isinstance(error, SessionError) or (isinstance(error, RefusedError) and error.retry_after is not None)


def _state_after(error: SealcastError, *, is_new: bool) -> State:
    # Other errors than refusals are none of the image's.
    if may_pass(error) or not isinstance(error, RefusedError) or error.code in _UNDECIDED:
        return State.WAITING
    return State.FAILED if is_new or error.code in _OVER else State.REFUSED
