"""Keeping what was opened, once, and saying so: the file, then the ledger (docs/protocol.md, "Receiving")."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

from common import topics
from common.certificates import fingerprint, key_fingerprint
from common.errors import SealcastError, VerificationError
from common.verified import Standing
from common.words import spoken
from subscriber.ledger import SAVED, Entry

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable

    from cryptography import x509

    from common.console import Printer
    from common.sealing import OpenedImage
    from common.topics import ImageTopic
    from common.verified import Verified
    from subscriber.inbox import Inbox
    from subscriber.ledger import Ledger

_log = logging.getLogger(__name__)
# What an image is found to be when it is opened, or what the registrar says of it: final. All else may pass.
_FINAL_CODES = frozenset({"not_verified", "expired", "not_recipient", "removed"})
# An announcement with nothing behind it: whoever forged it could otherwise keep out the image that comes later.
_UNFOUNDED_CODES = frozenset({"invalid_announcement", "unknown_image"})
_IN_WORDS = {
    Standing.UNKNOWN: "verified: from {}",
    Standing.VERIFIED: "verified: from {}, whose device you know",
    Standing.CHANGED: "from {}, by a device that you have not verified",
}


def is_refusal(error: SealcastError) -> bool:
    """Tell whether an error is about the image, so that trying again now changes nothing."""
    return error.code in _FINAL_CODES | _UNFOUNDED_CODES


class Keeper:
    """Keeps images in an inbox and notes them in a ledger, which other programs may be using too.

    ``owes_receipt`` tells of an entry whether the owner is to be told.
    """

    def __init__(
        self,
        inbox: Inbox,
        ledger: Ledger,
        verified: Verified,
        printer: Printer,
        clock: Callable[[], dt.datetime],
        *,
        owes_receipt: Callable[[Entry], bool] = lambda _: False,
    ) -> None:
        self._inbox = inbox
        self._ledger = ledger
        self._verified = verified
        self._changed: set[str] = set()  # the words of devices of which it was said
        self._printer = printer
        self._clock = clock
        self._owes_receipt = owes_receipt
        self.saved = 0
        with ledger.transaction():
            inbox.prepare(ledger.knows)

    def save(self, opened: OpenedImage) -> bool:
        """Save an image, note it and say so; return False where another program has done that meanwhile.

        Raises ConfigurationError: the image is not lost, and can be saved later.
        """
        header = opened.header
        topic = topics.parse_image(header.topic)
        channel = topic.channel if topic else ""
        standing = self._verified.see(opened.signer)
        with self._ledger.transaction():
            if self._ledger.knows(header.owner, header.image_id):
                return False
            entry = Entry(
                owner=header.owner,
                image_id=header.image_id,
                channel=channel,
                outcome=SAVED,
                at=self._clock(),
                path=self._inbox.save(opened.image, header),
                sha256=header.sha256,
                name=header.name,
                header=header,
                fingerprint=fingerprint(opened.signer),
            )
            self._note(entry, opened.signature)
        if standing is Standing.CHANGED:
            self._say_changed(entry, opened.signer)
        self._say_saved(entry, caption=header.caption, standing=standing)
        return True

    def refuse(self, topic: ImageTopic, error: SealcastError) -> None:
        """Note that an image is refused, unless only its announcement is, and say so; raises ConfigurationError.

        What was saved by a program that was killed before it could note it is saved, whatever became of it since.
        """
        with self._ledger.transaction():
            if self._ledger.knows(topic.owner, topic.image_id):
                return
            at = self._clock()
            saved = self._inbox.find_saved(topic.owner, topic.image_id)
            if saved is not None:
                path, digest = saved[0], sha256(saved[1]).hexdigest()
                entry = Entry(topic.owner, topic.image_id, topic.channel, SAVED, at, path, digest, path.name)
                self._note(entry)
            elif error.code in _FINAL_CODES:
                refused = Entry(topic.owner, topic.image_id, topic.channel, error.code, at, message=error.message)
                self._note(refused)
        if saved is not None:
            self._say_saved(entry, caption=None, standing=Standing.UNKNOWN)
        else:
            self.say_refused(topic.image_id, topic.owner, error)

    def say_refused(self, image_id: uuid.UUID, owner: str | None, error: SealcastError) -> None:
        """Say why an image is refused, the precise reason in the log only."""
        reason = error.reason if isinstance(error, VerificationError) else error.message
        _log.info("refused %s of %s: %s", image_id, owner, reason)
        self._printer.event(
            f"refused    {image_id}" + (f"  from {owner}" if owner else "") + f": {error.message}",
            event="refused",
            image_id=image_id,
            code=error.code,
            message=error.message,
        )

    def _note(self, entry: Entry, signature: bytes | None = None) -> None:
        self._ledger.add(entry, signature)
        if self._owes_receipt(entry):
            self._ledger.owe_receipt(entry)

    def settle(self, owner: str, image_id: uuid.UUID) -> None:
        """Tidy up after an image that is noted."""
        self._inbox.settle(owner, image_id)

    def _say_changed(self, entry: Entry, signer: x509.Certificate) -> None:
        """Say once that somebody who is verified posts with a device that is not."""
        words = spoken(key_fingerprint(signer))
        if words in self._changed:
            return
        self._changed.add(words)
        self._printer.event(
            f"changed    {entry.owner} posts with a device that you have not verified: {words}\n"
            f"           ask {entry.owner} whether it is theirs, then: subscriber verify {entry.owner}",
            event="device_changed",
            user=entry.owner,
            image_id=entry.image_id,
            fingerprint=entry.fingerprint,
            words=words,
        )

    def _say_saved(self, entry: Entry, *, caption: str | None, standing: Standing) -> None:
        self.saved += 1
        self._printer.event(
            f"saved      {entry.path}  ({_IN_WORDS[standing].format(entry.owner)})" + _second_line(caption),
            event="saved",
            image_id=entry.image_id,
            owner=entry.owner,
            channel=entry.channel,
            name=entry.name,
            path=entry.path,
            sha256=entry.sha256,
            caption=caption,
            verified_owner=standing,
        )


def _second_line(caption: str | None) -> str:
    return f"\n           {caption}" if caption else ""
