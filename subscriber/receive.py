"""Receiving: from an announcement to a verified file (docs/protocol.md, "Receiving")."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

from common import messages, topics
from common.enveloping import unwrap_key
from common.errors import SealcastError, VerificationError
from common.sealing import NotRecipientError, OpenedImage, open_sealed
from subscriber.ledger import SAVED, Entry, Ledger
from subscriber.waiting import WaitingImages

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable

    from common.arrivals import Message
    from common.console import Printer
    from common.identity import Identity
    from common.registrar_client import RegistrarClient
    from common.session import Session
    from common.settings import Settings
    from common.topics import ImageTopic
    from subscriber.inbox import Inbox

_log = logging.getLogger(__name__)
# What an image is found to be when it is opened, or what the registrar says of it: final. All else may pass.
_NOTED_CODES = frozenset({"not_verified", "expired", "not_recipient"})
# An announcement with nothing behind it: whoever forged it could otherwise keep out the image that comes later.
_UNFOUNDED_CODES = frozenset({"invalid_announcement", "unknown_image"})


class Receiver:
    """Takes images and announcements as they arrive, and saves what it can verify."""

    def __init__(
        self,
        *,
        identity: Identity,
        session: Session,
        registrar: RegistrarClient,
        inbox: Inbox,
        ledger: Ledger,
        printer: Printer,
        settings: Settings,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._identity = identity
        self._session = session
        self._registrar = registrar
        self._inbox = inbox
        self._ledger = ledger
        self._printer = printer
        self._settings = settings
        self._clock = clock
        self._waiting = WaitingImages(settings.waiting_images, settings.waiting_bytes, session.acknowledge)
        self._postponed: dict[ImageTopic, Message] = {}
        self.saved = 0

    def take(self, message: Message) -> None:
        """Deal with one message from the broker."""
        image = topics.parse_image(message.topic)
        announced = topics.parse_announcement(message.topic)
        if image is not None and not self._ledger.knows(image.owner, image.image_id):
            self._waiting.add(image, message)
        elif announced is not None and message.payload:
            earlier = self._postponed.get(announced)
            if earlier is None:
                self._receive(announced, message)
            else:
                self._session.acknowledge(earlier)
                self._postponed[announced] = message
        else:
            self._session.acknowledge(message)

    def try_postponed(self) -> None:
        """Try again what a passing fault kept from being saved.

        The first that fails again ends the round and goes to the end: while nobody answers, each try takes its time.
        """
        for topic in list(self._postponed):
            self._receive(topic, self._postponed.pop(topic), again=True)
            if topic in self._postponed:
                return

    def _receive(self, topic: ImageTopic, message: Message, *, again: bool = False) -> None:
        """Say NEW_IMAGE, obtain, open, save, note, acknowledge: in this order."""
        try:
            if not self._ledger.knows(topic.owner, topic.image_id):
                self._save_or_refuse(topic, message, again=again)
        except SealcastError as error:
            _log.warning("will try again: %s", error.message)
            self._postponed[topic] = message
            return
        self._inbox.settle(topic.owner, topic.image_id)
        self._waiting.drop(topic)
        self._session.acknowledge(message)

    def _save_or_refuse(self, topic: ImageTopic, message: Message, *, again: bool) -> None:
        """Save the announced image, or refuse it; raises SealcastError for what may pass, such as a full disk."""
        try:
            announcement = _read_announcement(topic, message)
            if not again:
                self._say_new_image(announcement)
            opened = self._obtain_and_open(topic, announcement)
        except SealcastError as error:
            if error.code not in _NOTED_CODES | _UNFOUNDED_CODES:
                raise
            self._refuse(topic, error)
        else:
            self._save(opened)

    def _obtain_and_open(self, topic: ImageTopic, announcement: messages.Announcement) -> OpenedImage:
        """Open the image that came natively; where none did, or it does not hold, the registrar's copy.

        That one no broker can have altered, and it was stored while its owner's certificate was valid.
        """
        self._registrar.refresh_trust()
        native = self._waiting.get(topic)
        if native is not None and sha256(native.payload).hexdigest() == announcement.sha256_sealed:
            try:
                return self._open(native.payload, topic, at=self._clock())
            except VerificationError as error:
                _log.info("fetching %s, since what came does not hold: %s", topic.image_id, error.reason)
        content, part = self._registrar.fetch(topic.image_id, self._settings.maximum_sealed_size)
        if part.topic != topic.image:
            raise _unfounded("the registrar has the image under another topic")
        return self._open(content, topic, at=part.stored_at)

    def _open(self, sealed: bytes, topic: ImageTopic, *, at: dt.datetime) -> OpenedImage:
        try:
            return self._open_with(None, sealed, topic, at=at)
        except NotRecipientError:
            return self._open_with(self._ask_for_key(topic.image_id), sealed, topic, at=at)

    def _open_with(
        self, released_key: bytes | None, sealed: bytes, topic: ImageTopic, *, at: dt.datetime
    ) -> OpenedImage:
        return open_sealed(
            sealed,
            topic=topic.image,
            reader=self._identity.reader,
            trust=self._identity.trust,
            at=at,
            now=self._clock(),
            maximum_size=self._settings.maximum_sealed_size,
            released_key=released_key,
            seen=self._ledger.knows,
            maximum_pixels=self._settings.maximum_pixels,
        )

    def _ask_for_key(self, image_id: uuid.UUID) -> bytes | None:
        """Return the content key that the registrar releases, or None where it does not."""
        released = self._registrar.release([image_id])
        for key in released.keys:
            if key.image_id == image_id:
                return unwrap_key(key.encrypted_key, self._identity.key)
        return None

    def _save(self, opened: OpenedImage) -> None:
        header = opened.header
        topic = topics.parse_image(header.topic)
        channel = topic.channel if topic else ""
        path = self._inbox.save(opened.image, header)
        entry = Entry(header.owner, header.image_id, channel, SAVED, path, header.sha256)
        self._ledger.add(entry, self._clock())
        self.saved += 1
        self._printer.event(
            f"saved      {path}  (verified: from {header.owner})" + _second_line(header.caption),
            event="saved",
            image_id=header.image_id,
            owner=header.owner,
            channel=channel,
            name=header.name,
            path=path,
            sha256=header.sha256,
            caption=header.caption,
        )

    def _say_new_image(self, announcement: messages.Announcement) -> None:
        shown = announcement.name or "(for named people)"
        self._printer.event(
            f"NEW_IMAGE  {shown}  from {announcement.owner} on {announcement.channel}, {announcement.size:,} bytes",
            event="NEW_IMAGE",
            image_id=announcement.image_id,
            owner=announcement.owner,
            channel=announcement.channel,
            name=announcement.name,
            size=announcement.size,
        )

    def _refuse(self, topic: ImageTopic, error: SealcastError) -> None:
        reason = error.reason if isinstance(error, VerificationError) else error.message
        _log.info("refused %s of %s: %s", topic.image_id, topic.owner, reason)
        if error.code in _NOTED_CODES:
            self._ledger.add(Entry(topic.owner, topic.image_id, topic.channel, error.code), self._clock())
        self._printer.event(
            f"refused    {topic.image_id}  from {topic.owner}: {error.message}",
            event="refused",
            image_id=topic.image_id,
            code=error.code,
            message=error.message,
        )


def _second_line(caption: str | None) -> str:
    return f"\n           {caption}" if caption else ""


def _read_announcement(topic: ImageTopic, message: Message) -> messages.Announcement:
    try:
        announcement = messages.read(messages.Announcement, message.payload)
    except VerificationError as error:
        raise _unfounded(error.reason) from error
    if topics.ImageTopic(announcement.owner, announcement.channel, announcement.image_id) != topic:
        raise _unfounded("it is for another topic")
    return announcement


def _unfounded(reason: str) -> VerificationError:
    return VerificationError(reason, message="the announcement is not the registrar's", code="invalid_announcement")
