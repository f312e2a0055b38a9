"""The sealed image: how an owner seals it, and how a reader opens it (docs/protocol.md, "Sealing", "Opening").

The numbers in the comments are those of the steps there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import messages, profiles, topics
from common.certificates import check_member, fingerprint, subject_key_identifier
from common.enveloping import encrypt, read_envelope, unwrap_key
from common.errors import ImageError, VerificationError
from common.messages import ImageHeader
from common.signing import detach, sign, verify_signature

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Callable, Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    from common.certificates import Trust
    from common.enveloping import Cipher, Envelope
    from common.images import Inspect
    from common.signing import SignedContent


class NotRecipientError(VerificationError):
    """No key for this reader is in the envelope; the registrar may release one, where the audience is ``members``."""

    code = "not_recipient"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who opens: a private key, others that it has or had, and every certificate that they have or had."""

    key: rsa.RSAPrivateKey
    certificates: tuple[x509.Certificate, ...]
    other_keys: tuple[rsa.RSAPrivateKey, ...] = ()

    def key_of(self, certificate: x509.Certificate) -> rsa.RSAPrivateKey | None:
        """Return the private key of a certificate, or None where that is not at hand."""
        public_key = certificate.public_key()
        return next((key for key in (self.key, *self.other_keys) if key.public_key() == public_key), None)


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """The image of a sealed image, what its owner says about it, the owner's certificate and detached signature."""

    image: bytes
    header: ImageHeader
    signer: x509.Certificate
    signature: bytes  # DER of a SignedData whose content, the image, is left out


def seal(
    image: bytes,
    header: ImageHeader,
    *,
    key: rsa.RSAPrivateKey,
    certificate: x509.Certificate,
    recipients: Sequence[x509.Certificate],
    cipher: Cipher,
) -> bytes:
    """Return the sealed image, DER (steps 2 to 6; the header is step 1).

    ``key`` and ``certificate`` are the owner's; ``recipients`` are those whose fingerprints the header names.
    """
    signed = sign(image, key, certificate, image_header=header.to_json().decode())  # 2
    sender_hash = bytes.fromhex(fingerprint(certificate))
    return encrypt(signed, recipients, cipher, sender_hash=sender_hash, image_id=header.image_id)  # 3 to 6


def open_signed(
    sealed: bytes,
    *,
    topic: str,
    reader: Reader,
    trust: Trust,
    at: dt.datetime,
    now: dt.datetime,
    maximum_size: int,
    may_have_ended: bool = False,
    released_key: bytes | None = None,
) -> OpenedImage:
    """Return the image that ``sealed`` holds, when steps 1 to 9 hold; raises VerificationError.

    ``topic`` is the one it came on; ``at`` is when the owner's certificate has to be valid: now, or when the registrar
    stored the image; its life ``may_have_ended`` before, where that was asked for with a valid one. Raises
    NotRecipientError where step 2 fails: with the content key that the registrar then releases, ``released_key``, it
    may be opened after all.
    """
    envelope = read_sealed(sealed, maximum_size=maximum_size)  # 1
    content_key = _own_content_key(envelope, reader)  # 2
    released = content_key is None
    if released:
        content_key = released_key
    if content_key is None:
        raise NotRecipientError("none of the reader's keys is among the recipients")
    decrypted = envelope.decrypt(content_key)  # 3, 4
    signed = verify_signature(decrypted, with_image_header=True)  # 5
    header = header_of(signed)  # 5
    end = signed.certificate.not_valid_after_utc
    owner = check_member(signed.certificate, trust, at=min(at, end) if may_have_ended else at, now=now)  # 6
    _check_sender(envelope, header, signed.certificate, owner)  # 7
    _check_audience(header, reader, released=released)  # 8
    _check_topic(header, topic)  # 9
    return OpenedImage(signed.content, header, signed.certificate, detach(decrypted))


def open_sealed(
    sealed: bytes,
    *,
    topic: str,
    reader: Reader,
    trust: Trust,
    at: dt.datetime,
    now: dt.datetime,
    maximum_size: int,
    inspect: Inspect,
    seen: Callable[[str, uuid.UUID], bool],
    may_have_ended: bool = False,
    released_key: bytes | None = None,
) -> OpenedImage:
    """Return the image that ``sealed`` holds, when steps 1 to 11 hold; raises VerificationError.

    ``inspect`` decodes the image; ``seen`` tells of an owner and an image id whether that image was opened before.
    Codes for the reader: ``not_recipient``, ``expired``, ``replayed``; ``not_verified`` for all else.
    """
    opened = open_signed(
        sealed,
        topic=topic,
        reader=reader,
        trust=trust,
        at=at,
        now=now,
        maximum_size=maximum_size,
        may_have_ended=may_have_ended,
        released_key=released_key,
    )
    _check_freshness(opened.header, now, seen)  # 10
    _check_image(opened, inspect)  # 11
    return opened


def read_header(sealed: bytes, reader: Reader, *, maximum_size: int) -> ImageHeader:
    """Return what the header of a sealed image claims: enough to know its topic, and nothing to rely on."""
    envelope = read_sealed(sealed, maximum_size=maximum_size)
    content_key = _own_content_key(envelope, reader)
    if content_key is None:
        raise NotRecipientError("none of the reader's keys is among the recipients")
    return header_of(verify_signature(envelope.decrypt(content_key), with_image_header=True))


def read_sealed(sealed: bytes, *, maximum_size: int) -> Envelope:
    """Return the envelope of a sealed image (step 1); raises VerificationError for anything else."""
    if len(sealed) > maximum_size:
        raise VerificationError(f"{len(sealed)} bytes are more than {maximum_size}")
    envelope = read_envelope(sealed)
    if envelope.image_id is None:
        raise VerificationError("the envelope is that of a request")
    return envelope


def _own_content_key(envelope: Envelope, reader: Reader) -> bytes | None:
    for certificate in reader.certificates:
        encrypted_key = envelope.encrypted_key_for(subject_key_identifier(certificate))
        key = reader.key_of(certificate)
        if encrypted_key is not None and key is not None:
            return unwrap_key(encrypted_key, key)
    return None


def header_of(signed: SignedContent) -> ImageHeader:
    """Return the header that was signed with an image; raises VerificationError where it is about another one."""
    header = messages.read(ImageHeader, signed.image_header or "")
    if header.size != len(signed.content) or header.sha256 != signed.digest.hex():
        raise VerificationError("the header is about another content")
    return header


def _check_sender(envelope: Envelope, header: ImageHeader, signer: x509.Certificate, owner: str) -> None:
    if envelope.sender_certificate_hash != bytes.fromhex(fingerprint(signer)):
        raise VerificationError("the sender certificate hash is not that of the signer")
    if header.owner != owner:
        raise VerificationError(f"the header names {header.owner} as the owner, and {owner} has signed")
    if header.image_id != envelope.image_id:
        raise VerificationError("the image id in the attributes is not that in the header")


def _check_audience(header: ImageHeader, reader: Reader, *, released: bool) -> None:
    if list(header.recipients) != sorted(set(header.recipients)):
        raise VerificationError("the header's recipients are not sorted, each once")
    is_named = any(fingerprint(certificate) in header.recipients for certificate in reader.certificates)
    if not is_named and not (released and header.audience == "members"):
        raise VerificationError("the owner did not name this reader as a recipient")
    is_registrar = any(
        certificate.subject == profiles.common_name(profiles.REGISTRAR_NAME) for certificate in reader.certificates
    )
    if is_registrar and header.audience != "members":
        raise VerificationError("an image for named people is encrypted to the registrar")


def _check_topic(header: ImageHeader, topic: str) -> None:
    if header.topic != topic:
        raise VerificationError(f"the image came on {topic}, and its header says {header.topic}")
    parts = topics.parse_image(topic)
    if parts is None or (parts.owner, parts.image_id) != (header.owner, header.image_id):
        raise VerificationError(f"{topic} is not the topic of this owner's image")


def _check_freshness(header: ImageHeader, now: dt.datetime, seen: Callable[[str, uuid.UUID], bool]) -> None:
    if header.expires_at is not None and header.expires_at <= now:
        raise VerificationError(f"the image expired at {header.expires_at}", code="expired")
    if seen(header.owner, header.image_id):
        raise VerificationError("the image was opened before", code="replayed")


def _check_image(opened: OpenedImage, inspect: Inspect) -> None:
    header = opened.header
    try:
        facts = inspect(opened.image)
    except ImageError as error:
        raise VerificationError(f"the image does not decode: {error.message}") from error
    if (facts.media_type, facts.width, facts.height) != (header.media_type, header.width, header.height):
        raise VerificationError(f"the image is {facts}, which its header does not say")
