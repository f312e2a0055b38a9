"""A member's side of every request to the registrar (docs/protocol.md, "Requests and replies", "Operations").

Each method signs a request, publishes it, waits for the reply, checks that the registrar signed it for this very
request, and returns its result. Raises RefusedError with the registrar's code where it says no, SessionError where
nobody answers, VerificationError where the reply is not the registrar's.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import logging
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from common import certificates, messages, topics
from common.arrivals import REPLY_LOST_CODE
from common.enveloping import Cipher, encrypt
from common.errors import SealcastError, SessionError, VerificationError
from common.replies import read_reply, untrusted_registrar, untrusted_reply
from common.signing import sign

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable, Iterable, Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.arrivals import Message
    from common.identity import Identity
    from common.session import Session
    from common.topics import ImageTopic

_MOST_EXCHANGES = 20  # of one request, over a link that is cut again and again
_log = logging.getLogger(__name__)
AnyResult = TypeVar("AnyResult", bound=messages.Message)


class RegistrarClient:
    """Asks the registrar in the name of one identity, over one session."""

    def __init__(self, session: Session, identity: Identity, clock: Callable[[], dt.datetime]) -> None:
        self._session = session
        self._identity = identity
        self._clock = clock

    def join(self) -> None:
        """Subscribe to one's replies and to what is trusted; take over the newest authorities and revocation lists.

        A broker that has lost them costs the connect timeout; those at hand are used while they are in date.
        """
        self._session.follow(topics.TRUST_CA, topics.TRUST_CRL, topics.TRUST_REGISTRAR, topics.AUDIT_HEAD)
        self._session.subscribe(topics.all_replies(self._session.client_id))
        self.refresh_trust()

    def refresh_trust(self) -> None:
        """Take over what has arrived of authorities and revocation lists; raises SessionError without a list in date.

        The lists are waited for first: a broker that has lost everything is waited for once.
        """
        now = self._clock()
        try:
            crls, authorities = self._session.latest(topics.TRUST_CRL), self._session.latest(topics.TRUST_CA)
            self._identity.accept_trust(authorities, crls, now=now)
        except (SessionError, VerificationError) as error:
            if not self._identity.trust.is_current(now):
                raise SessionError(
                    "there is no revocation list that is in date, so nobody can be trusted",
                    hint="check this device's clock, and that the registrar is running (registrar serve)",
                    code="stale_crl",
                ) from error

    def audit_head(self) -> bytes | None:
        """Return the newest head of the audit log that has arrived, signed, or None."""
        return self._session.newest(topics.AUDIT_HEAD)

    def members(self, users: Sequence[str] | None) -> tuple[list[x509.Certificate], x509.Certificate]:
        """Return the certificates of these users (None: of every member, up to the limit) and the registrar's."""
        request = messages.MembersRequest(
            topic=self._topic("members"), sent_at=self._clock(), users=None if users is None else tuple(users)
        )
        result = self._ask(request, messages.MembersResult)
        return [certificates.read_certificate(pem.encode()) for pem in result.certificates], self._identity.registrar

    def store(
        self, sealed: bytes, topic: ImageTopic, *, name: str | None, size: int, expires_at: dt.datetime | None = None
    ) -> messages.StoreResult:
        """Publish a sealed image and return when it is stored; ``size`` is that of the image."""
        request = messages.StoreRequest(
            topic=topic.image,
            sent_at=self._clock(),
            name=name,
            size=size,
            sha256_sealed=hashlib.sha256(sealed).hexdigest(),
            expires_at=expires_at,
        )

        def publish(signed: bytes) -> Message:
            return self._session.request(
                topic.image,
                sealed,
                operation="store",
                user_properties={messages.STORE_REQUEST: base64.urlsafe_b64encode(signed).decode()},
                expiry=messages.seconds_left(expires_at, self._clock()),
            )

        return self._exchange(request, publish, messages.StoreResult)

    def release(self, image_ids: Iterable[uuid.UUID]) -> messages.ReleaseResult:
        """Return the content keys of these images, each wrapped to this device."""
        request = messages.ReleaseRequest(
            topic=self._topic("release"), sent_at=self._clock(), image_ids=tuple(image_ids)
        )
        return self._ask(request, messages.ReleaseResult)

    def fetch(
        self, image_id: uuid.UUID, maximum_size: int, begun: bytearray | None = None, *, owner: str | None = None
    ) -> tuple[bytes, messages.FetchResult]:
        """Return a sealed image from the archive, and the last of the replies that brought it.

        ``begun`` is what an earlier try has brought of it; it grows, so that a later try can go on from there. Raises
        VerificationError, code ``damaged``, where the archive's copy is not what was stored.
        """
        sealed = bytearray() if begun is None else begun
        while True:
            request = messages.FetchRequest(
                topic=self._topic("fetch"), sent_at=self._clock(), owner=owner, image_id=image_id, offset=len(sealed)
            )
            part = self._ask(request, messages.FetchResult)
            if not part.data or part.offset != len(sealed):
                raise untrusted_reply("it has another part of the image than was asked for")
            if not len(sealed) + len(part.data) <= part.sealed_size <= maximum_size:
                raise untrusted_reply("it is about an image that is too large")
            sealed += part.data
            if len(sealed) == part.sealed_size:
                if hashlib.sha256(sealed).hexdigest() != part.sha256_sealed:
                    raise VerificationError(
                        "its SHA-256 is not the one that was stored",
                        message="the registrar's copy of the image is damaged",
                        hint="tell whoever runs the registrar: registrar verify",
                        code="damaged",
                    )
                return bytes(sealed), part

    def list(self, order: messages.Order, mark: str | None, limit: int = messages.LONGEST_PAGE) -> messages.ListResult:
        """Return a page of what the catalogue has for this reader, from ``mark`` on."""
        request = messages.ListRequest(
            topic=self._topic("list"), sent_at=self._clock(), order=order, mark=mark, limit=limit
        )
        return self._ask(request, messages.ListResult)

    def remove(self, image_id: uuid.UUID) -> messages.RemoveResult:
        """Have an image of one's own removed."""
        request = messages.RemoveRequest(topic=self._topic("remove"), sent_at=self._clock(), image_id=image_id)
        return self._ask(request, messages.RemoveResult)

    def acknowledge(self, receipts: Sequence[bytes]) -> messages.AcknowledgeResult:
        """Bring receipts of one's own, signed by this device."""
        request = messages.AcknowledgeRequest(
            topic=self._topic("acknowledge"), sent_at=self._clock(), receipts=tuple(receipts)
        )
        return self._ask(request, messages.AcknowledgeResult)

    def receipts(self, image_id: uuid.UUID, mark: str | None) -> messages.ReceiptsResult:
        """Return a page of the receipts of an image of one's own, from ``mark`` on."""
        request = messages.ReceiptsRequest(
            topic=self._topic("receipts"), sent_at=self._clock(), image_id=image_id, mark=mark
        )
        return self._ask(request, messages.ReceiptsResult)

    def revoke(self, device: str | None, reason: messages.OwnReason) -> messages.RevokeResult:
        """Have one device of one's own revoked, by its certificate's fingerprint, or every one."""
        request = messages.RevokeRequest(
            topic=self._topic("revoke"), sent_at=self._clock(), device=device, reason=reason
        )
        return self._ask(request, messages.RevokeResult)

    def change_password(self, old: str, new: str) -> messages.PasswordResult:
        """Make the password another one; to do so again is answered again."""
        request = messages.PasswordRequest(
            topic=self._topic("password"),
            sent_at=self._clock(),
            old_password=SecretStr(old),
            new_password=SecretStr(new),
        )
        return self._ask(request, messages.PasswordResult)

    def delete_account(self, password: str) -> messages.DeleteResult:
        """Have one's account deleted; where it was before, that is the refusal ``deleted``."""
        request = messages.DeleteRequest(
            topic=self._topic("delete"), sent_at=self._clock(), password=SecretStr(password)
        )
        return self._ask(request, messages.DeleteResult)

    def renew_when_due(self) -> None:
        """Renew the certificate once two thirds of its life are over, unless another program in the folder just has.

        One that cannot be renewed yet is good until its end; then this raises ConfigurationError.
        """
        try:
            if self._identity.follow_folder():
                self._show_certificate()
            if self._is_due():
                self.renew()
        except SealcastError as error:
            end = self._identity.certificate.not_valid_after_utc
            _log.warning("cannot renew the certificate yet, which is valid until %s: %s", f"{end:%F}", error.message)
        self._identity.demand_current(self._clock())

    def _is_due(self) -> bool:
        certificate, now = self._identity.certificate, self._clock()
        return certificates.is_due_for_renewal(certificate, now) and certificates.is_valid(certificate, now)

    def renew(self, key: rsa.RSAPrivateKey | None = None) -> None:
        """Get a new certificate for the identity's key, or for its next ``key``, and take it over.

        The request is signed by the key of today and holds a signature of the next one: both are this device's.
        """
        csr = certificates.make_csr(key or self._identity.key, self._identity.user)
        result = self._ask(
            messages.RenewRequest(topic=self._topic("renew"), sent_at=self._clock(), csr=csr), messages.RenewResult
        )
        certificate = certificates.read_certificate(result.certificate.encode())
        # It may be that of a new issuing CA, which was published before.
        self.refresh_trust()
        self._identity.replace_certificate(certificate, now=self._clock())
        self._show_certificate()

    def _show_certificate(self) -> None:
        self._session.show_certificate(self._identity.trust.ca_pem, *self._identity.credentials)

    def _topic(self, operation: str) -> str:
        return topics.request(operation, self._identity.user, self._session.client_id)

    def _sign(self, request: messages.BaseRequest) -> bytes:
        """Return a request as it is sent; one with a secret is sealed as well."""
        signed = sign(request.to_json(), self._identity.key, self._identity.certificate)
        if isinstance(request, messages.ConfidentialRequest):
            return encrypt(signed, [self._registrar_of_now()], Cipher.AES_256_GCM)
        return signed

    def _registrar_of_now(self) -> x509.Certificate:
        """Return the registrar's certificate, verified: the one at hand may be of a registrar before a restoration."""
        certificate = certificates.read_certificate(self._session.latest(topics.TRUST_REGISTRAR))
        try:
            self._identity.accept_registrar(certificate, now=self._clock())
        except VerificationError as error:
            raise untrusted_registrar(error.reason) from error
        return certificate

    def _ask(self, request: messages.Request, kind: type[AnyResult]) -> AnyResult:
        def publish(sent: bytes) -> Message:
            return self._session.request(request.topic, sent, operation=request.operation)

        return self._exchange(request, publish, kind)

    def _exchange(
        self, request: messages.Request, publish: Callable[[bytes], Message], kind: type[AnyResult]
    ) -> AnyResult:
        """Sign a request, publish it and read the reply; anew where the reply was lost with the connection."""
        for exchange in itertools.count(1):
            sent = self._sign(request)
            try:
                return self._read(publish(sent).payload, request, sent, kind)
            except SessionError as error:
                if error.code != REPLY_LOST_CODE or exchange == _MOST_EXCHANGES:
                    raise
            request = request.model_copy(update={"nonce": messages.fresh_nonce(), "sent_at": self._clock()})
        raise AssertionError  # the count has no end

    def _read(self, reply: bytes, request: messages.Request, sent: bytes, kind: type[AnyResult]) -> AnyResult:
        now = self._clock()
        try:
            result, signer = read_reply(reply, request, sent, kind, trust=self._identity.trust, now=now)
        except VerificationError:
            # A new issuing CA may have certified the registrar, and that was published before.
            self.refresh_trust()
            result, signer = read_reply(reply, request, sent, kind, trust=self._identity.trust, now=now)
        self._identity.accept_registrar(signer, now=now)
        return result
