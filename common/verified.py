"""Whose devices this member has verified, beyond the registrar's word (docs/protocol.md, "Verified people").

A file in the identity's folder, for publisher and subscriber. What is verified is a key: a renewed certificate of it is
no change, and another key in the same name is one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from common.certificates import fingerprint, key_fingerprint, user_of
from common.local_database import LocalDatabase

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cryptography import x509

VERIFIED = "verified.sqlite3"
_TABLES = """
CREATE TABLE IF NOT EXISTS verified (
    user TEXT NOT NULL,
    key TEXT NOT NULL,  -- its fingerprint
    at TEXT NOT NULL,
    PRIMARY KEY (user, key)
);
CREATE TABLE IF NOT EXISTS certificates (
    fingerprint TEXT PRIMARY KEY,
    key TEXT NOT NULL
);
"""


class Standing(StrEnum):
    """What is known of a device: verified, not verified though its user is (changed), or of nobody who is verified."""

    VERIFIED = "verified"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """A key that was verified as a user's, by its fingerprint."""

    user: str
    key: str
    at: dt.datetime


class Verified:
    """What the member in ``home`` has verified; a context manager. Each method raises ConfigurationError."""

    def __init__(self, home: Path, *, read_only: bool = False) -> None:
        self._database = LocalDatabase(home / VERIFIED, _TABLES, code="verified", read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    def standing(self, certificate: x509.Certificate) -> Standing:
        """Return the standing of a certificate's device."""
        return self._standing(user_of(certificate), key_fingerprint(certificate))

    def see(self, certificate: x509.Certificate) -> Standing:
        """Return the standing of a certificate's device, and remember which key it is for, as ``state`` has to know."""
        key, one = key_fingerprint(certificate), fingerprint(certificate)
        if not self._database.read("SELECT 1 FROM certificates WHERE fingerprint = ?", one):
            self._database.write("INSERT OR IGNORE INTO certificates VALUES (?, ?)", one, key)
        return self.standing(certificate)

    def state(self, user: str, certificate_fingerprint: str | None) -> Standing:
        """Return the standing of a device, by the fingerprint of a certificate of this user that was seen.

        One that was never seen, or None, is that of a device that nobody has verified.
        """
        rows = self._database.read("SELECT key FROM certificates WHERE fingerprint = ?", certificate_fingerprint)
        return self._standing(user, rows[0]["key"]) if rows else Standing.UNKNOWN

    def add(self, certificates: Iterable[x509.Certificate], at: dt.datetime) -> None:
        """Remember durably that the devices of these certificates are those of the users whom they name."""
        with self._database.transaction():
            for certificate in certificates:
                self.see(certificate)
                self._database.write(
                    "INSERT OR IGNORE INTO verified VALUES (?, ?, ?)",
                    user_of(certificate),
                    key_fingerprint(certificate),
                    at.isoformat(),
                )

    def forget(self, user: str) -> bool:
        """Forget what was verified of a user; return whether there was anything."""
        return self._database.write("DELETE FROM verified WHERE user = ?", user) > 0

    def entries(self) -> list[VerifiedKey]:
        """Return every key that was verified, by user and time."""
        rows = self._database.read("SELECT * FROM verified ORDER BY user, at, key")
        return [VerifiedKey(row["user"], row["key"], dt.datetime.fromisoformat(row["at"])) for row in rows]

    def _standing(self, user: str, key: str) -> Standing:
        keys = {row["key"] for row in self._database.read("SELECT key FROM verified WHERE user = ?", user)}
        if key in keys:
            return Standing.VERIFIED
        return Standing.CHANGED if keys else Standing.UNKNOWN
