"""Certificates of other members, kept from what the registrar said of them, for sealing without a broker.

One file for each user, ``<home>/contacts/<user>.pem``. It may be old: a device that came later is not in it, and one
that was revoked is found only in the revocation list at hand.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cryptography import x509

from common.certificates import check_member, to_pem, user_of
from common.errors import ConfigurationError, VerificationError
from common.files import make_private_folder, reason, write_private

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from pathlib import Path

    from common.certificates import Trust

FOLDER = "contacts"


class Contacts:
    """The contacts of the identity in ``home``; each method raises ConfigurationError where the disk fails."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def remember(self, certificates: Iterable[x509.Certificate]) -> None:
        """Keep these certificates in place of all earlier ones of their users; raises VerificationError."""
        by_user = defaultdict(list)
        for certificate in certificates:
            by_user[user_of(certificate)].append(certificate)
        make_private_folder(self._folder)
        for user, theirs in by_user.items():
            pem = to_pem(*theirs)
            if self._read(user) != pem:
                write_private(self._path(user), pem)

    def users(self) -> list[str]:
        """Return who is known, by name."""
        return sorted(path.stem for path in self._folder.glob("*.pem"))

    def recall(self, user: str, trust: Trust, *, now: dt.datetime) -> list[x509.Certificate]:
        """Return the certificates of a user that are valid still; none where the user is not known."""
        try:
            remembered = x509.load_pem_x509_certificates(self._read(user))
        except ValueError:
            # Damaged, or not there: the registrar is asked the next time.
            return []
        return [certificate for certificate in remembered if _is_valid(certificate, user, trust, now)]

    def _read(self, user: str) -> bytes:
        path = self._path(user)
        try:
            return path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise ConfigurationError(
                f"cannot read {path}: {reason(error)}", hint="mend its permissions, or remove it", code="unreadable"
            ) from error

    def _path(self, user: str) -> Path:
        return self._folder / f"{user}.pem"


def _is_valid(certificate: x509.Certificate, user: str, trust: Trust, now: dt.datetime) -> bool:
    try:
        return check_member(certificate, trust, at=now, now=now) == user
    except VerificationError:
        return False
