"""What the registrar does for each operation: authorise, act, answer (docs/protocol.md, "Operations").

A handler knows no SQL and no MQTT: it gets a checked request, uses accounts, authority, catalogue and archive, and
returns the result together with what has to be published.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from common import certificates, messages, topics
from common.enveloping import unwrap_key, wrap_key
from common.errors import ConfigurationError, RefusedError, VerificationError
from common.sealing import Reader, open_signed, read_sealed
from registrar import passwords
from registrar.catalogue import Record

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.enveloping import Envelope
    from common.settings import Settings
    from common.topics import ImageTopic
    from registrar.accounts import Accounts
    from registrar.archive import Archive
    from registrar.authority import Authority
    from registrar.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Publication:
    """A retained message to publish; an empty payload withdraws."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an operation, and what everybody may see of it."""

    result: messages.Result
    publications: tuple[Publication, ...] = ()


@dataclass(frozen=True, slots=True)
class Handlers:
    """The registrar's operations over its four stores."""

    authority: Authority
    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    accounts: Accounts
    catalogue: Catalogue
    archive: Archive
    settings: Settings

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

    def members(self, request: messages.MembersRequest, *, now: dt.datetime) -> Outcome:
        """Return the certificates of the named users, or of every member up to the limit."""
        limit = self.settings.maximum_direct_recipients
        if request.users is None:
            found = self.accounts.all_certificates(now, limit=limit + 1)
            complete = len(found) <= limit
            return Outcome(_members_result(found if complete else [], complete=complete))
        found = []
        for user in dict.fromkeys(request.users):
            theirs = self.accounts.certificates_of(user, now)
            if not theirs:
                raise RefusedError(
                    f"there is no member {user!r}",
                    hint="check the spelling; a member has to register before images can be sent to them",
                    code="unknown_user",
                )
            found += theirs
        return Outcome(_members_result(found, complete=True))

    def store(
        self,
        request: messages.StoreRequest,
        topic: ImageTopic,
        sealed: bytes,
        signer: x509.Certificate,
        *,
        now: dt.datetime,
    ) -> Outcome:
        """Store a sealed image durably with its owner's name, and announce it; raises RefusedError."""
        if len(sealed) > self.settings.maximum_sealed_size:
            raise RefusedError("the image is too large", hint="post a smaller one", code="too_large")
        if sha256(sealed).hexdigest() != request.sha256_sealed:
            raise RefusedError("the image is not the one that its owner signed", code="altered")
        try:
            envelope = self._read_envelope(topic, sealed, signer)
            header = self._open_if_recipient(envelope, topic, sealed, now)
        except VerificationError as error:
            raise RefusedError("the sealed image is not acceptable", code="invalid_image") from error
        if request.size > len(sealed):
            raise RefusedError("the image would be larger than its envelope", code="invalid_image")
        own_key = certificates.subject_key_identifier(self.certificate)
        record = Record(
            image_id=topic.image_id,
            owner=topic.owner,
            channel=topic.channel,
            # What can be seen of the signed header counts, whatever the request says.
            name=header.name if header else None,
            audience=header.audience if header else "named",
            size=header.size if header else request.size,
            sealed_size=len(sealed),
            sha256_sealed=request.sha256_sealed,
            wrapped_key=envelope.encrypted_key_for(own_key),
            recipients="" if header else " ".join(identifier.hex() for identifier in envelope.recipient_identifiers),
            stored_at=now,
            expires_at=header.expires_at if header else None,
        )
        self.catalogue.check_free(record)
        self.archive.put(topic.image_id, sealed)
        stored = self.catalogue.add(record)
        result = messages.StoreResult(
            image_id=stored.image_id, stored_at=stored.stored_at, sealed_size=stored.sealed_size
        )
        return Outcome(result, (announcement(stored),))

    def release(self, request: messages.ReleaseRequest, reader: x509.Certificate) -> Outcome:
        """Re-wrap the content keys of images for members to the reader's certificate."""
        keys: list[messages.ReleasedKey] = []
        refused: list[messages.UnreleasedKey] = []
        for image_id in request.image_ids:
            record = self.catalogue.get(image_id)
            if record is None:
                refused.append(messages.UnreleasedKey(image_id=image_id, code="unknown_image"))
            elif record.wrapped_key is None:
                refused.append(messages.UnreleasedKey(image_id=image_id, code="not_recipient"))
            else:
                content_key = unwrap_key(record.wrapped_key, self.key)
                keys.append(messages.ReleasedKey(image_id=image_id, encrypted_key=wrap_key(content_key, reader)))
        return Outcome(messages.ReleaseResult(keys=tuple(keys), refused=tuple(refused)))

    def fetch(self, request: messages.FetchRequest, user: str, reader: x509.Certificate) -> Outcome:
        """Return a part of a stored image: to any member, or for named people to its owner and recipients."""
        record = self.catalogue.get(request.image_id)
        if record is None:
            raise RefusedError("there is no such image", code="unknown_image")
        if not self._may_fetch(record, user, reader):
            raise RefusedError("the image is for other people", code="not_recipient")
        data = self.archive.read(record.image_id, request.offset, self.settings.fetch_part_size)
        topic = topics.ImageTopic(record.owner, record.channel, record.image_id)
        return Outcome(
            messages.FetchResult(
                topic=topic.image,
                stored_at=record.stored_at,
                sealed_size=record.sealed_size,
                offset=request.offset,
                data=data,
            )
        )

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

    def _read_envelope(self, topic: ImageTopic, sealed: bytes, signer: x509.Certificate) -> Envelope:
        envelope = read_sealed(sealed, maximum_size=self.settings.maximum_sealed_size)
        if envelope.image_id != topic.image_id:
            raise VerificationError("the envelope is of another image")
        if envelope.sender_certificate_hash != bytes.fromhex(certificates.fingerprint(signer)):
            raise VerificationError("the envelope is of another sender")
        return envelope

    def _open_if_recipient(
        self, envelope: Envelope, topic: ImageTopic, sealed: bytes, now: dt.datetime
    ) -> messages.ImageHeader | None:
        """Return the verified header of an image for members, or None where the registrar can see no more."""
        if envelope.encrypted_key_for(certificates.subject_key_identifier(self.certificate)) is None:
            return None
        opened = open_signed(
            sealed,
            topic=topic.image,
            reader=Reader(self.key, (self.certificate,)),
            trust=self.authority.trust(now),
            at=now,
            now=now,
            maximum_size=self.settings.maximum_sealed_size,
        )
        return opened.header

    def _may_fetch(self, record: Record, user: str, reader: x509.Certificate) -> bool:
        if record.audience == "members" or record.owner == user:
            return True
        return certificates.subject_key_identifier(reader).hex() in record.recipients.split()


def announcement(record: Record) -> Publication:
    """Return the NEW_IMAGE of a stored image (docs/protocol.md, "Announcements")."""
    topic = topics.ImageTopic(record.owner, record.channel, record.image_id)
    notice = messages.Announcement(
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
    return Publication(topic.announcement, notice.to_json())


def _members_result(found: Sequence[x509.Certificate], *, complete: bool) -> messages.MembersResult:
    pems = tuple(certificates.to_pem(certificate).decode() for certificate in found)
    return messages.MembersResult(certificates=pems, complete=complete)
