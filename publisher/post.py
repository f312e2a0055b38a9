"""Posting: from a file to a stored, announced image (docs/protocol.md, "Sealing" and "Posting")."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from common import display, images, messages, topics
from common.certificates import fingerprint
from common.errors import ConfigurationError, SealcastError, SessionError
from common.metadata import strip_metadata
from common.sealing import seal

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cryptography import x509

    from common.enveloping import Cipher
    from common.identity import Identity
    from common.registrar_client import RegistrarClient
    from common.settings import Settings

_MOST_PEOPLE = 64  # as many as a members request may name


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the owner wants for every image of one command; an empty ``to`` means every member."""

    to: tuple[str, ...]
    channel: str
    caption: str | None
    keep_metadata: bool
    cipher: Cipher

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what cannot be."""
        topics.check_channel(self.channel)
        for user in self.to:
            topics.check_user_name(user)
        if len(self.to) > _MOST_PEOPLE:
            raise ConfigurationError(
                f"an image can be for {_MOST_PEOPLE} people at most",
                hint="post it once more for the others, or for every member",
                code="too_many_people",
            )
        _check_caption(self.caption or "")

    @property
    def audience(self) -> messages.Audience:
        """For every member, or for named people."""
        return "named" if self.to else "members"


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that may be posted: its bytes as they will be sent, and what was taken out of them."""

    name: str
    content: bytes
    facts: images.ImageFacts
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Posted:
    """An image that is stored."""

    header: messages.ImageHeader
    channel: str
    sealed_size: int
    removed: tuple[str, ...]


def post_all(
    files: Sequence[Path],
    wishes: Wishes,
    identity: Identity,
    registrar: RegistrarClient,
    *,
    settings: Settings,
    clock: Callable[[], dt.datetime],
) -> Iterator[tuple[Path, Posted | SealcastError]]:
    """Post files, a few at a time, and yield what became of each, in their order.

    A file that cannot be posted keeps no other back. Raises SessionError when there is nobody to post to, and
    RefusedError where a recipient is not known.
    """
    # While the registrar is asked for the recipients, or stores an image, others are decoded and sealed.
    with ThreadPoolExecutor(settings.posts_at_once) as pool:
        recipients = pool.submit(find_recipients, wishes, registrar)

        def post_one(file: Path) -> Posted | SealcastError:
            try:
                picture = take_in(file, wishes, settings)
                return post(picture, wishes, recipients.result(), identity, registrar, now=clock())
            except SessionError:
                raise
            except SealcastError as error:
                return error

        outcomes = [pool.submit(post_one, file) for file in files]
        try:
            recipients.result()
            for file, outcome in zip(files, outcomes, strict=True):
                yield file, outcome.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def take_in(file: Path, wishes: Wishes, settings: Settings) -> Picture:
    """Read a file within the limits, decode it, and take out what is private; raises ImageError."""
    content = images.read_image_file(file, maximum_bytes=settings.maximum_image_size)
    facts = images.inspect(content, maximum_pixels=settings.maximum_pixels)
    if wishes.keep_metadata:
        return Picture(display_name(file), content, facts, ())
    stripped = strip_metadata(content, facts.media_type)
    return Picture(display_name(file), stripped.data, facts, stripped.removed)


def find_recipients(wishes: Wishes, registrar: RegistrarClient) -> list[x509.Certificate]:
    """Ask the registrar for whom to wrap the key: the named people, or itself and every member up to the limit."""
    certificates, registrar_certificate = registrar.members(wishes.to or None)
    return certificates if wishes.to else [registrar_certificate, *certificates]


def post(
    picture: Picture,
    wishes: Wishes,
    recipients: Sequence[x509.Certificate],
    identity: Identity,
    registrar: RegistrarClient,
    *,
    now: dt.datetime,
) -> Posted:
    """Seal, sign and publish one picture; return when the registrar has stored it."""
    topic = topics.ImageTopic(identity.user, wishes.channel, topics.new_image_id(now))
    header = messages.ImageHeader(
        image_id=topic.image_id,
        owner=topic.owner,
        audience=wishes.audience,
        recipients=tuple(sorted({fingerprint(certificate) for certificate in recipients})),
        topic=topic.image,
        name=picture.name,
        media_type=picture.facts.media_type,
        width=picture.facts.width,
        height=picture.facts.height,
        size=len(picture.content),
        sha256=sha256(picture.content).hexdigest(),
        sent_at=now,
        caption=wishes.caption,
    )
    sealed = seal(
        picture.content,
        header,
        key=identity.key,
        certificate=identity.certificate,
        recipients=recipients,
        cipher=wishes.cipher,
    )
    announced_name = picture.name if wishes.audience == "members" else None
    registrar.store(sealed, topic, name=announced_name, size=header.size)
    return Posted(header, wishes.channel, len(sealed), picture.removed)


def _check_caption(caption: str) -> None:
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            "the caption is not UTF-8", hint="set the terminal's encoding to UTF-8", code="invalid_caption"
        ) from error
    if not display.is_displayable(caption):
        raise ConfigurationError(
            "the caption has control characters", hint="write it in one line of plain text", code="invalid_caption"
        )
    if len(caption) > display.LONGEST_CAPTION:
        raise ConfigurationError(
            f"the caption is longer than {display.LONGEST_CAPTION:,} characters",
            hint="shorten it",
            code="invalid_caption",
        )


def display_name(file: Path) -> str:
    """Return the file's name as readers may see it: no controls, no separators, not too long."""
    return display.make_name(file.name)[-display.LONGEST_NAME :] or "image"
