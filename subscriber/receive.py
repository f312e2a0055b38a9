"""Receiving: from an announcement to a verified file (docs/protocol.md, "Receiving")."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING

from common import messages, topics
from common.arrivals import Message
from common.errors import SealcastError, VerificationError
from subscriber.keeping import is_refusal
from subscriber.obtaining import INVALID_ANNOUNCEMENT_CODE, unfounded
from subscriber.postponed import PostponedImages
from subscriber.waiting import WaitingImages

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.console import Printer
    from common.sealing import OpenedImage
    from common.session import Session
    from common.settings import Settings
    from common.topics import ImageTopic
    from subscriber.keeping import Keeper
    from subscriber.ledger import Ledger
    from subscriber.obtaining import Obtainer

_log = logging.getLogger(__name__)


class Receiver:
    """Takes images and announcements as they arrive, and has saved what can be verified."""

    def __init__(
        self,
        *,
        session: Session,
        obtainer: Obtainer,
        keeper: Keeper,
        ledger: Ledger,
        printer: Printer,
        settings: Settings,
    ) -> None:
        self._session = session
        self._obtainer = obtainer
        self._keeper = keeper
        self._ledger = ledger
        self._printer = printer
        self._waiting = WaitingImages(settings.waiting_images, settings.waiting_bytes, session.acknowledge)
        self.postponed = PostponedImages(session.acknowledge)

    def take(self, message: Message) -> None:
        """Deal with one message from the broker."""
        image = topics.parse_image(message.topic)
        announced = topics.parse_announcement(message.topic)
        if image is not None and not self._ledger.knows(image.owner, image.image_id):
            self._waiting.add(image, message)
        elif announced is not None and message.payload:
            if announced in self.postponed:
                self.postponed.replace(announced, message)
            else:
                self._receive(announced, message)
        else:
            self._session.acknowledge(message)

    def take_listed(self, announcement: messages.Announcement, *, again: bool = False) -> bool:
        """Deal with an image that the signed catalogue lists; ``again`` where that was tried before.

        Returns whether it is dealt with for good: saved, refused, or taken out of the catalogue meanwhile.
        """
        topic = topics.ImageTopic(announcement.owner, announcement.channel, announcement.image_id)
        message = Message(topic.announcement, announcement.to_json())
        if topic in self.postponed:
            self.postponed.replace_by_listed(topic, message)
            return False
        return self._receive(topic, message, is_listed=True, again=again)

    def try_postponed(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Try again what could not be saved, until ``is_over``.

        What would fail for the next one too ends the round: while nobody answers, each try takes its time.
        """
        for topic, message in self.postponed.in_turn(self._obtainer.resuming):
            if is_over():
                return
            self._receive(topic, message, again=True)
            if self.postponed.is_hindered:
                return

    def _receive(self, topic: ImageTopic, message: Message, *, is_listed: bool = False, again: bool = False) -> bool:
        """Say NEW_IMAGE, obtain, open, save, note, acknowledge: in this order; return whether it is dealt with."""
        is_settled = True
        try:
            if not self._ledger.knows(topic.owner, topic.image_id):
                is_settled = self._save_or_refuse(topic, message, again=again)
        except SealcastError as error:
            _log.info("will try %s again: %s", topic.image_id, error.message)
            self.postponed.add(topic, message, error, is_listed=is_listed)
            return False
        self._keeper.settle(topic.owner, topic.image_id)
        self._obtainer.drop(topic.image_id)
        self._waiting.drop(topic)
        self.postponed.settle(topic)
        if not again:
            # Otherwise it has been, or that was where it waited.
            self._session.acknowledge(message)
        return is_settled

    def _save_or_refuse(self, topic: ImageTopic, message: Message, *, again: bool) -> bool:
        """Save the announced image, or refuse it; return False where only its announcement is refused.

        Raises SealcastError for what may pass, such as a full disk.
        """
        try:
            announcement = _read_announcement(topic, message)
            if not again:
                self._say_new_image(announcement)
            opened = self._obtain_and_open(topic, announcement)
        except SealcastError as error:
            if not is_refusal(error):
                raise
            self._keeper.refuse(topic, error)
            return error.code != INVALID_ANNOUNCEMENT_CODE
        self._keeper.save(opened)
        return True

    def _obtain_and_open(self, topic: ImageTopic, announcement: messages.Announcement) -> OpenedImage:
        """Open the image that came natively; where none did, or it does not hold, the archive's copy."""
        self._obtainer.refresh_trust()
        native = self._waiting.get(topic)
        if native is not None and sha256(native.payload).hexdigest() == announcement.sha256_sealed:
            try:
                return self._obtainer.open_native(native.payload, topic)
            except VerificationError as error:
                _log.info("fetching %s, since what came does not hold: %s", topic.image_id, error.reason)
        return self._obtainer.fetch_and_open(topic.image_id, topic)

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


def _read_announcement(topic: ImageTopic, message: Message) -> messages.Announcement:
    try:
        announcement = messages.read(messages.Announcement, message.payload)
    except VerificationError as error:
        raise unfounded(error.reason) from error
    if topics.ImageTopic(announcement.owner, announcement.channel, announcement.image_id) != topic:
        raise unfounded("it is for another topic")
    return announcement
