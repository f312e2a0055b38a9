"""Raw clients of the real broker: members, strangers and watchers who can send anything."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from system import CHELSEA

from common import certificates, messages, topics
from common.arrivals import Message
from common.connection import Address, SessionOptions, verified_context
from common.device import KEY, anonymous_client_id
from common.enveloping import Cipher, encrypt
from common.identity import AUTHORITIES, CERTIFICATE, Identity
from common.messages import STORE_REQUEST
from common.sealing import seal
from common.session import Session
from common.signing import sign, verify_signature
from common.topics import new_image_id
from registrar.authority import REGISTRAR, REGISTRAR_KEY
from registrar.authority import ROOT as ROOT_CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509
    from system import System

OPTIONS = SessionOptions(connect_timeout=60, reply_timeout=60)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def aged(seconds: float) -> str:
    """Return a time in the past or in the future, as a request has it."""
    return (now() + dt.timedelta(seconds=seconds)).isoformat()


def spoilt(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def sealed_to(recipient: x509.Certificate, request: object) -> bytes:
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    return encrypt(content, [recipient], Cipher.AES_256_GCM)


@dataclass
class Client:
    """A member with a session of its own, who can send anything."""

    identity: Identity
    session: Session

    @property
    def user(self) -> str:
        return self.identity.user

    @property
    def reply_topic(self) -> str:
        return topics.reply(self.session.client_id, "members")

    def topic(self, operation: str) -> str:
        return topics.request(operation, self.user, self.session.client_id)

    def request(self, operation: str = "members", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        """Return a request that the registrar would take, or with ``changes`` one that it might not."""
        proper = {
            "version": 1,
            "purpose": "sealcast-request",
            "operation": operation,
            "topic": self.topic(operation),
            "nonce": secrets.token_hex(16),
            "sent_at": now().isoformat(),
        }
        if operation == "members":
            proper["users"] = [self.user]
        return proper | changes

    def sign(self, request: object) -> bytes:
        content = request if isinstance(request, bytes) else json.dumps(request).encode()
        return sign(content, self.identity.key, self.identity.certificate)

    def ask(self, request: dict[str, Any], operation: str | None = None) -> messages.Reply:
        """Sign and send a request, and return the reply, whose signature and binding are checked."""
        sent = self.sign(request)
        name = operation or request["operation"]
        reply = self.session.request(self.topic(name), sent, operation=name)
        return read_reply(reply.payload, self.identity, sent, request["nonce"])

    def store(
        self,
        sealed: bytes,
        image: topics.ImageTopic,
        *,
        signed: bytes | None = None,
        **changes: Any,  # noqa: ANN401 - any JSON
    ) -> messages.Reply:
        """Publish a sealed image with a store request, and return the reply."""
        request = self.request("store", topic=image.image, name=CHELSEA.name, size=CHELSEA.stat().st_size) | {
            "sha256_sealed": hashlib.sha256(sealed).hexdigest(),
            "expires_at": None,
            **changes,
        }
        sent = signed or self.sign(request)
        reply = self.session.request(image.image, sealed, operation="store", user_properties=store_property(sent))
        return read_reply(reply.payload, self.identity, sent, request["nonce"])

    def seal(
        self,
        image: topics.ImageTopic,
        recipients: list[x509.Certificate] | None = None,
        *,
        certificate_of: Identity | None = None,
        **changes: Any,  # noqa: ANN401 - any member of the header
    ) -> bytes:
        """Return a sealed image for this topic: for every member, as far as this one's registrar is concerned."""
        signer = certificate_of or self.identity
        recipients = recipients or [self.identity.registrar, self.identity.certificate]
        content = changes.pop("content", CHELSEA.read_bytes())
        header = messages.ImageHeader(
            **{
                "image_id": image.image_id,
                "owner": self.user,
                "audience": "members",
                "recipients": tuple(sorted(certificates.fingerprint(one) for one in recipients)),
                "topic": image.image,
                "name": "chelsea.jpg",
                "media_type": "image/jpeg",
                "width": 451,
                "height": 300,
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "sent_at": now(),
                **changes,
            }
        )
        return seal(
            content,
            header,
            key=signer.key,
            certificate=signer.certificate,
            recipients=recipients,
            cipher=Cipher.AES_256_GCM,
        )

    def new_topic(self, channel: str = "raw") -> topics.ImageTopic:
        return topics.ImageTopic(self.user, channel, new_image_id(now()))


@dataclass
class Watcher:
    """Sees everything that the broker carries, as the registrar would."""

    session: Session
    seen: list[Message] = field(default_factory=list)

    def look(self) -> list[Message]:
        """Return all messages of now and earlier, after everything that is on its way to the broker's readers."""
        mark = topics.reply(self.session.client_id, secrets.token_hex(8))
        self.session.follow(mark)
        self.session.publish(mark, b"mark").result(60)
        self.session.latest(mark)
        while (arrived := self.session.receive(timeout=0)) is not None:
            if isinstance(arrived, Message):
                self.seen.append(arrived)
        return self.seen

    def on(self, topic: str) -> list[Message]:
        return [message for message in self.look() if message.topic == topic]


def read_reply(reply: bytes, identity: Identity, sent: bytes, nonce: str) -> messages.Reply:
    signed = verify_signature(reply, with_image_header=False)
    certificates.check_registrar(signed.certificate, identity.trust, now=now())
    answer = messages.read(messages.Reply, signed.content)
    assert (answer.nonce, answer.request_sha256) == (nonce, hashlib.sha256(sent).hexdigest())
    assert (answer.result is None) != (answer.error is None)
    return answer


def store_property(signed: bytes) -> dict[str, str]:
    return {STORE_REQUEST: base64.urlsafe_b64encode(signed).decode()}


def code_of(reply: messages.Reply) -> str:
    assert reply.error is not None, "the registrar has taken it"
    assert reply.error.message
    return reply.error.code


def assert_taken(reply: messages.Reply) -> None:
    assert reply.error is None, reply.error
    assert reply.result is not None


@contextlib.contextmanager
def member(system: System, user: str) -> Iterator[Client]:
    home = system.home_of(user)
    identity = Identity.load(home if home.exists() else system.register(user), now=now())
    context = verified_context((home / AUTHORITIES).read_bytes(), home / CERTIFICATE, home / KEY)
    client_id = identity.device.client_id("raw", fresh=True)
    with Session(Address("localhost", system.port), client_id, context, OPTIONS) as session:
        session.subscribe(topics.all_replies(client_id))
        yield Client(identity, session)


@contextlib.contextmanager
def watching(system: System) -> Iterator[Watcher]:
    root, certificate, key = (system.home / name for name in (ROOT_CERTIFICATE, REGISTRAR, REGISTRAR_KEY))
    context = verified_context(root.read_bytes(), certificate, key)
    client_id = secrets.token_hex(16) + "-watcher"
    with Session(Address("localhost", system.port), client_id, context, OPTIONS) as session:
        session.subscribe(f"{topics.PREFIX}/#")
        yield Watcher(session)


@contextlib.contextmanager
def stranger(system: System) -> Iterator[Session]:
    """Connect to the enrolment door."""
    context = verified_context((system.home / ROOT_CERTIFICATE).read_bytes())
    with Session(Address("localhost", system.enrol_port), anonymous_client_id(), context, OPTIONS) as session:
        session.subscribe(topics.all_replies(session.client_id))
        yield session


def logged(system: System, text: str) -> int:
    assert system.daemon is not None
    return sum(text in line for line in system.daemon.errors)
