"""Posting: from a file to a stored, announced image (docs/protocol.md, "Sealing" and "Posting")."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from common import display, images, messages, topics
from common.certificates import check_member, check_registrar, fingerprint
from common.errors import ConfigurationError, SealcastError, VerificationError
from common.metadata import strip_metadata
from common.sealing import seal
from publisher.contacts import Contacts
from publisher.courier import may_pass
from publisher.items import Item
from publisher.reporting import warn_of_changed_devices

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryptography import x509

    from common.enveloping import Cipher
    from common.identity import Identity
    from common.images import Inspect
    from common.settings import Settings
    from publisher.courier import Courier, Outcome

_MOST_PEOPLE = 64  # as many as a members request may name


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the owner wants for every image of one command; an empty ``to`` means every member."""

    to: tuple[str, ...]
    channel: str
    caption: str | None
    keep_metadata: bool
    cipher: Cipher
    lifetime: dt.timedelta | None = None

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
    """A picture as it is posted: sealed, with its header, and what was taken out of it before."""

    header: messages.ImageHeader
    channel: str
    sealed: bytes
    removed: tuple[str, ...]

    @property
    def item(self) -> Item:
        """What the outbox keeps of it beside the sealed image."""
        header = self.header
        return Item(
            topic=topics.ImageTopic(header.owner, self.channel, header.image_id),
            audience=header.audience,
            name=header.name,
            size=header.size,
            sealed_size=len(self.sealed),
            sha256=header.sha256,
            removed=self.removed,
            added_at=header.sent_at,
            expires_at=header.expires_at,
        )


def post_all(
    files: Sequence[Path], wishes: Wishes, courier: Courier, *, inspect: Inspect, settings: Settings
) -> Iterator[tuple[Path | None, Outcome | SealcastError]]:
    """Send what waits from earlier, then post files, a few at a time; yield what became of each, in their order.

    What waited from earlier has no file; a file that cannot be posted at all has an error in place of an outcome, also
    where it is one that all of them share: a recipient is not known. None of them keeps another back.
    """
    # While the registrar is asked for the recipients, or stores an image, others are decoded and sealed.
    with ThreadPoolExecutor(settings.posts_at_once) as pool:
        recipients = pool.submit(find_recipients, wishes, courier)

        def post_one(file: Path) -> Outcome | SealcastError:
            try:
                picture = take_in(file, wishes, inspect, settings)
                posted = seal_picture(picture, wishes, recipients.result(), courier.identity, now=courier.clock())
                return post(posted, courier)
            except SealcastError as error:
                return error

        earlier = courier.deliver_waiting(pool)
        outcomes = [pool.submit(post_one, file) for file in files]
        try:
            for outcome in earlier:
                yield None, outcome
            for file, posting in zip(files, outcomes, strict=True):
                yield file, posting.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def post(posted: Posted, courier: Courier) -> Outcome:
    """Put an image into the outbox, and send it from there; raises ConfigurationError where the disk is full."""
    with courier.outbox.add(posted.item, posted.sealed) as claim:
        return courier.deliver(claim, is_new=True)


def take_in(file: Path, wishes: Wishes, inspect: Inspect, settings: Settings) -> Picture:
    """Read a file within the limits, decode it, and take out what is private; raises ImageError."""
    content = images.read_image_file(file, maximum_bytes=settings.maximum_image_size)
    return prepare(display_name(file), content, wishes, inspect)


def prepare(name: str, content: bytes, wishes: Wishes, inspect: Inspect) -> Picture:
    """Decode what was read from a file, and take out what is private; raises ImageError."""
    facts = inspect(content)
    if wishes.keep_metadata:
        return Picture(name, content, facts, ())
    stripped = strip_metadata(content, facts.media_type)
    return Picture(name, stripped.data, facts, stripped.removed)


def find_recipients(wishes: Wishes, courier: Courier) -> list[x509.Certificate]:
    """Return for whom to wrap the key: the named people, or the registrar and every member up to the limit.

    The registrar says who they are. Where it cannot be reached they are those whom it has named earlier, and for every
    member itself alone: it releases the key to all others.
    """
    certificates = _ask_or_recall(wishes, courier)
    if wishes.to:
        warn_of_changed_devices(courier.identity.home, certificates)
    return certificates


def _ask_or_recall(wishes: Wishes, courier: Courier) -> list[x509.Certificate]:
    contacts = Contacts(courier.identity.home)
    if courier.unreachable is None:
        try:
            certificates, registrar_certificate = courier.registrar.members(wishes.to or None)
        except SealcastError as error:
            if not may_pass(error):
                raise
            courier.give_up(error)
        else:
            contacts.remember(certificates)
            return certificates if wishes.to else [registrar_certificate, *certificates]
    return recall_recipients(wishes, courier, contacts)


def recall_recipients(wishes: Wishes, courier: Courier, contacts: Contacts) -> list[x509.Certificate]:
    """Return the recipients that are known without asking; raises ``courier.unreachable`` where none can be trusted."""
    identity, now = courier.identity, courier.clock()
    try:
        check_member(identity.certificate, identity.trust, at=now, now=now)
        check_registrar(identity.registrar, identity.trust, now=now)
    except VerificationError as error:
        # Nobody would accept what is sealed now.
        raise courier.unreachable or error from error
    known = {user: contacts.recall(user, identity.trust, now=now) for user in wishes.to}
    if unknown := sorted(user for user, theirs in known.items() if not theirs):
        raise ConfigurationError(
            f"no certificate of {', '.join(unknown)} is known here, and the registrar cannot be asked for one",
            hint="post it once the registrar can be reached",
            code="unknown_contact",
        )
    return [certificate for theirs in known.values() for certificate in theirs] if wishes.to else [identity.registrar]


def seal_picture(
    picture: Picture, wishes: Wishes, recipients: Sequence[x509.Certificate], identity: Identity, *, now: dt.datetime
) -> Posted:
    """Seal one picture under a fresh image id."""
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
        expires_at=None if wishes.lifetime is None else now + wishes.lifetime,
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
    return Posted(header, wishes.channel, sealed, picture.removed)


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
