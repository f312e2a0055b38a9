"""Receiving: from an announcement to a verified file (docs/protocol.md, "Receiving")."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from common import messages, topics
from common.enveloping import unwrap_key
from common.errors import ConfigurationError, RefusedError, SealcastError, SessionError, VerificationError
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
_PASSING_CODES = frozenset({"busy", "internal", "clock"})


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed image, the topic it came on, and when it was there: now, or when the registrar stored it."""

    content: bytes
    topic: str
    at: dt.datetime


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
        self._postponed: dict[str, Message] = {}
        self.saved = 0

    def take(self, message: Message) -> None:
        """Deal with one message from the broker."""
        image = topics.parse_image(message.topic)
        announced = topics.parse_announcement(message.topic)
        if image is not None and not self._ledger.knows(image.owner, image.image_id):
            self._waiting.add(image.image_id, message)
        elif announced is not None and message.payload and message.topic not in self._postponed:
            self._receive(announced, message)
        else:
            self._session.acknowledge(message)

    def try_postponed(self) -> None:
        """Try again what a passing fault kept from being saved."""
        postponed, self._postponed = self._postponed, {}
        for message in postponed.values():
            announced = topics.parse_announcement(message.topic)
            if announced is not None:
                self._receive(announced, message, again=True)

    def _receive(self, topic: ImageTopic, message: Message, *, again: bool = False) -> None:
        """Say NEW_IMAGE, obtain, open, save, note, acknowledge: in this order."""
        if not self._ledger.knows(topic.owner, topic.image_id):
            try:
                announcement = _read_announcement(topic, message)
                if not again:
                    self._say_new_image(announcement)
                opened = self._obtain_and_open(topic, announcement)
                self._save(opened)
            except SealcastError as error:
                if _is_passing(error):
                    self._postpone(message, error)
                    return
                self._refuse(topic, error)
        self._waiting.drop(topic.image_id)
        self._session.acknowledge(message)

    def _obtain_and_open(self, topic: ImageTopic, announcement: messages.Announcement) -> OpenedImage:
        sealed = self._obtain(topic, announcement)
        self._registrar.refresh_trust()
        try:
            return self._open(sealed, released_key=None)
        except NotRecipientError:
            return self._open(sealed, released_key=self._ask_for_key(topic.image_id))

    def _obtain(self, topic: ImageTopic, announcement: messages.Announcement) -> Sealed:
        """Return the image that came natively, or else, or where it is not the announced one, the archive's."""
        waiting = self._waiting.get(topic.image_id)
        if waiting is not None and sha256(waiting.payload).hexdigest() == announcement.sha256_sealed:
            return Sealed(waiting.payload, waiting.topic, self._clock())
        content, part = self._registrar.fetch(topic.image_id, self._settings.maximum_sealed_size)
        if part.topic != topic.image:
            raise VerificationError("the archive has the image under another topic")
        return Sealed(content, part.topic, part.stored_at)

    def _open(self, sealed: Sealed, *, released_key: bytes | None) -> OpenedImage:
        return open_sealed(
            sealed.content,
            topic=sealed.topic,
            reader=self._identity.reader,
            trust=self._identity.trust,
            at=sealed.at,
            now=self._clock(),
            maximum_size=self._settings.maximum_sealed_size,
            released_key=released_key,
            seen=self._ledger.knows,
            maximum_pixels=self._settings.maximum_pixels,
        )

    def _ask_for_key(self, image_id: uuid.UUID) -> bytes:
        released = self._registrar.release([image_id])
        for key in released.keys:
            if key.image_id == image_id:
                return unwrap_key(key.encrypted_key, self._identity.key)
        raise RefusedError("this image is for other people", code="not_recipient")

    def _save(self, opened: OpenedImage) -> None:
        header = opened.header
        topic = topics.parse_image(header.topic)
        channel = topic.channel if topic else ""
        path = self._inbox.save(opened.image, header)
        entry = Entry(header.owner, header.image_id, channel, SAVED, path, header.sha256)
        self._ledger.add(entry, self._clock())
        self._inbox.settle(header.owner, header.image_id)
        self.saved += 1
        self._printer.event(
            f"saved      {path}  (verified: from {header.owner})",
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
        self._ledger.add(Entry(topic.owner, topic.image_id, topic.channel, error.code), self._clock())
        self._printer.event(
            f"refused    {topic.image_id}  from {topic.owner}: {error.message}",
            event="refused",
            image_id=topic.image_id,
            code=error.code,
            message=error.message,
        )

    def _postpone(self, message: Message, error: SealcastError) -> None:
        _log.warning("will try again: %s", error.message)
        self._postponed[message.topic] = message


def _read_announcement(topic: ImageTopic, message: Message) -> messages.Announcement:
    announcement = messages.read(messages.Announcement, message.payload)
    named = topics.ImageTopic(announcement.owner, announcement.channel, announcement.image_id)
    if named != topic:
        raise VerificationError("the announcement is for another topic")
    return announcement


def _is_passing(error: SealcastError) -> bool:
    """Tell whether a later try can mend it: nobody answers, the registrar is busy, the disk is full."""
    return isinstance(error, SessionError | ConfigurationError) or error.code in _PASSING_CODES
