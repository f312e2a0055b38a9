"""The tables of the registrar's database; the steps that make them are in ``registrar/migrations``."""

from __future__ import annotations

import datetime as dt
import uuid  # noqa: TC003 - SQLAlchemy reads the annotations at run time
from typing import Literal

from sqlalchemy import BigInteger, Dialect, ForeignKey, Index, MetaData, String, Text
from sqlalchemy import types as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(sql.TypeDecorator[dt.datetime]):
    """An aware time in UTC, on databases with and without time zones."""

    impl = sql.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the time in UTC; a naive one is a mistake in the program."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a naive time has no place in the database")
        return value and value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - the same
        """Return the time in UTC; SQLite gives it back without its zone."""
        return value and (value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC))


class Table(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class AccountRow(Table):
    """A user and the Argon2id hash of the password; of one that was deleted, only that the name is not free."""

    __tablename__ = "accounts"
    user_name: Mapped[str] = mapped_column(String(32), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime, index=True)


class TokenRow(Table):
    """An invitation or a reset code that is open, by the SHA-256 of its token; ``user_name`` is None for anybody."""

    __tablename__ = "tokens"
    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[Literal["invitation", "reset"]] = mapped_column(String(10))
    user_name: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)


class DeviceRow(Table):
    """A key, by its subject key identifier; it belongs to one user for ever.

    ``successor`` is the key that its device has taken in its place, if it has.
    """

    __tablename__ = "devices"
    key_identifier: Mapped[bytes] = mapped_column(primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey(AccountRow.user_name), index=True)
    successor: Mapped[bytes | None] = mapped_column(index=True)


class CertificateRow(Table):
    """A certificate of a device; a higher ``ordinal`` is a later one.

    ``crl_number`` is that of the first CRL which shows what it is today, revoked or free of a hold.
    """

    __tablename__ = "certificates"
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    key_identifier: Mapped[bytes] = mapped_column(ForeignKey(DeviceRow.key_identifier), index=True)
    pem: Mapped[bytes]
    issued_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    revocation_reason: Mapped[str | None] = mapped_column(String(32))
    crl_number: Mapped[int | None] = mapped_column(BigInteger, index=True)


class ConnectionRow(Table):
    """A client id with which a user was connected last; ``to_end`` says that its session is to be ended."""

    __tablename__ = "connections"
    client_id: Mapped[str] = mapped_column(String(1024), primary_key=True)
    user_name: Mapped[str] = mapped_column(String(32), index=True)
    connected_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    to_end: Mapped[bool] = mapped_column(index=True)


class CrlNumberRow(Table):
    """The number of the latest CRL: one row."""

    __tablename__ = "crl_number"
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class CatalogueRow(Table):
    """The catalogue itself, one row: which one it is, and the ordinal of its latest image."""

    __tablename__ = "catalogue"
    epoch: Mapped[str] = mapped_column(String(16), primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger)


class ImageRow(Table):
    """A stored image; a higher ``ordinal`` was stored later."""

    __tablename__ = "images"
    __table_args__ = (
        Index("ix_images_audience_ordinal", "audience", "ordinal"),
        Index("ix_images_owner_ordinal", "owner", "ordinal"),
    )
    image_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, unique=True)
    owner: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(131))
    name: Mapped[str | None] = mapped_column(String(255))
    audience: Mapped[str] = mapped_column(String(7))
    size: Mapped[int] = mapped_column(BigInteger)
    sealed_size: Mapped[int] = mapped_column(BigInteger)
    sha256_sealed: Mapped[str] = mapped_column(String(64))
    wrapped_key: Mapped[bytes | None]
    stored_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime, index=True)


class RecipientRow(Table):
    """Who an image for named people is for: the key identifier of each, with the image's ordinal."""

    __tablename__ = "recipients"
    key_identifier: Mapped[bytes] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(ForeignKey(ImageRow.ordinal), primary_key=True, index=True)


class ReceiptRow(Table):
    """What became of an image on one device, by its key identifier: the latest receipt, as its reader signed it."""

    __tablename__ = "receipts"
    ordinal: Mapped[int] = mapped_column(ForeignKey(ImageRow.ordinal), primary_key=True)
    key_identifier: Mapped[bytes] = mapped_column(primary_key=True)
    user_name: Mapped[str] = mapped_column(String(32), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    handled_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    signed: Mapped[bytes]


class UsageRow(Table):
    """How much of the archive an owner takes up."""

    __tablename__ = "usage"
    owner: Mapped[str] = mapped_column(String(32), primary_key=True)
    images: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)


class RemovalRow(Table):
    """An image that is gone for good, or that shall not come any more; ``settled`` once nothing is left of it."""

    __tablename__ = "removals"
    image_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel: Mapped[str | None] = mapped_column(String(131))
    reason: Mapped[str] = mapped_column(String(7))
    removed_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    settled: Mapped[bool] = mapped_column(index=True)


class AuditRow(Table):
    """An entry of the audit log: ``details`` is a JSON object, ``hash`` chains it to the entry before."""

    __tablename__ = "audit"
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    event: Mapped[str] = mapped_column(String(24))
    user_name: Mapped[str | None] = mapped_column(String(32))
    details: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))


class AuditHeadRow(Table):
    """Where the audit log ends, one row: the ordinal and the hash of the latest entry."""

    __tablename__ = "audit_head"
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(64))
