"""Getting sealed images and opening them: what came natively, or the archive's copy (docs/protocol.md, "Receiving").

What a fetch has brought stays until the image is dealt with, so that after a cut, or for a full disk, the next try goes
on from there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.enveloping import unwrap_key
from common.errors import RefusedError, VerificationError
from common.sealing import NotRecipientError, OpenedImage, open_sealed

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable

    from common.identity import Identity
    from common.images import Inspect
    from common.messages import FetchResult
    from common.registrar_client import RegistrarClient
    from common.settings import Settings
    from common.topics import ImageTopic

INVALID_ANNOUNCEMENT_CODE = "invalid_announcement"
_log = logging.getLogger(__name__)


@dataclass
class _Download:
    """What fetching has brought of an image; ``last`` is the reply that completed it."""

    image_id: uuid.UUID
    content: bytearray = field(default_factory=bytearray)
    last: FetchResult | None = None
    has_grown: bool = False  # at the last try


class Obtainer:
    """Obtains and opens images for one identity.

    ``seen`` tells of an owner and an image id whether that image was opened before.
    """

    def __init__(
        self,
        identity: Identity,
        registrar: RegistrarClient,
        *,
        inspect: Inspect,
        settings: Settings,
        clock: Callable[[], dt.datetime],
        seen: Callable[[str, uuid.UUID], bool],
    ) -> None:
        self._identity = identity
        self._registrar = registrar
        self._inspect = inspect
        self._settings = settings
        self._clock = clock
        self._seen = seen
        self._download: _Download | None = None

    @property
    def resuming(self) -> uuid.UUID | None:
        """The image to go on with first: a part of it is here, and the last try has brought more of it."""
        return self._download.image_id if self._download and self._download.has_grown else None

    def refresh_trust(self) -> None:
        """Take over the newest revocation list; raises SessionError without one that is in date."""
        self._registrar.refresh_trust()

    def open_native(self, sealed: bytes, topic: ImageTopic) -> OpenedImage:
        """Open an image that came natively on ``topic``; raises VerificationError."""
        return self._open(sealed, topic.image, topic.image_id)

    def fetch_and_open(self, image_id: uuid.UUID, announced: ImageTopic | None = None) -> OpenedImage:
        """Open the archive's copy, which no broker can have altered, and which its owner had stored as a member.

        Raises SealcastError; VerificationError only where the image was fetched in one go, since what an earlier try
        has brought may not fit the rest, and with the code ``invalid_announcement`` where it was announced elsewhere.
        """
        if self._download and self._download.image_id == image_id:
            try:
                return self._complete_and_open(self._download, announced)
            except VerificationError as error:
                _log.info("fetching %s once more from its beginning: %s", image_id, error.reason)
                self.drop(image_id)
        return self._complete_and_open(_Download(image_id), announced)

    def drop(self, image_id: uuid.UUID) -> None:
        """Let go of what was fetched of an image that is dealt with."""
        if self._download and self._download.image_id == image_id:
            self._download = None

    def _complete_and_open(self, download: _Download, announced: ImageTopic | None) -> OpenedImage:
        length = len(download.content)
        try:
            if download.last is None:
                maximum_size = self._settings.maximum_sealed_size
                owner = None if announced is None else announced.owner
                _, download.last = self._registrar.fetch(download.image_id, maximum_size, download.content, owner=owner)
        except VerificationError as error:
            if error.code == "damaged":
                # Once the registrar's copy is mended, nothing of it fits any more.
                download.content.clear()
            raise
        finally:
            download.has_grown = len(download.content) > length
            # One at a time; another that gets on is not ousted, or the two would oust each other for ever.
            if download.content and self.resuming is None:
                self._download = download
        topic, stored_at = download.last.topic, download.last.stored_at
        if announced is not None and announced.image != topic:
            raise unfounded("the registrar has the image under another topic")
        return self._open(bytes(download.content), topic, download.image_id, stored_at)

    def _open(
        self, sealed: bytes, topic: str, image_id: uuid.UUID, stored_at: dt.datetime | None = None
    ) -> OpenedImage:
        """Open an image that the registrar stored then (None: nobody says that it has)."""
        try:
            return self._open_with(None, sealed, topic, stored_at)
        except NotRecipientError:
            return self._open_with(self._ask_for_key(image_id), sealed, topic, stored_at)

    def _open_with(
        self, released_key: bytes | None, sealed: bytes, topic: str, stored_at: dt.datetime | None
    ) -> OpenedImage:
        now = self._clock()
        return open_sealed(
            sealed,
            topic=topic,
            reader=self._identity.reader,
            trust=self._identity.trust,
            at=stored_at or now,
            may_have_ended=stored_at is not None,
            now=now,
            maximum_size=self._settings.maximum_sealed_size,
            released_key=released_key,
            seen=self._seen,
            inspect=self._inspect,
        )

    def _ask_for_key(self, image_id: uuid.UUID) -> bytes | None:
        """Return the content key that the registrar releases, or None where it does not.

        Raises RefusedError, ``unknown_image``, where the registrar has no such image any more.
        """
        released = self._registrar.release([image_id])
        for key in released.keys:
            if key.image_id == image_id:
                return unwrap_key(key.encrypted_key, self._identity.key)
        if any(refused.code == "unknown_image" for refused in released.refused):
            raise RefusedError("there is no such image", hint="check the image id", code="unknown_image")
        return None


def unfounded(reason: str) -> VerificationError:
    """Return the error for an announcement with nothing behind it."""
    return VerificationError(reason, message="the announcement is not the registrar's", code=INVALID_ANNOUNCEMENT_CODE)
