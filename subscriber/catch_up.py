"""Catching up: the catalogue brings what a broker has lost (docs/protocol.md, "Catching up").

The reader keeps a mark in the catalogue. It is moved on durably only while everything before it is in the ledger, so
that a crash or a full disk skips nothing; in memory reading goes on behind what could not be saved yet.
"""

from __future__ import annotations

import logging
import math
import secrets
from typing import TYPE_CHECKING

from common import topics
from common.errors import RefusedError, SealcastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from common.messages import Announcement
    from common.registrar_client import RegistrarClient
    from common.settings import Settings
    from common.topics import ImageTopic
    from subscriber.ledger import Ledger
    from subscriber.receive import Receiver

MOST_UNSETTLED = 10_000  # images; reading does not go on behind more than these
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
        # What was listed before the mark in memory and was neither saved nor refused.
        self._unsettled: dict[ImageTopic, Announcement] = {}
        self._round: Iterator[None] | None = None
        self._due = monotonic()
        self._said = ""

    def begin_soon(self) -> None:
        """Have a round begin with the next step, or after the one that is on its way."""
        self._due = self._monotonic()

    def step(self) -> bool:
        """Do the next part of a round that is due, one request or one image; return whether there is more to do."""
        if self._round is None:
            # What keeps one image from being saved would keep the others, too.
            if self._monotonic() < self._due or self._receiver.postponed.is_hindered:
                return False
            self._round = self._read_on()
            self._due = math.inf
        try:
            next(self._round)
        except StopIteration:
            self._said = ""
            is_hindered = self._receiver.postponed.is_hindered
            self._end_round(self._settings.retry_seconds if is_hindered else self._settings.catch_up_seconds)
        except SealcastError as error:
            if error.code != self._said:
                _log.warning("cannot ask for what was missed, will try again: %s", error.message)
                self._said = error.code
            passes_soon = not isinstance(error, RefusedError) or error.retry_after is not None
            self._end_round(self._settings.retry_seconds if passes_soon else self._settings.catch_up_seconds)
        return self._round is not None

    def _read_on(self) -> Iterator[None]:
        """Go through the catalogue from the mark to its end, or to where nothing more can be saved for now."""
        for announcement in list(self._unsettled.values()):
            self._take(announcement, again=True)
            if self._receiver.postponed.is_hindered:
                return
            yield
        complete = False
        while not complete:
            page = self._registrar.list("oldest", self._mark)
            yield
            for announcement in page.images:
                if self._is_missing(announcement):
                    if len(self._unsettled) >= MOST_UNSETTLED:
                        return
                    self._take(announcement)
                    if self._receiver.postponed.is_hindered:
                        return
                    yield
            complete = page.complete or page.mark == self._mark
            self._mark = page.mark
            self._keep_mark()

    def _is_missing(self, announcement: Announcement) -> bool:
        """Tell whether an image is wanted and was neither dealt with nor tried in this round."""
        return (
            topics.is_among(announcement.channel, self._channel_filters)
            and _topic(announcement) not in self._unsettled
            and not self._ledger.knows(announcement.owner, announcement.image_id)
        )

    def _take(self, announcement: Announcement, *, again: bool = False) -> None:
        if self._receiver.take_listed(announcement, again=again):
            self._unsettled.pop(_topic(announcement), None)
        else:
            self._unsettled[_topic(announcement)] = announcement

    def _keep_mark(self) -> None:
        """Move the mark on durably, unless what was listed before it is unknown to the ledger.

        That it does not wait any more says nothing: a broker's announcement may have been refused in its place.
        """
        if all(self._ledger.knows(topic.owner, topic.image_id) for topic in self._unsettled):
            self._unsettled.clear()
            if self._mark is not None and self._mark != self._kept_mark:
                self._ledger.keep_mark(self._mark, self._channel_filters)
                self._kept_mark = self._mark

    def _end_round(self, pause: float) -> None:
        self._round = None
        # Unless the next one was asked for while this one was on its way.
        self._due = min(self._due, self._monotonic() + pause * _random.uniform(_SHORTEST_SHARE, _LONGEST_SHARE))


def _topic(announcement: Announcement) -> ImageTopic:
    return topics.ImageTopic(announcement.owner, announcement.channel, announcement.image_id)
