"""Catching up: the catalogue brings what a broker has lost (docs/protocol.md, "Catching up").

The reader keeps a mark in the catalogue. It is moved on durably only while everything before it is dealt with, so that
a crash or a full disk skips nothing; in memory reading goes on behind what could not be saved yet.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from common import topics
from common.arrivals import Message
from common.errors import RefusedError, SealcastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from common.messages import Announcement
    from common.registrar_client import RegistrarClient
    from common.settings import Settings
    from common.topics import ImageTopic
    from subscriber.ledger import Ledger
    from subscriber.receive import Receiver

_SHORTEST_SHARE, _LONGEST_SHARE = 0.75, 1.25  # of a pause, so that readers that began together do not stay together
_random = secrets.SystemRandom()
_log = logging.getLogger(__name__)


class CatchUp:
    """Reads the catalogue in rounds, step by step, and has the receiver take what the ledger does not know.

    The first round is due at once. ``channel_filters`` are those that are subscribed to; ``monotonic`` is a clock in
    seconds.
    """

    def __init__(
        self,
        *,
        registrar: RegistrarClient,
        receiver: Receiver,
        ledger: Ledger,
        channel_filters: Sequence[str],
        settings: Settings,
        monotonic: Callable[[], float],
    ) -> None:
        self._registrar = registrar
        self._receiver = receiver
        self._ledger = ledger
        self._channel_filters = channel_filters
        self._settings = settings
        self._monotonic = monotonic
        self._mark = self._kept_mark = ledger.mark(channel_filters)
        self._unsettled: set[ImageTopic] = set()
        self._round: Iterator[None] | None = None
        self._due = monotonic()
        self._said = ""

    def begin_soon(self) -> None:
        """Have a round begin with the next step, unless one is on its way."""
        self._due = self._monotonic()

    def step(self) -> bool:
        """Do the next part of a round that is due, one request or one image; return whether there is more to do."""
        if self._round is None:
            # What keeps one image from being saved would keep the others, too.
            if self._monotonic() < self._due or self._receiver.postponed.is_hindered:
                return False
            self._round = self._read_on()
        try:
            next(self._round)
        except StopIteration:
            self._said = ""
            ended_early = self._receiver.postponed.is_hindered or self._receiver.postponed.is_full
            self._end_round(self._settings.retry_seconds if ended_early else self._settings.catch_up_seconds)
        except SealcastError as error:
            if error.code != self._said:
                _log.warning("cannot ask for what was missed, will try again: %s", error.message)
                self._said = error.code
            passes_soon = not isinstance(error, RefusedError) or error.retry_after is not None
            self._end_round(self._settings.retry_seconds if passes_soon else self._settings.catch_up_seconds)
        return self._round is not None

    def _read_on(self) -> Iterator[None]:
        """Go through the catalogue from the mark to its end, or to where nothing more can be saved for now."""
        complete = False
        while not complete:
            page = self._registrar.list("oldest", self._mark)
            yield
            for announcement in page.images:
                if self._is_missing(announcement):
                    if self._receiver.postponed.is_full:
                        return
                    self._take(announcement)
                    if self._receiver.postponed.is_hindered:
                        return
                    yield
            complete = page.complete or page.mark == self._mark
            self._mark = page.mark
            self._keep_mark()

    def _is_missing(self, announcement: Announcement) -> bool:
        """Tell whether an image is wanted and neither dealt with nor waiting already."""
        if not topics.is_among(announcement.channel, self._channel_filters):
            return False
        topic = _topic(announcement)
        if topic in self._receiver.postponed:
            self._unsettled.add(topic)
            return False
        return not self._ledger.knows(topic.owner, topic.image_id)

    def _take(self, announcement: Announcement) -> None:
        topic = _topic(announcement)
        self._receiver.take(Message(topic.announcement, announcement.to_json()))
        if topic in self._receiver.postponed:
            self._unsettled.add(topic)

    def _keep_mark(self) -> None:
        self._unsettled = {topic for topic in self._unsettled if topic in self._receiver.postponed}
        if not self._unsettled and self._mark is not None and self._mark != self._kept_mark:
            self._ledger.keep_mark(self._mark, self._channel_filters)
            self._kept_mark = self._mark

    def _end_round(self, pause: float) -> None:
        self._round = None
        self._due = self._monotonic() + pause * _random.uniform(_SHORTEST_SHARE, _LONGEST_SHARE)


def _topic(announcement: Announcement) -> ImageTopic:
    return topics.ImageTopic(announcement.owner, announcement.channel, announcement.image_id)
