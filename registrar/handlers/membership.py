"""What members decide about their own accounts (docs/protocol.md, "Operations")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import certificates, messages
from common.errors import RefusedError
from common.revocation_lists import Reason
from registrar import passwords
from registrar.handlers.stores import Outcome, Stores

if TYPE_CHECKING:
    import datetime as dt

    from cryptography import x509


class Membership(Stores):
    """The operations ``password``, ``delete`` and ``revoke``."""

    __slots__ = ()

    def check_new_password(self, request: messages.PasswordRequest, user: str) -> None:
        """Raise RefusedError where the new password may not be set; costs no Argon2id."""
        passwords.check_policy(request.new_password.get_secret_value(), user=user, settings=self.settings)

    def change_password(self, request: messages.PasswordRequest, user: str, *, now: dt.datetime) -> Outcome:
        """Replace the password of who knows it; costs two Argon2id, right or wrong.

        The new one given again is no fault: the reply to the first time was lost. Raises RefusedError.
        """
        old, new = request.old_password.get_secret_value(), request.new_password.get_secret_value()
        known = self.accounts.password_hash(user) or passwords.LOCKED
        if passwords.verify_password(old, known):
            self.accounts.set_password(user, passwords.hash_password(new), now, known=known)
        elif not passwords.verify_password(new, known):
            self.audit.login_failures.note(user, now)
            raise wrong_password()
        return Outcome(messages.PasswordResult(changed_at=now))

    def delete(self, request: messages.DeleteRequest, user: str, *, now: dt.datetime) -> Outcome:
        """Delete the account of who knows its password; costs one Argon2id. Raises RefusedError."""
        known = self.accounts.password_hash(user) or passwords.LOCKED
        if not passwords.verify_password(request.password.get_secret_value(), known):
            self.audit.login_failures.note(user, now)
            raise wrong_password()
        deletion = self.deletions.delete(user, now, known=known)
        return Outcome(messages.DeleteResult(deleted_at=deletion.deleted_at, images=deletion.images))

    def revoke(
        self, request: messages.RevokeRequest, user: str, signer: x509.Certificate, *, now: dt.datetime
    ) -> Outcome:
        """Revoke one device of the user's, or all; whoever serves sees to the rest. Raises RefusedError."""
        reason = Reason(request.reason)
        key = certificates.subject_key_identifier(signer)
        revoked = self.revocations.revoke_devices(user, reason, now, fingerprint=request.device, signer=key)
        return Outcome(messages.RevokeResult(certificates=tuple(revoked)))


def wrong_password() -> RefusedError:
    """Return the refusal of a member who does not know the password of today."""
    return RefusedError(
        "the password is wrong",
        hint="try again, or ask whoever runs the registrar for a code to set a new one (registrar reset)",
        code="login_failed",
    )
