"""Enrolling and renewing: from a password or a certificate to a certificate (docs/protocol.md, "Operations")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.errors import ConfigurationError, RefusedError, VerificationError
from registrar import passwords
from registrar.handlers.stores import Outcome, Publication, Stores

if TYPE_CHECKING:
    import datetime as dt

    from cryptography.hazmat.primitives.asymmetric import rsa


class Enrolling(Stores):
    """The operations ``enrol`` and ``renew``."""

    __slots__ = ()

    def enrol(self, request: messages.EnrolRequest, *, now: dt.datetime) -> Outcome:
        """Register an unknown user, or log a known one in, and certify this device's key.

        The rules come before any look-up, and each case costs one Argon2id, so neither words nor time tell whether a
        user exists. Raises RefusedError.
        """
        try:
            user = topics.check_user_name(request.user)
            public_key = certificates.check_csr(request.csr)
        except (ConfigurationError, VerificationError) as error:
            raise RefusedError(error.message, hint=error.hint, code=error.code) from error
        password = request.password.get_secret_value()
        passwords.check_policy(password, user=user, settings=self.settings)
        message = self._register_or_log_in(user, password, now)
        pem, publications = self._certify(public_key, user, now)
        return Outcome(messages.EnrolResult(message=message, certificate=pem), publications)

    def renew(self, request: messages.RenewRequest, user: str, *, now: dt.datetime) -> Outcome:
        """Certify a key of a member who still has a valid certificate."""
        try:
            public_key = certificates.check_csr(request.csr)
        except VerificationError as error:
            raise RefusedError(error.message, hint=error.hint, code=error.code) from error
        pem, publications = self._certify(public_key, user, now)
        return Outcome(messages.RenewResult(certificate=pem), publications)

    def _register_or_log_in(self, user: str, password: str, now: dt.datetime) -> messages.EnrolmentWords:
        known = self.accounts.password_hash(user)
        if known is None:
            try:
                self.accounts.create(user, passwords.hash_password(password), now)
            except RefusedError:
                # Registered from elsewhere since the look-up: the same as a login.
                known = self.accounts.password_hash(user)
            else:
                return "Registration Successful"
        if known is None or not passwords.verify_password(password, known):
            raise RefusedError("Login Failed", hint="check the user name and the password", code="login_failed")
        return "Connection Successful"

    def _certify(
        self, public_key: rsa.RSAPublicKey, user: str, now: dt.datetime
    ) -> tuple[str, tuple[Publication, ...]]:
        """Sign a certificate, PEM, and return it with what everyone learns: it is there, those it replaces are not."""
        certificate = self.authority.sign_member(public_key, user, now)
        replaced = self.accounts.add_certificate(user, certificate, now)
        pem = certificates.to_pem(certificate)
        withdrawn = [Publication(topics.member(user, earlier), b"") for earlier in replaced]
        return pem.decode(), (Publication(topics.member(user, certificates.fingerprint(certificate)), pem), *withdrawn)
