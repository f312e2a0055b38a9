"""The people of the test vectors, and what they make of a sealed image."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import handmade
from authorities import DAY, NOW, Authorities, Holder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GCM, CBC = "aes-256-gcm", "aes-128-cbc-hmac-sha256"
IMAGE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000010800000000d14920560000000b4944415478da63703800000143010196b5009b"
    "0000000049454e44ae426082"
)
IMAGE_ID = uuid.UUID("019ab5f0-7c00-7abc-8def-0123456789ab")
TOPIC = f"sealcast/v1/images/alice/public/{IMAGE_ID}"
MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Case:
    """How one sealed image departs from a good one; it opens when there is no reason that it should not."""

    name: str
    reason: str = ""
    code: str = "not_verified"
    suite: str = GCM
    header: Mapping[str, Any] = field(default_factory=dict)
    signed: Mapping[str, Any] = field(default_factory=dict)
    enveloped: Mapping[str, Any] = field(default_factory=dict)
    edit: Callable[[bytes], bytes] = bytes
    topic: str = TOPIC
    reader: str = "bob"
    released: bytes = b""
    at: dt.datetime = NOW
    now: dt.datetime = NOW
    seen: str = "no"


class World:
    """The people of the vectors: alice posts, bob reads, and others try."""

    def __init__(self) -> None:
        self.authorities = Authorities.create()
        member = self.authorities.new_member
        self.alice, self.bob, self.carol, self.mallory = map(member, ("alice", "bob", "carol", "mallory"))
        self.eve = member("eve", lifetime=(NOW - 30 * DAY, NOW + 60 * DAY))
        self.former_bob = member("bob", key=self.bob.key, lifetime=(NOW - 100 * DAY, NOW - 10 * DAY))
        self.expired_alice = member("alice", lifetime=(NOW - 90 * DAY, NOW - DAY))
        self.foreign_alice = Authorities.create().new_member("alice")
        self.registrar = self.authorities.registrar
        self.crl = self.authorities.crl({self.eve.certificate: NOW - DAY})
        self.readers = {
            "bob": [self.bob, self.former_bob],
            "carol": [self.carol],
            "registrar": [self.registrar],
        }
        self.keys = {GCM: secrets.token_bytes(32), CBC: secrets.token_bytes(16)}

    def fingerprints(self, *holders: Holder) -> list[str]:
        return sorted(hashlib.sha256(handmade.der_of(holder.certificate)).hexdigest() for holder in holders)

    def header(self, changes: Mapping[str, Any]) -> str:
        members = {
            "version": 1,
            "purpose": "sealcast-image",
            "image_id": str(IMAGE_ID),
            "owner": "alice",
            "audience": "members",
            "recipients": self.fingerprints(self.bob, self.registrar),
            "topic": TOPIC,
            "name": "two-pixels.png",
            "media_type": "image/png",
            "width": 2,
            "height": 1,
            "size": len(IMAGE),
            "sha256": hashlib.sha256(IMAGE).hexdigest(),
            "sent_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
            "expires_at": None,
            "caption": None,
        }
        return json.dumps({**members, **changes}, separators=(",", ":"))

    def signed(self, changes: Mapping[str, Any], header: str) -> bytes:
        parts = {"content": IMAGE, "signer": self.alice, "header": header}
        return handmade.Signed(**{**parts, **changes}).der()

    def sealed(self, case: Case) -> bytes:
        signed = self.signed(case.signed, self.header(case.header))
        parts = {
            "content": signed,
            "recipients": [self.bob.certificate, self.registrar.certificate],
            "suite": case.suite,
            "content_key": self.keys[case.suite],
            "image_id": IMAGE_ID.bytes,
            "sender": case.signed.get("signer", self.alice).certificate,
        }
        return case.edit(handmade.Enveloped(**{**parts, **case.enveloped}).der())

    def attributes(self, suite: str = GCM, **changes: bytes) -> list[bytes]:
        """Return the authenticated attributes; a change that is empty leaves one out."""
        parts = {
            "content_type": handmade.CONTENT_TYPE,
            "commitment": handmade.key_commitment(self.keys[suite]),
            "image_id": handmade.image_id(IMAGE_ID.bytes),
            "sender": handmade.sender_certificate_hash(self.alice.certificate),
        }
        return [attribute for attribute in (parts | changes).values() if attribute]

    def signed_attributes(self, **changes: bytes) -> list[bytes]:
        """Return the signed attributes; a change that is empty leaves one out."""
        parts = {
            "content_type": handmade.CONTENT_TYPE,
            "digest": handmade.message_digest(IMAGE),
            "header": handmade.image_header(self.header({})),
        }
        return [attribute for attribute in (parts | changes).values() if attribute]

    def info(self, holder: Holder, **changes: Any) -> bytes:  # noqa: ANN401 - whatever recipient_info takes
        return handmade.recipient_info(holder.certificate, self.keys[GCM], **changes)
