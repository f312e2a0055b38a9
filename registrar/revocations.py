"""Who is revoked: what the database says, which everything else follows (docs/protocol.md, "Revocation").

The number of the CRL is the clock of it: whatever changes who is revoked takes a new one in the same transaction. So
whoever knows a number can ask what has changed since, and a list that has the database's number is complete.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, update

from common.errors import RefusedError
from common.revocation_lists import Reason
from registrar import audit
from registrar.authority import Revocation
from registrar.connections import Connections, end_connections, keep_connections
from registrar.database import ONLY_READS, transaction
from registrar.tables import AccountRow, CertificateRow, CrlNumberRow, DeviceRow
from registrar.tokens import withdraw_all

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select
    from sqlalchemy.orm import Session

# An entry leaves the CRL only after the certificate's end (RFC 5280, section 3.3), and then with time to spare.
_LISTED_AFTER_EXPIRY = dt.timedelta(days=30)


class Revocations:
    """The revocations in a database; each method raises RefusedError, ``unavailable``, while it does not answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.connections = Connections(engine)
        self._reading = engine.execution_options(**{ONLY_READS: True})

    def revoke(self, user: str, reason: Reason, now: dt.datetime, *, fingerprint: str | None = None) -> list[str]:
        """Revoke a user, or the device with this certificate; return the fingerprints of what is revoked by that.

        Raises RefusedError: ``unknown_user``, ``deleted``, ``unknown_device``.
        """
        with transaction(self._engine) as session:
            if fingerprint is None:
                return revoke_user(session, user, reason, now)
            return _revoke_device(session, user, fingerprint, reason, now)

    def supersede_all(self, now: dt.datetime) -> None:
        """Revoke every certificate, and no user: each device has to log in anew before anything is sealed to it."""
        with transaction(self._engine) as session:
            session.execute(
                update(CertificateRow)
                .where(CertificateRow.revoked_at.is_(None))
                .values(revoked_at=now, revocation_reason=Reason.SUPERSEDED, crl_number=take_number(session, now))
                .execution_options(synchronize_session=False)
            )

    def revoke_devices(
        self, user: str, reason: Reason, now: dt.datetime, *, fingerprint: str | None, signer: bytes | None = None
    ) -> list[str]:
        """Revoke one device of a user, or all (None), who may log in again; as ``revoke`` otherwise.

        A device that shuts out an earlier key of its own keeps the one with this identifier, the ``signer``'s.
        """
        with transaction(self._engine) as session:
            if fingerprint is not None:
                return _revoke_device(session, user, fingerprint, reason, now, signer=signer)
            find_account(session, user)
            return _revoke(session, user, _is_of(user), reason, now)

    def restore(self, user: str, now: dt.datetime, *, fingerprint: str | None = None) -> list[str]:
        """Let a revoked user in again, or take one device off its hold; return the fingerprints that are valid again.

        Only what is on hold becomes valid again; with other devices the user logs in anew. Raises RefusedError:
        ``unknown_user``, ``unknown_device``, ``deleted``, ``not_revoked``, ``revoked`` for a device of a revoked user.
        """
        with transaction(self._engine) as session:
            account = find_account(session, user)
            if fingerprint is not None and account.revoked_at is not None:
                raise RefusedError(
                    f"{user} is revoked, with every device",
                    hint=f"restore the user: registrar restore {user}",
                    code="revoked",
                )
            which = _is_of(user) if fingerprint is None else _is_of_device(session, user, fingerprint)
            freed = _free(session, which, now)
            if not freed and (fingerprint is not None or account.revoked_at is None):
                raise RefusedError(
                    f"{user} is not revoked" if fingerprint is None else "the device is not on hold",
                    hint="have a device that was revoked for good log in again: publisher register NAME",
                    code="not_revoked",
                )
            if fingerprint is None:
                account.revoked_at = None
                keep_connections(session, user)
            audit.append(session, "restored", user, now, certificates=freed)
            return freed

    def demand_standing(self, user: str, fingerprint: str) -> None:
        """Raise RefusedError, ``revoked`` or ``deleted``, where the user or this certificate is revoked."""
        account = exists().where(AccountRow.user_name == user, AccountRow.revoked_at.is_not(None))
        with transaction(self._reading) as session:
            if session.scalar(select(account)):
                find_account(session, user)
                raise _revoked(user)
            demand_certificate_standing(session, user, fingerprint)

    def number(self) -> int:
        """Return the number of the latest CRL."""
        with transaction(self._reading) as session:
            return _number(session)

    def take_number(self, now: dt.datetime, *, above: int = 0) -> int:
        """Take a number for a list that says nothing new, above one that was found on another."""
        with transaction(self._engine) as session:
            return take_number(session, now, above=above)

    def listed(self, now: dt.datetime) -> tuple[int, list[Revocation]]:
        """Return all that belongs on a CRL, and the number of that list."""
        query = (
            select(CertificateRow.pem, CertificateRow.revoked_at, CertificateRow.revocation_reason)
            .where(CertificateRow.revoked_at.is_not(None), CertificateRow.expires_at > now - _LISTED_AFTER_EXPIRY)
            .order_by(CertificateRow.ordinal)
        )
        with transaction(self._engine) as session:
            return _number(session), [
                Revocation(x509.load_pem_x509_certificate(pem), revoked_at, Reason(reason) if reason else None)
                for pem, revoked_at, reason in session.execute(query)
                if revoked_at is not None
            ]

    def changed_since(self, number: int, now: dt.datetime) -> list[tuple[str, str]]:
        """Return (user, fingerprint) of the certificates that were revoked, or freed, since a CRL of this number."""
        query = (
            select(DeviceRow.user_name, CertificateRow.fingerprint)
            .join(DeviceRow)
            .where(CertificateRow.crl_number > number, CertificateRow.expires_at > now)
            .order_by(CertificateRow.ordinal)
        )
        with transaction(self._reading) as session:
            return [(user, fingerprint) for user, fingerprint in session.execute(query)]


def revoke_user(session: Session, user: str, reason: Reason, now: dt.datetime) -> list[str]:
    """Revoke a user in a transaction, with every device; return the fingerprints of what is revoked by that.

    The password's hash stays, for the day when the user is restored: until then it lets nobody in.
    """
    account = find_account(session, user)
    account.revoked_at = account.revoked_at or now
    withdraw_all(session, user, "reset")
    return _revoke(session, user, _is_of(user), reason, now)


def take_number(session: Session, now: dt.datetime, *, above: int = 0) -> int:
    """Take the next number of a CRL in a transaction: it is above all earlier ones.

    It is the time in seconds, or one more than the last: it keeps rising when the database is lost.
    """
    least = max(int(now.timestamp()), above + 1)
    following = CrlNumberRow.number + 1
    query = update(CrlNumberRow).values(number=case((following > least, following), else_=least))
    return session.execute(query.returning(CrlNumberRow.number)).scalar_one()


def demand_certificate_standing(session: Session, user: str, fingerprint: str) -> None:
    """Raise RefusedError, ``revoked``, where this certificate is; behind the account's lock that stays so."""
    revoked = exists().where(CertificateRow.fingerprint == fingerprint, CertificateRow.revoked_at.is_not(None))
    if session.scalar(select(revoked)):
        raise _revoked(user)


def demand_certifiable(session: Session, key_identifier: bytes) -> None:
    """Raise RefusedError, ``key_revoked``, for a key that is on hold, or that others may have."""
    kept_out = CertificateRow.revocation_reason.in_([Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD])
    if session.scalar(select(exists().where(CertificateRow.key_identifier == key_identifier, kept_out))):
        raise RefusedError(
            "the key of this device was revoked",
            hint="ask whoever runs the registrar, or log in with a new key: give an empty folder with --home",
            code="key_revoked",
        )


def _revoke_device(
    session: Session, user: str, fingerprint: str, reason: Reason, now: dt.datetime, *, signer: bytes | None = None
) -> list[str]:
    """Revoke every certificate of a device's keys: an earlier one opens as much as the newest."""
    find_account(session, user)
    return _revoke(session, user, _is_of_device(session, user, fingerprint, signer), reason, now)


def _is_of(user: str) -> ColumnElement[bool]:
    return CertificateRow.key_identifier.in_(select(DeviceRow.key_identifier).where(DeviceRow.user_name == user))


def _is_of_device(session: Session, user: str, fingerprint: str, signer: bytes | None = None) -> ColumnElement[bool]:
    device = session.scalar(
        select(DeviceRow)
        .join(CertificateRow)
        .where(CertificateRow.fingerprint == fingerprint, DeviceRow.user_name == user)
    )
    if device is None:
        raise RefusedError(
            f"{user} has no device with this fingerprint",
            hint="see `registrar members NAME`; `whoami` prints it on the device",
            code="unknown_device",
        )
    which = CertificateRow.key_identifier.in_(_keys_of_device(device.key_identifier))
    if signer is not None and device.successor == signer:
        return and_(which, CertificateRow.key_identifier != signer)
    return which


def _keys_of_device(key_identifier: bytes) -> Select[bytes]:
    """Return the keys that a device with this key has had before, and has taken since: a thief may have any of them."""
    start = select(DeviceRow.key_identifier, DeviceRow.successor).where(DeviceRow.key_identifier == key_identifier)
    found = start.cte("keys_of_device", recursive=True)
    linked = or_(DeviceRow.successor == found.c.key_identifier, DeviceRow.key_identifier == found.c.successor)
    # Not UNION ALL, which would go in a circle where a key has been taken up again.
    found = found.union(select(DeviceRow.key_identifier, DeviceRow.successor).join(found, linked))
    return select(found.c.key_identifier)


def _free(session: Session, which: ColumnElement[bool], now: dt.datetime) -> list[str]:
    """Take what is on hold off the list: the next one does not name it (RFC 5280, section 5.3.1)."""
    query = (
        update(CertificateRow)
        .where(which, CertificateRow.revocation_reason == Reason.CERTIFICATE_HOLD)
        .values(revoked_at=None, revocation_reason=None, crl_number=take_number(session, now))
        .returning(CertificateRow.fingerprint)
        .execution_options(synchronize_session=False)
    )
    return sorted(session.scalars(query))


def _revoke(session: Session, user: str, which: ColumnElement[bool], reason: Reason, now: dt.datetime) -> list[str]:
    """Revoke what is valid, and what is on hold for good; a key may turn out to be compromised later, too."""
    less_grave = CertificateRow.revocation_reason != reason
    if reason != Reason.KEY_COMPROMISE:
        less_grave = and_(less_grave, CertificateRow.revocation_reason == Reason.CERTIFICATE_HOLD)
    changes = or_(CertificateRow.revoked_at.is_(None), less_grave)
    end_connections(session, user)
    query = (
        update(CertificateRow)
        .where(which, changes)
        .values(
            revoked_at=func.coalesce(CertificateRow.revoked_at, now),
            revocation_reason=reason,
            crl_number=take_number(session, now),
        )
        .returning(CertificateRow.fingerprint)
        .execution_options(synchronize_session=False)
    )
    revoked = sorted(session.scalars(query))
    audit.append(session, "revoked", user, now, certificates=revoked, reason=reason)
    return revoked


def find_account(session: Session, user: str) -> AccountRow:
    """Return an account, which nobody else changes meanwhile; raises RefusedError, ``unknown_user`` or ``deleted``."""
    account = session.get(AccountRow, user, with_for_update=True)
    if account is None:
        raise RefusedError(f"there is no user {user!r}", hint="see `registrar members`", code="unknown_user")
    if account.deleted_at is not None:
        raise RefusedError(f"the account of {user} was deleted", hint="choose another user name", code="deleted")
    return account


def _revoked(user: str) -> RefusedError:
    return RefusedError(
        f"{user} is not a member any more, or this device was revoked",
        hint="ask whoever runs the registrar",
        code="revoked",
    )


def _number(session: Session) -> int:
    return session.scalars(select(CrlNumberRow.number)).one()
