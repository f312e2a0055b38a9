"""Reads what the registrar replies, and believes nobody else (docs/protocol.md, "Requests and replies")."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from common import certificates, messages
from common.errors import RefusedError, VerificationError
from common.signing import verify_signature

if TYPE_CHECKING:
    import datetime as dt

    from cryptography import x509

    from common.certificates import Trust

AnyResult = TypeVar("AnyResult", bound=messages.Message)


def read_reply(
    reply: bytes, request: messages.Request, sent: bytes, kind: type[AnyResult], *, trust: Trust, now: dt.datetime
) -> tuple[AnyResult, x509.Certificate]:
    """Return the result of a reply, and the registrar's certificate that signed it.

    ``sent`` is the request as it was published. Raises VerificationError unless the registrar signed the reply for
    this request, and RefusedError where the reply is a refusal.
    """
    try:
        signed = verify_signature(reply, with_image_header=False)
        certificates.check_registrar(signed.certificate, trust, now=now)
        answer = messages.read(messages.Reply, signed.content)
    except VerificationError as error:
        raise untrusted_reply(error.reason) from error
    expected = (request.operation, request.nonce, hashlib.sha256(sent).hexdigest())
    if (answer.operation, answer.nonce, answer.request_sha256) != expected:
        raise untrusted_reply("it is for another request")
    if answer.error is not None:
        refusal = answer.error
        raise RefusedError(refusal.message, hint=refusal.hint, code=refusal.code, retry_after=refusal.retry_after)
    if not isinstance(answer.result, kind):
        raise untrusted_reply("it has no result of its kind")
    return answer.result, signed.certificate


def untrusted_registrar(reason: str) -> VerificationError:
    """Return the error for a certificate that is not the registrar's."""
    return VerificationError(
        reason,
        message="the registrar's certificate could not be verified",
        code="untrusted_registrar",
        hint="do not go on; ask who runs the registrar",
    )


def untrusted_reply(reason: str) -> VerificationError:
    """Return the error for a reply that is not the registrar's, or not to this request."""
    return VerificationError(
        reason,
        message="the registrar's reply could not be verified",
        hint="check this device's clock, and try again; if it stays so, the broker or somebody on the way alters "
        "what the registrar says",
        code="untrusted_reply",
    )
