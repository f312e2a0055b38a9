"""Receipts: word to an image's owner of what became of it here (docs/protocol.md, "Receipts").

They are owed from the ledger's entry on, and sent beside the saving, so that nothing waits for them, until the
registrar has taken them: neither a kill nor a broker that is away loses one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args

from common import certificates, messages, topics
from common.errors import SealcastError
from common.receipts import sign_receipt
from subscriber.ledger import SAVED

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from common.identity import Identity
    from common.registrar_client import RegistrarClient
    from common.session import Session
    from common.settings import Settings
    from subscriber.ledger import Entry, Ledger

_LOOK_SECONDS = 0.5  # how often the ledger is looked at
_LAST_SECONDS = 5.0  # for what is owed when the program ends; the rest is sent at the next start
_log = logging.getLogger(__name__)


def owed_by(user: str | None) -> Callable[[Entry], bool]:
    """Return what tells of an entry whether this user owes a receipt of it; None is who sends none.

    Not of an image of one's own, nor of one that is for other people or is gone.
    """
    return lambda entry: user not in {None, entry.owner} and entry.outcome in get_args(messages.ReceiptOutcome)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Sends the receipts of one identity that its ledger owes; ``session`` is the one on which ``registrar`` asks."""

    identity: Identity
    session: Session
    registrar: RegistrarClient
    ledger: Ledger
    clock: Callable[[], dt.datetime]

    def send_owed(self) -> bool:
        """Send some of the receipts that are owed; return whether there were any. Raises SealcastError.

        First to the registrar, which keeps them, and then to an owner who is looking at this moment.
        """
        owed = self.ledger.owed_receipts(messages.MOST_RECEIPTS)
        if not owed:
            return False
        signed = [self._sign(entry) for entry in owed]
        taken = self.registrar.acknowledge(signed).taken
        for entry, receipt in zip(owed, signed, strict=True):
            if entry.image_id in taken:
                topic = topics.receipt(entry.owner, entry.image_id, self.identity.user)
                self.session.publish(topic, receipt, content_type="application/cms")
        # What the registrar has not taken it never will: the image is gone.
        self.ledger.settle_receipts(owed)
        return True

    def _sign(self, entry: Entry) -> bytes:
        key, certificate = self.identity.key, self.identity.certificate
        receipt = messages.Receipt(
            image_id=entry.image_id,
            owner=entry.owner,
            reader=self.identity.user,
            fingerprint=certificates.fingerprint(certificate),
            outcome=cast("messages.ReceiptOutcome", entry.outcome),
            sha256=entry.sha256 if entry.outcome == SAVED else None,
            handled_at=entry.at,
            signed_at=self.clock(),
        )
        return sign_receipt(receipt, key, certificate)


@contextlib.contextmanager
def sending(receipts: Receipts, settings: Settings, *, wanted: bool) -> Iterator[None]:
    """Send what is owed in a thread of its own while this is entered, and what is owed then, if that takes no time."""
    if not wanted:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_send, args=(receipts, settings, ended), name="receipts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_LAST_SECONDS)


def _send(receipts: Receipts, settings: Settings, ended: threading.Event) -> None:
    pause, said = settings.retry_seconds, ""
    while True:
        is_last = ended.is_set()
        try:
            while receipts.send_owed():
                pass
        except SealcastError as error:
            # Once: a registrar or a broker of an earlier version takes none at all.
            if error.code != said:
                said = error.code
                _log.info("receipts wait: %s", error.message)
            wait, pause = pause, min(2 * pause, settings.catch_up_seconds)
        except Exception:  # noqa: BLE001 - nothing that it meets ends the work; the log has the whole of it
            _log.exception("failed to send receipts")
            wait = pause
        else:
            wait, pause, said = _LOOK_SECONDS, settings.retry_seconds, ""
        if is_last:
            return
        ended.wait(wait)
