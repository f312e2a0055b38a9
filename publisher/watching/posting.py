"""One file of a watched folder: is it complete, is it new, and then into the outbox and on its way."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from common import images
from common.errors import ImageError, SealcastError
from publisher.post import display_name, prepare, seal_picture
from publisher.watching.channels import channel_of
from publisher.watching.completeness import is_written
from publisher.watching.folder import File

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Iterator
    from pathlib import PurePosixPath
    from typing import TypeAlias

    from common.images import Inspect
    from common.settings import Settings
    from publisher.courier import Outcome
    from publisher.outbox import Outbox
    from publisher.post import Wishes
    from publisher.watching.completeness import Sight
    from publisher.watching.folder import Folder, Stamp
    from publisher.watching.line import Line
    from publisher.watching.memory import Memory

# What may be said of a file only because the rest of it is still to come.
_MAY_GROW = frozenset({"truncated", "empty"})


@dataclass(frozen=True, slots=True)
class Later:
    """A file may be complete in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Changed:
    """A file is not what it was when it was seen, but this, or gone (None)."""

    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class HeldUp:
    """Nothing can be posted at the moment, whichever file it is."""

    error: SealcastError


@dataclass(frozen=True, slots=True)
class Known:
    """These bytes are posted already."""


Result: TypeAlias = "Outcome | Later | Changed | HeldUp | Known | SealcastError"


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time of day, in seconds since 1970 as files have it, and a clock that nobody sets."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


class Poster:
    """Posts the files of one folder, from any thread."""

    def __init__(
        self,
        folder: Folder,
        memory: Memory,
        outbox: Outbox,
        line: Line,
        wishes: Wishes,
        *,
        channels_by_folder: bool,
        inspect: Inspect,
        settings: Settings,
        clocks: Clocks,
    ) -> None:
        self._folder = folder
        self._memory = memory
        self._outbox = outbox
        self._line = line
        self._wishes = wishes
        self._channels_by_folder = channels_by_folder
        self._inspect = inspect
        self._settings = settings
        self.clocks = clocks
        self._in_hand: set[str] = set()
        self._lock = threading.Lock()

    def post(self, path: PurePosixPath, sight: Sight) -> Result:
        """Post a file if it is complete and new, and tell what came of it."""
        quiet = 0.0
        try:
            quiet = self._quiet_seconds(path, sight)
            if quiet < self._settings.settle_seconds:
                return Later(self._settings.settle_seconds - quiet)
            content = images.read_image_file(
                self._folder.show(path),
                maximum_bytes=self._settings.maximum_image_size,
                opener=lambda _, flags: self._folder.open(path, flags),
            )
            now = self._folder.stamp(path)
            return self._post(File(path, sight.stamp), content) if now == sight.stamp else Changed(now)
        except SealcastError as error:
            if error.code in _MAY_GROW and quiet < self._settings.unfinished_seconds:
                return Later(self._settings.unfinished_seconds - quiet)
            now = self._folder.stamp(path)
            return error if now == sight.stamp else Changed(now)

    def _quiet_seconds(self, path: PurePosixPath, sight: Sight) -> float:
        try:
            descriptor = self._folder.open(path)
        except OSError:
            return self._settings.settle_seconds  # reading says what is wrong
        try:
            written = is_written(descriptor)
        finally:
            os.close(descriptor)
        return sight.quiet_seconds(self.clocks.monotonic(), self.clocks.wall(), is_written=written)

    def _post(self, file: File, content: bytes) -> Result:
        digest = sha256(content).hexdigest()
        with self._hold(digest) as is_free:
            if not is_free:
                return Later(self._settings.settle_seconds)
            if (image_id := self._posted_as(digest)) is not None:
                self._memory.finish(file, digest, image_id)
                return Known()
            channel = channel_of(file.path, self._wishes.channel) if self._channels_by_folder else self._wishes.channel
            wishes = replace(self._wishes, channel=channel)
            picture = prepare(display_name(self._folder.show(file.path)), content, wishes, self._inspect)
            try:
                recipients, courier = self._line.recipients, self._line.courier
            except SealcastError as error:
                return HeldUp(error)
            posted = seal_picture(picture, wishes, recipients, courier.identity, now=courier.clock())
            self._memory.intend(digest, posted.header.image_id)
            with self._outbox.add(posted.item, posted.sealed) as claim:
                self._memory.finish(file, digest, posted.header.image_id)
                # Where the registrar refuses it, it stays in the outbox: its owner decides, not the folder.
                return courier.deliver(claim, is_new=False)

    @contextlib.contextmanager
    def _hold(self, digest: str) -> Iterator[bool]:
        """Tell whether no other thread has the same bytes in hand, and then keep them from all others."""
        with self._lock:
            is_free = digest not in self._in_hand
            self._in_hand.add(digest)
        try:
            yield is_free
        finally:
            if is_free:
                self._in_hand.discard(digest)

    def _posted_as(self, digest: str) -> uuid.UUID | None:
        posted = self._memory.find(digest)
        if posted is None or not (posted.in_outbox or self._outbox.has_taken(posted.image_id)):
            return None
        return posted.image_id


def is_skipped(error: SealcastError) -> bool:
    """Tell whether a file is no image to post, as it is; anything else may go better another time."""
    return isinstance(error, ImageError) and error.code != "unreadable"
