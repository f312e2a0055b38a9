"""Enrolling and renewing: from a password or a certificate to a certificate (docs/protocol.md, "Operations")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from common import certificates, messages, topics
from common.errors import ConfigurationError, RefusedError, VerificationError
from registrar import passwords
from registrar.handlers.stores import Outcome, Publication, Stores

if TYPE_CHECKING:
    import datetime as dt

    from cryptography.hazmat.primitives.asymmetric import rsa
    from pydantic import SecretStr

    from registrar.accounts import Occasion
    from registrar.tokens import Kind


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who wants to enrol, by the rules; ``proof`` is what nobody but the user can have, and None for a stranger."""

    request: messages.EnrolRequest
    user: str
    public_key: rsa.RSAPublicKey
    proof: str | None


class Enrolling(Stores):
    """The operations ``enrol`` and ``renew``."""

    __slots__ = ()

    def examine(self, request: messages.EnrolRequest, *, now: dt.datetime) -> Applicant:
        """Return who wants to enrol; costs no Argon2id. Raises RefusedError where a rule is not kept.

        The rules come before any look-up. Proof is a key that was certified for the user, or an open token.
        """
        try:
            user = topics.check_user_name(request.user)
            public_key = certificates.check_csr(request.csr)
        except (ConfigurationError, VerificationError) as error:
            raise RefusedError(error.message, hint=error.hint, code=error.code) from error
        passwords.check_policy(request.password.get_secret_value(), user=user, settings=self.settings)
        key_identifier = x509.SubjectKeyIdentifier.from_public_key(public_key).digest
        token = _reveal(request.token)
        proof = None
        if self.accounts.has_key(user, key_identifier):
            proof = f"key {key_identifier.hex()}"
        elif token is not None and self.tokens.kind_of(token, user, now):
            proof = f"token {token}"
        return Applicant(request, user, public_key, proof)

    def enrol(self, applicant: Applicant, *, now: dt.datetime) -> Outcome:
        """Register an unknown user, or log a known one in, and certify this device's key.

        Each case costs one Argon2id, so neither words nor time tell whether a user exists, unless whoever comes is
        registered. Raises RefusedError.
        """
        user, password = applicant.user, applicant.request.password.get_secret_value()
        message = self._admit(user, password, _reveal(applicant.request.token), now)
        occasion: Occasion = "registration" if message == "Registration Successful" else "login"
        pem, publications = self._certify(applicant.public_key, user, now, occasion)
        return Outcome(messages.EnrolResult(message=message, certificate=pem), publications)

    def renew(
        self, request: messages.RenewRequest, user: str, signer: x509.Certificate, *, now: dt.datetime
    ) -> Outcome:
        """Certify a key of a member who still has a valid certificate: the signer's, or one that takes its place."""
        try:
            public_key = certificates.check_csr(request.csr)
        except VerificationError as error:
            raise RefusedError(error.message, hint=error.hint, code=error.code) from error
        pem, publications = self._certify(public_key, user, now, "renewal", signer)
        return Outcome(messages.RenewResult(certificate=pem), publications)

    def _admit(self, user: str, password: str, token: str | None, now: dt.datetime) -> messages.EnrolmentWords:
        """Register a new user, set the password that a code allows, or check a known one."""
        kind = self.tokens.kind_of(token, user, now) if token is not None else None
        known = self.accounts.password_hash(user) is not None
        if known and kind == "reset":
            self.accounts.set_password(user, passwords.hash_password(password), now, code=token)
            return "Connection Successful"
        if not known and self._may_register(token, kind):
            try:
                self.accounts.create(user, passwords.hash_password(password), now, invitation=token)
            except RefusedError as error:
                if error.code not in {"user_exists", "login_failed"}:
                    raise
                # The name, or the invitation, is taken since the look-up: the same as a login.
            else:
                return "Registration Successful"
        self._demand_password(user, password, now)
        return "Connection Successful"

    def _may_register(self, token: str | None, kind: Kind | None) -> bool:
        if self.settings.registration == "closed":
            return False
        # Who shows a token wants to get in by it, and not as anybody.
        return kind == "invitation" if token is not None else self.settings.registration == "open"

    def _demand_password(self, user: str, password: str, now: dt.datetime) -> None:
        """Raise RefusedError, ``login_failed``, after the same time whether or not there is such a user."""
        password_hash = self.accounts.password_hash(user)
        if not passwords.verify_password(password, password_hash or passwords.LOCKED):
            self.audit.login_failures.note(user if password_hash else None, now)
            raise passwords.login_failed()

    def _certify(
        self,
        public_key: rsa.RSAPublicKey,
        user: str,
        now: dt.datetime,
        occasion: Occasion,
        predecessor: x509.Certificate | None = None,
    ) -> tuple[str, tuple[Publication, ...]]:
        """Sign a certificate, PEM, and return it with what everyone learns: it is there, those it replaces are not."""
        certificate = self.authority.sign_member(public_key, user, now)
        replaced = self.accounts.add_certificate(user, certificate, now, occasion=occasion, predecessor=predecessor)
        pem = certificates.to_pem(certificate)
        withdrawn = [Publication(topics.member(user, earlier), b"") for earlier in replaced]
        return pem.decode(), (Publication(topics.member(user, certificates.fingerprint(certificate)), pem), *withdrawn)


def _reveal(token: SecretStr | None) -> str | None:
    return None if token is None else token.get_secret_value()
