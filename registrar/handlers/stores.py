"""What every handler works with, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.errors import RefusedError
from common.sealing import Reader
from registrar.listing import Viewer

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.settings import Settings
    from registrar.accounts import Accounts
    from registrar.archive import Archive
    from registrar.audit import AuditLog
    from registrar.authority import Authority
    from registrar.catalogue import Catalogue, Record
    from registrar.deletions import Deletions
    from registrar.receipts import Receipts
    from registrar.revocations import Revocations
    from registrar.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Publication:
    """A retained message to publish; an empty payload withdraws. The broker may forget it after ``expiry`` seconds."""

    topic: str
    payload: bytes
    expiry: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an operation, and what everybody may see of it."""

    result: messages.Result
    publications: tuple[Publication, ...] = ()


@dataclass(frozen=True, slots=True)
class Stores:
    """The registrar's stores, its own key, and its settings."""

    authority: Authority
    key: rsa.RSAPrivateKey
    accounts: Accounts
    revocations: Revocations
    deletions: Deletions
    tokens: Tokens
    audit: AuditLog
    catalogue: Catalogue
    receipt_store: Receipts
    archive: Archive
    settings: Settings

    @property
    def certificate(self) -> x509.Certificate:
        """The registrar's certificate of now."""
        return self.authority.registrar[0]

    @property
    def reader(self) -> Reader:
        """The registrar's key and every certificate it has had: an image may have waited long in an outbox."""
        return Reader(self.key, self.authority.registrar)


def viewer_of(user: str, certificate: x509.Certificate) -> Viewer:
    """Return who asks for images, or has received one."""
    return Viewer(user, certificates.subject_key_identifier(certificate))


def gone(catalogue: Catalogue, image_id: uuid.UUID, owner: str | None) -> RefusedError:
    """Return why there is no image with this id, of this owner or of anybody."""
    removal = catalogue.removal(image_id, owner)
    if removal is None or removal.reason == "lost":
        return RefusedError("there is no such image", hint="check the image id", code="unknown_image")
    how = "has expired" if removal.reason == "expired" else f"was removed by {removal.owner}"
    return RefusedError(f"the image {how}", code="removed")


def notice_of(record: Record) -> messages.Announcement:
    """Return the NEW_IMAGE of a stored image (docs/protocol.md, "Announcements")."""
    return messages.Announcement(
        image_id=record.image_id,
        name=record.name,
        owner=record.owner,
        channel=record.channel,
        size=record.size,
        sealed_size=record.sealed_size,
        sha256_sealed=record.sha256_sealed,
        stored_at=record.stored_at,
        expires_at=record.expires_at,
    )


def announcement(record: Record, now: dt.datetime) -> Publication:
    """Return the announcement of a stored image; the broker keeps it for as long as the registrar keeps the image."""
    topic = topics.ImageTopic(record.owner, record.channel, record.image_id)
    expiry = messages.seconds_left(record.expires_at, now)
    return Publication(topic.announcement, notice_of(record).to_json(), expiry)
