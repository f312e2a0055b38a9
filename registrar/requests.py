"""Which requests the registrar takes, and how it answers (docs/protocol.md, "Requests and replies").

Knows no MQTT and no SQL: a topic and bytes in, an authorised request or an exception out.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import threading
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from common import certificates, messages
from common.enveloping import read_envelope, unwrap_key
from common.errors import RefusedError, SealcastError, VerificationError
from common.signing import sign, verify_signature

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.certificates import Trust
    from common.settings import Settings

FAULT = RefusedError(
    "the registrar failed", hint="try again; whoever runs the registrar finds the cause in its log", code="internal"
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request whose signature and chain hold; ``json`` is not looked at yet."""

    json: bytes
    user: str
    certificate: x509.Certificate


class NonceMemory:
    """Remembers the nonces of the time in which a request is fresh, and no longer."""

    def __init__(self, seconds: float) -> None:
        self._window = dt.timedelta(seconds=seconds)
        self._seen: dict[str, dt.datetime] = {}
        self._lock = threading.Lock()

    def demand_new(self, nonce: str, now: dt.datetime) -> None:
        """Note a nonce; raises RefusedError, ``replayed``, where it is known."""
        with self._lock:
            # The oldest come first: the first that is young enough ends the search.
            oldest = itertools.takewhile(lambda nonce: now - self._seen[nonce] > 2 * self._window, self._seen)
            for old in list(oldest):
                del self._seen[old]
            if self._seen.setdefault(nonce, now) is not now:
                raise RefusedError("the request has been answered already", code="replayed")


def open_sealed_request(payload: bytes, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> bytes:
    """Return the JSON of a request that is sealed to the registrar; raises VerificationError."""
    envelope = read_envelope(payload)
    if envelope.image_id is not None:
        raise VerificationError("the envelope is that of an image")
    encrypted_key = envelope.encrypted_key_for(certificates.subject_key_identifier(certificate))
    if encrypted_key is None:
        raise VerificationError("the request is sealed to somebody else")
    return envelope.decrypt(unwrap_key(encrypted_key, key))


def verify_request(payload: bytes, trust: Trust, *, now: dt.datetime) -> SignedRequest:
    """Return a request that a member in good standing has signed; raises VerificationError."""
    signed = verify_signature(payload, with_image_header=False)
    user = certificates.check_member(signed.certificate, trust, at=now, now=now)
    return SignedRequest(signed.content, user, signed.certificate)


def demand_signer(signed: SignedRequest, user: str) -> None:
    """Raise RefusedError, ``wrong_signer``, unless the user in the topic is the one who signed."""
    if signed.user != user:
        raise RefusedError(f"the request is signed by {signed.user}", code="wrong_signer")


def read_fresh(json: bytes, *, topic: str, operation: str, settings: Settings, now: dt.datetime) -> messages.Request:
    """Return the request for this topic, sent just now.

    Raises RefusedError: ``invalid_request``, ``wrong_topic``, or ``clock`` where its time is too far from ``now``; the
    upload of an image may take longer than that, and to store it late does no harm.
    """
    try:
        request = messages.read_request(json)
    except VerificationError as error:
        raise RefusedError(
            "the registrar does not understand the request",
            hint="bring this device and the registrar to the same version",
            code="invalid_request",
        ) from error
    if request.topic != topic or request.operation != operation:
        raise RefusedError("the request is for another topic", code="wrong_topic")
    age = (now - request.sent_at).total_seconds()
    if age < -settings.clock_tolerance or (age > settings.clock_tolerance and operation != "store"):
        raise RefusedError(
            f"the request is dated {request.sent_at:%Y-%m-%d %H:%M:%S} UTC, the registrar's clock says {now:%H:%M:%S}",
            hint="set this device's clock, then try again",
            code="clock",
        )
    return request


class Replies:
    """Makes replies and signs them as the registrar."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    def result(self, request: messages.Request, sent: bytes, result: messages.Result, now: dt.datetime) -> bytes:
        """Return the signed reply with a result; ``sent`` is the request as it came."""
        return self._reply(request.operation, request.nonce, sent, now, result=result)

    def error(self, json: bytes, operation: str, sent: bytes, error: SealcastError, now: dt.datetime) -> bytes | None:
        """Return the signed refusal, or None where the request has no nonce to bind it to."""
        nonce = _nonce(json)
        if nonce is None:
            return None
        refusal = messages.ReplyError(
            code=error.code,
            message=error.message,
            hint=error.hint,
            retry_after=error.retry_after if isinstance(error, RefusedError) else None,
        )
        return self._reply(operation, nonce, sent, now, error=refusal)

    def _reply(
        self,
        operation: str,
        nonce: str,
        sent: bytes,
        now: dt.datetime,
        *,
        result: messages.Result | None = None,
        error: messages.ReplyError | None = None,
    ) -> bytes:
        reply = messages.Reply(
            operation=operation,
            nonce=nonce,
            request_sha256=sha256(sent).hexdigest(),
            sent_at=now,
            result=result,
            error=error,
        )
        return sign(reply.to_json(), self._key, self._certificate)


def _nonce(json_text: bytes) -> str | None:
    """Return the nonce of a request that may be unreadable otherwise."""
    with contextlib.suppress(ValueError, RecursionError):
        request = json.loads(json_text)
        if isinstance(request, dict) and messages.is_nonce(nonce := request.get("nonce")):
            return str(nonce)
    return None
