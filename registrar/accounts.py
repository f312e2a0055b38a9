"""Users, their devices and their certificates.

Certificates are handed out for images only as the newest of each key: no two recipients of an image may have the same
key identifier (docs/protocol.md, "CMS profile"), and whoever renewed can open with the same key what names the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from common import certificates
from common.errors import RefusedError
from registrar import audit
from registrar.database import transaction
from registrar.passwords import LOCKED, login_failed
from registrar.revocations import demand_certifiable, demand_certificate_standing, find_account
from registrar.tables import AccountRow, CertificateRow, DeviceRow
from registrar.tokens import add_reset, redeem, token_id

if TYPE_CHECKING:
    import datetime as dt
    from typing import Literal

    from sqlalchemy import ColumnElement, Engine, Select
    from sqlalchemy.orm import Session

    Occasion = Literal["registration", "login", "renewal"]


@dataclass(frozen=True, slots=True)
class Member:
    """A line of ``registrar members``; ``devices`` counts the keys with a valid certificate."""

    user: str
    created_at: dt.datetime
    revoked_at: dt.datetime | None
    devices: int


@dataclass(frozen=True, slots=True)
class MemberDevice:
    """A device of a member: the newest certificate of its key (PEM)."""

    fingerprint: str
    pem: bytes
    issued_at: dt.datetime
    expires_at: dt.datetime
    revoked_at: dt.datetime | None


class Accounts:
    """The accounts in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, user: str, password_hash: str, now: dt.datetime, *, invitation: str | None = None) -> None:
        """Add an account, and use up the invitation that it needs, both or none.

        Raises RefusedError, ``user_exists`` or ``login_failed``, also where somebody else was a moment earlier.
        """
        try:
            with transaction(self._engine) as session:
                if invitation is not None and not redeem(session, invitation, "invitation", user, now):
                    raise login_failed()
                session.add(AccountRow(user_name=user, password_hash=password_hash, created_at=now))
                audit.append(session, "registered", user, now, invitation=invitation and token_id(invitation))
        except IntegrityError as error:
            raise RefusedError(
                f"the user name {user!r} is taken", hint="choose another user name", code="user_exists"
            ) from error

    def password_hash(self, user: str) -> str | None:
        """Return the hash of the user's password, or None for an unknown user; no password lets in who is revoked."""
        with transaction(self._engine) as session:
            account = session.get(AccountRow, user)
            if account is None:
                return None
            return account.password_hash if account.revoked_at is None else LOCKED

    def add_reset_code(
        self, user: str, code: str, *, now: dt.datetime, expires_at: dt.datetime, lock: bool = False
    ) -> None:
        """Let a member set a new password with a code; with ``lock`` the one of today is no password any more.

        Raises RefusedError: ``unknown_user``, ``deleted``, ``revoked``.
        """
        with transaction(self._engine) as session:
            account = find_account(session, user)
            if account.revoked_at is not None:
                raise RefusedError(
                    f"{user} is not a member any more", hint="ask whoever runs the registrar", code="revoked"
                )
            add_reset(session, code, user, now=now, expires_at=expires_at)
            if lock:
                account.password_hash = LOCKED
            audit.append(session, "reset-code", user, now, code=token_id(code), locked=lock)

    def set_password(
        self, user: str, password_hash: str, now: dt.datetime, *, code: str | None = None, known: str | None = None
    ) -> None:
        """Replace a member's password, and use up the code that allows it, both or none.

        Raises RefusedError, ``login_failed``, for a code that is not open, for who is no member any more, and where the
        hash is not the one that was ``known`` when the old password was looked at: it may have been locked since.
        """
        with transaction(self._engine) as session:
            account = session.get(AccountRow, user, with_for_update=True)
            if account is None or account.revoked_at is not None:
                raise login_failed()
            if code is not None and not redeem(session, code, "reset", user, now):
                raise login_failed()
            if known is not None and account.password_hash != known:
                raise login_failed()
            account.password_hash = password_hash
            audit.append(session, "password-changed", user, now, code=code and token_id(code))

    def add_certificate(
        self,
        user: str,
        certificate: x509.Certificate,
        now: dt.datetime,
        *,
        occasion: Occasion = "login",
        predecessor: x509.Certificate | None = None,
    ) -> list[str]:
        """Record a certificate, to be done before it is handed out; return the fingerprints of those it replaces.

        What the key of a ``predecessor`` was a recipient of, the new key's device may have, and opens with the old one.
        Raises RefusedError: ``revoked`` where the user or the predecessor has been, ``key_in_use`` where the key is
        another user's, ``key_revoked`` where it is on hold or compromised.
        """
        key_identifier = certificates.subject_key_identifier(certificate)
        with transaction(self._engine) as session:
            account = session.get(AccountRow, user, with_for_update=True)
            if account is None or account.revoked_at is not None:
                raise RefusedError(
                    f"{user} is not a member any more", hint="ask whoever runs the registrar", code="revoked"
                )
            if predecessor is not None:
                # It was in good standing when the request was looked at, which is a while ago.
                demand_certificate_standing(session, user, certificates.fingerprint(predecessor))
            if _claim_key(session, key_identifier, user) != user:
                raise RefusedError(
                    "another user has registered with this key",
                    hint="give each user a folder of their own with --home",
                    code="key_in_use",
                )
            demand_certifiable(session, key_identifier)
            if predecessor is not None:
                _succeed(session, user, certificates.subject_key_identifier(predecessor), key_identifier)
            replaced = session.scalars(
                select(CertificateRow.fingerprint).where(
                    CertificateRow.key_identifier == key_identifier, CertificateRow.expires_at > now
                )
            ).all()
            fingerprint, expires_at = certificates.fingerprint(certificate), certificate.not_valid_after_utc
            session.add(
                CertificateRow(
                    fingerprint=fingerprint,
                    key_identifier=key_identifier,
                    pem=certificates.to_pem(certificate),
                    issued_at=now,
                    expires_at=expires_at,
                )
            )
            audit.append(
                session, "certificate-signed", user, now,
                certificate=fingerprint, expires_at=expires_at.isoformat(), occasion=occasion,
            )  # fmt: skip
        return list(replaced)

    def has_key(self, user: str, key_identifier: bytes) -> bool:
        """Tell whether this key has ever been certified for the user."""
        with transaction(self._engine) as session:
            device = session.get(DeviceRow, key_identifier)
            return device is not None and device.user_name == user

    def certificates_of(self, user: str, now: dt.datetime) -> list[x509.Certificate]:
        """Return the newest valid certificate of each of the user's keys; none for an unknown user."""
        return self._certificates(_newest_valid(now).where(DeviceRow.user_name == user))

    def all_certificates(self, now: dt.datetime, limit: int | None = None) -> list[x509.Certificate]:
        """Return the newest valid certificate of every key, at most ``limit``."""
        return self._certificates(_newest_valid(now).limit(limit))

    def has_had_certificate(self, user: str, fingerprint: str) -> bool:
        """Tell whether this is a certificate of the user's, though perhaps an earlier one, that was not revoked."""
        query = (
            select(CertificateRow.ordinal)
            .join(DeviceRow)
            .where(DeviceRow.user_name == user, CertificateRow.fingerprint == fingerprint)
            .where(CertificateRow.revoked_at.is_(None))
        )
        with transaction(self._engine) as session:
            return session.scalar(query) is not None

    def members(self, now: dt.datetime) -> list[Member]:
        """Return every account that was not deleted, by user name."""
        devices = (
            select(DeviceRow.user_name, func.count(DeviceRow.key_identifier.distinct()).label("number"))
            .join(CertificateRow)
            .where(CertificateRow.revoked_at.is_(None), CertificateRow.expires_at > now)
            .group_by(DeviceRow.user_name)
            .subquery()
        )
        query = (
            select(
                AccountRow.user_name, AccountRow.created_at, AccountRow.revoked_at, func.coalesce(devices.c.number, 0)
            )
            .outerjoin(devices, devices.c.user_name == AccountRow.user_name)
            .where(AccountRow.deleted_at.is_(None))
            .order_by(AccountRow.user_name)
        )
        with transaction(self._engine) as session:
            return [Member(*row) for row in session.execute(query)]

    def devices(self, user: str) -> list[MemberDevice]:
        """Return the devices of a user, the oldest first; raises RefusedError, ``unknown_user``."""
        query = (
            select(
                CertificateRow.fingerprint,
                CertificateRow.pem,
                CertificateRow.issued_at,
                CertificateRow.expires_at,
                CertificateRow.revoked_at,
            )
            .join(DeviceRow)
            .where(DeviceRow.user_name == user, _is_newest_of_its_key())
            .order_by(CertificateRow.ordinal)
        )
        with transaction(self._engine) as session:
            account = session.get(AccountRow, user)
            if account is None or account.deleted_at is not None:
                raise RefusedError(f"there is no user {user!r}", hint="see `registrar members`", code="unknown_user")
            return [MemberDevice(*row) for row in session.execute(query)]

    def _certificates(self, query: Select[bytes]) -> list[x509.Certificate]:
        with transaction(self._engine) as session:
            return [x509.load_pem_x509_certificate(pem) for pem in session.scalars(query)]


def _claim_key(session: Session, key_identifier: bytes, user: str) -> str:
    """Return the user whose key it is, ``user`` where it is a new one."""
    try:
        with session.begin_nested():
            session.add(DeviceRow(key_identifier=key_identifier, user_name=user))
    except IntegrityError:
        return session.get_one(DeviceRow, key_identifier).user_name
    return user


def _succeed(session: Session, user: str, key_identifier: bytes, successor: bytes) -> None:
    """Note which key has taken the place of another one of the user's, and of those before it."""
    earlier = or_(DeviceRow.key_identifier == key_identifier, DeviceRow.successor == key_identifier)
    query = update(DeviceRow).where(DeviceRow.user_name == user, DeviceRow.key_identifier != successor, earlier)
    session.execute(query.values(successor=successor))


def _is_newest_of_its_key() -> ColumnElement[bool]:
    newer = aliased(CertificateRow)
    return ~exists().where(
        newer.key_identifier == CertificateRow.key_identifier, newer.ordinal > CertificateRow.ordinal
    )


def _newest_valid(now: dt.datetime) -> Select[bytes]:
    return (
        select(CertificateRow.pem)
        .join(DeviceRow)
        .where(_is_newest_of_its_key(), CertificateRow.revoked_at.is_(None), CertificateRow.expires_at > now)
        .order_by(DeviceRow.user_name, CertificateRow.ordinal)
    )
