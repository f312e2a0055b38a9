"""What the registrar takes and what it refuses: raw clients against the real broker and the real registrar."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import json
import secrets
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import authorities
import pytest
from system import PASSWORD, ROOT, wait_until

from common import certificates, keys, messages, topics
from common.arrivals import Message
from common.connection import Address, SessionOptions, verified_context
from common.enveloping import Cipher, encrypt
from common.errors import RefusedError
from common.identity import AUTHORITIES, CERTIFICATE, KEY, Identity, anonymous_client_id
from common.messages import new_image_id
from common.registrar_client import STORE_REQUEST
from common.sealing import seal
from common.session import Session
from common.signing import sign, verify_signature
from registrar.authority import REGISTRAR, REGISTRAR_KEY
from registrar.authority import ROOT as ROOT_CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography import x509
    from system import System

CHELSEA = ROOT / "tools" / "chelsea.jpg"
OPTIONS = SessionOptions(connect_timeout=30, reply_timeout=60)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


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
        request = self.request("store", topic=image.image, name=None, size=7) | {
            "sha256_sealed": hashlib.sha256(sealed).hexdigest(),
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


@pytest.fixture(scope="module")
def alice(system: System) -> Iterator[Client]:
    with member(system, "raw-alice") as client:
        yield client


@pytest.fixture(scope="module")
def bob(system: System) -> Iterator[Client]:
    with member(system, "raw-bob") as client:
        yield client


@pytest.fixture
def watcher(system: System) -> Iterator[Watcher]:
    with watching(system) as one:
        yield one


def logged(system: System, text: str) -> int:
    assert system.daemon is not None
    return sum(text in line for line in system.daemon.errors)


# Requests of members


def test_a_proper_request_is_answered(alice: Client) -> None:
    reply = alice.ask(alice.request())
    assert isinstance(reply.result, messages.MembersResult)
    assert reply.operation == "members"
    assert reply.result.certificates == (certificates.to_pem(alice.identity.certificate).decode(),)


REFUSED: dict[str, tuple[Callable[[Client], dict[str, Any]], str]] = {
    "an unknown operation": (lambda client: client.request("dance"), "invalid_request"),
    "an extra member": (lambda client: client.request(admin=True), "invalid_request"),
    "a missing member": (lambda _client: {"nonce": secrets.token_hex(16), "operation": "members"}, "invalid_request"),
    "another version": (lambda client: client.request(version=2), "invalid_request"),
    "another purpose": (lambda client: client.request(purpose="sealcast-reply"), "invalid_request"),
    "a text for a number": (lambda client: client.request(version="1"), "invalid_request"),
    "a time without a zone": (lambda client: client.request(sent_at="2026-01-01T00:00:00"), "invalid_request"),
    "a number for a time": (lambda client: client.request(sent_at=0), "invalid_request"),
    "nobody": (lambda client: client.request(users=[]), "invalid_request"),
    "too many people": (lambda client: client.request(users=["bob"] * 65), "invalid_request"),
    "what cannot be a name": (lambda client: client.request(users=["../bob"]), "invalid_request"),
    "an unknown member": (lambda client: client.request(users=["raw-nobody"]), "unknown_user"),
    "another topic inside": (lambda client: client.request(topic=client.topic("fetch")), "wrong_topic"),
    "somebody else's topic inside": (
        lambda client: client.request(topic=topics.request("members", "raw-bob", client.session.client_id)),
        "wrong_topic",
    ),
    "another operation inside": (
        lambda client: client.request("release", topic=client.topic("members"), image_ids=[str(uuid.uuid4())]),
        "wrong_topic",
    ),
    "a store request without an image": (
        lambda client: client.request("store", name=None, size=1, sha256_sealed="0" * 64),
        "wrong_topic",
    ),
    "an old request": (lambda client: client.request(sent_at=aged(-310)), "clock"),
    "a request of the future": (lambda client: client.request(sent_at=aged(310)), "clock"),
    "the first of all times": (lambda client: client.request(sent_at="0001-01-01T00:00:00+23:59"), "clock"),
    "the last of all times": (lambda client: client.request(sent_at="9999-12-31T23:59:59-23:59"), "clock"),
    "an image that is not there": (
        lambda client: client.request("fetch", image_id=str(uuid.uuid4()), offset=0),
        "unknown_image",
    ),
    "no signing request": (lambda client: client.request("renew", csr="no CSR"), "invalid_csr"),
}


def aged(seconds: float) -> str:
    return (now() + dt.timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_is_refused_for(name: str, alice: Client) -> None:
    make, code = REFUSED[name]
    request = make(alice)
    operation = "members" if request["operation"] == "release" else request["operation"]
    reply = alice.ask(request, operation)
    assert code_of(reply) == code
    assert reply.operation == operation


@pytest.mark.parametrize("seconds", [-290, 290])
def test_clocks_may_differ_a_little(alice: Client, seconds: float) -> None:
    assert_taken(alice.ask(alice.request(sent_at=aged(seconds))))


def test_a_clock_that_is_wrong_is_explained(alice: Client) -> None:
    error = alice.ask(alice.request(sent_at=aged(-3600))).error
    assert error is not None
    assert error.hint == "set this device's clock, then try again"
    assert "the registrar's clock says" in error.message


def test_a_nonce_is_taken_once(alice: Client) -> None:
    request = alice.request()
    assert_taken(alice.ask(request))
    assert code_of(alice.ask(request)) == "replayed"
    assert code_of(alice.ask(alice.request("release", nonce=request["nonce"], image_ids=[str(uuid.uuid4())]))) == (
        "replayed"
    )
    assert_taken(alice.ask(alice.request()))


def test_a_key_is_certified_again(alice: Client) -> None:
    csr = certificates.make_csr(alice.identity.key, alice.user)
    reply = alice.ask(alice.request("renew", csr=csr))
    assert isinstance(reply.result, messages.RenewResult)
    certificate = certificates.read_certificate(reply.result.certificate.encode())
    assert certificate.public_key() == alice.identity.key.public_key()


def test_whose_topic_it_is_has_to_sign(alice: Client, bob: Client, watcher: Watcher) -> None:
    """The broker keeps others off alice's topic; the registrar does not rely on it."""
    request = alice.request()
    with pytest.raises(RefusedError) as raised:
        bob.session.request(alice.topic("members"), bob.sign(request), operation="members")
    assert raised.value.code == "refused_by_broker"
    codes = []
    for signer in (bob, alice):
        sent = signer.sign(request)
        before = len(watcher.on(alice.reply_topic))
        watcher.session.publish(alice.topic("members"), sent, response_topic=alice.reply_topic)
        wait_until(lambda before=before: len(watcher.on(alice.reply_topic)) > before, "an answer")
        reply = read_reply(watcher.on(alice.reply_topic)[-1].payload, alice.identity, sent, request["nonce"])
        codes.append(reply.error.code if reply.error else None)
    assert codes == ["wrong_signer", None]


UNANSWERED: dict[str, Callable[[Client, System], bytes]] = {
    "nothing": lambda _client, _system: b"",
    "noise": lambda _client, _system: secrets.token_bytes(1000),
    "JSON without a signature": lambda client, _system: json.dumps(client.request()).encode(),
    "a request that is cut off": lambda client, _system: client.sign(client.request())[:-1],
    "a request with a byte behind it": lambda client, _system: client.sign(client.request()) + b"\0",
    "a signature that does not hold": lambda client, _system: spoilt(client.sign(client.request())),
    "a request of the registrar": lambda client, system: signed_as_registrar(system, client.request()),
    "a member of another authority": lambda client, _system: signed_elsewhere(client.request(), client.user),
    "a sealed request": lambda client, _system: sealed_to(client.identity.registrar, client.request()),
    "more than 64 KiB": lambda client, _system: client.sign(client.request(users=["a" * 66_000])),
    "no JSON": lambda client, _system: client.sign(b"\xff"),
    "a list": lambda client, _system: client.sign([client.request()]),
    "no nonce": lambda client, _system: client.sign(client.request(nonce=None)),
    "brackets without end": lambda client, _system: client.sign(b"[" * 60_000),
}


def spoilt(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def signed_as_registrar(system: System, request: dict[str, Any]) -> bytes:
    key = keys.read((system.home / REGISTRAR_KEY).read_bytes())
    certificate = certificates.read_certificate((system.home / REGISTRAR).read_bytes())
    return sign(json.dumps(request).encode(), key, certificate)


def signed_elsewhere(request: dict[str, Any], user: str) -> bytes:
    holder = authorities.foreign().member(user)
    return sign(json.dumps(request).encode(), holder.key, holder.certificate)


def sealed_to(recipient: x509.Certificate, request: object) -> bytes:
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    return encrypt(content, [recipient], Cipher.AES_256_GCM)


@pytest.mark.parametrize("name", UNANSWERED)
def test_no_answer_is_given_to(name: str, alice: Client, system: System, watcher: Watcher) -> None:
    def mentions() -> int:
        return logged(system, alice.topic("members")) + logged(system, f"refused members of {alice.user}:")

    before = mentions()
    alice.session.publish(
        alice.topic("members"), UNANSWERED[name](alice, system), response_topic=alice.reply_topic
    ).result(60)
    wait_until(lambda: mentions() > before, "a word in the log")
    assert watcher.on(alice.reply_topic) == []
    assert_taken(alice.ask(alice.request()))
    assert len(watcher.on(alice.reply_topic)) == 1


def test_nobody_gets_a_reply_sent_to_somebody_else(alice: Client, bob: Client, watcher: Watcher) -> None:
    replies = []
    for response_topic in (bob.reply_topic, "sealcast/v1/trust/crl", "elsewhere", "", alice.reply_topic):
        request = alice.request("members")
        alice.session.publish(alice.topic("members"), alice.sign(request), response_topic=response_topic).result(60)
        # Taken, since its nonce is used up; so what would have been sent has been sent.
        wait_until(lambda request=request: code_of_any(alice.ask(request)) == "replayed", "the request taken")
        replies.append(sum(message.topic == response_topic for message in watcher.look()))
    assert replies[:-1] == [0, 1, 0, 0]  # the list itself, which the broker retains
    assert replies[-1] > 1


def code_of_any(reply: messages.Reply) -> str | None:
    return reply.error.code if reply.error else None


# The enrolment door


def enrolment(session: Session, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return an enrolment that the registrar would take, or with ``changes`` one that it might not."""
    return {
        "version": 1,
        "purpose": "sealcast-request",
        "operation": "enrol",
        "topic": topics.enrolment(session.client_id),
        "nonce": secrets.token_hex(16),
        "sent_at": now().isoformat(),
        "user": f"raw-{secrets.token_hex(4)}",
        "password": PASSWORD,
        "csr": CSR,
    } | changes


KEY_OF_STRANGERS = keys.generate(2048)
CSR = certificates.make_csr(KEY_OF_STRANGERS, "anyone")


def try_to_enrol(session: Session, request: dict[str, Any], identity: Identity) -> messages.Reply:
    sent = sealed_to(identity.registrar, request)
    reply = session.request(topics.enrolment(session.client_id), sent, operation="enrol")
    return read_reply(reply.payload, identity, sent, request["nonce"])


REFUSED_ENROLMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "an extra member": ({"admin": True}, "invalid_request"),
    "another operation": ({"operation": "members"}, "invalid_request"),
    "another topic": ({"topic": topics.enrolment("0" * 32 + "-enrolment")}, "wrong_topic"),
    "an old request": ({"sent_at": "2020-01-01T00:00:00Z"}, "clock"),
    "a short password": ({"password": "fourteen chars"}, "password_too_short"),
    "a long password": ({"password": "long" + "er" * 600}, "password_too_long"),
    "a common password": ({"password": "passwordpassword"}, "password_common"),
    "no signing request": ({"csr": "no CSR"}, "invalid_csr"),
    "a reserved name": ({"user": "registrar"}, "reserved_name"),
    "a name with a separator": ({"user": "bob/#"}, "invalid_name"),
    "no name": ({"user": ""}, "invalid_name"),
    "a very long name": ({"user": "b" * 30_000}, "invalid_name"),
}


@pytest.mark.parametrize("name", REFUSED_ENROLMENTS)
def test_nobody_is_enrolled_with(name: str, alice: Client, system: System) -> None:
    changes, code = REFUSED_ENROLMENTS[name]
    with stranger(system) as session:
        request = enrolment(session, **changes)
        reply = try_to_enrol(session, request, alice.identity)
    assert code_of(reply) == code
    assert alice.ask(alice.request(users=["raw-nobody"])).error is not None


def test_an_enrolment_is_taken_once(alice: Client, system: System) -> None:
    with stranger(system) as session:
        request = enrolment(session, user="raw-once", csr=certificates.make_csr(keys.generate(2048), "once"))
        reply = try_to_enrol(session, request, alice.identity)
        assert isinstance(reply.result, messages.EnrolResult)
        assert reply.result.message == "Registration Successful"
        certificate = certificates.read_certificate(reply.result.certificate.encode())
        assert certificates.user_of(certificate) == "raw-once"
        assert code_of(try_to_enrol(session, request, alice.identity)) == "replayed"


UNANSWERED_ENROLMENTS: dict[str, Callable[[Session, Client], bytes]] = {
    "nothing": lambda _session, _client: b"",
    "noise": lambda _session, _client: secrets.token_bytes(1000),
    "a password that is not sealed": lambda session, _client: json.dumps(enrolment(session)).encode(),
    "a signed request": lambda session, client: client.sign(enrolment(session)),
    "what is sealed to somebody else": lambda session, client: sealed_to(
        client.identity.certificate, enrolment(session)
    ),
    "an envelope that is spoilt": lambda session, client: spoilt(
        sealed_to(client.identity.registrar, enrolment(session))
    ),
    "more than 64 KiB": lambda session, client: sealed_to(
        client.identity.registrar, enrolment(session, password="b" * 66_000)
    ),
    "a sealed image": lambda _session, client: client.seal(client.new_topic()),
}


@pytest.mark.parametrize("name", UNANSWERED_ENROLMENTS)
def test_the_enrolment_door_does_not_answer(name: str, alice: Client, system: System, watcher: Watcher) -> None:
    before = logged(system, "dropped what came to the enrolment door")
    with stranger(system) as session:
        reply_topic = topics.reply(session.client_id, "enrol")
        sent = UNANSWERED_ENROLMENTS[name](session, alice)
        session.publish(topics.enrolment(session.client_id), sent, response_topic=reply_topic).result(60)
        wait_until(lambda: logged(system, "dropped what came to the enrolment door") > before, "a word in the log")
        assert watcher.on(reply_topic) == []
        # The door is still open.
        assert code_of(try_to_enrol(session, enrolment(session, password="short"), alice.identity)) == (
            "password_too_short"
        )


def test_a_flood_of_noise_at_the_enrolment_door_holds_nobody_up(
    alice: Client, system: System, watcher: Watcher
) -> None:
    ended, sent = threading.Event(), 0

    def flood() -> None:
        nonlocal sent
        with stranger(system) as session:
            topic = topics.enrolment(session.client_id)
            while not ended.is_set():
                # Large ones stay in the broker; those that pass for requests are looked at and dropped.
                for size in (10_000_000, *[64_000] * 20):
                    with contextlib.suppress(RefusedError):
                        session.publish(topic, secrets.token_bytes(size)).result(60)
                    sent += size

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        wait_until(lambda: sent > 30_000_000, "a flood")
        posted = alice.new_topic()
        assert_taken(alice.store(alice.seal(posted), posted))
        (stored,) = system.post(alice.identity.home, CHELSEA)
        assert stored["owner"] == alice.user
        at_that_time = sent
        wait_until(lambda: sent > at_that_time, "more of the flood")
    finally:
        ended.set()
        flooding.join()
    with stranger(system) as session:
        assert code_of(try_to_enrol(session, enrolment(session, password="short"), alice.identity)) == (
            "password_too_short"
        )
    assert watcher.on(posted.announcement)


# Images


def test_a_proper_image_is_stored_and_announced_and_may_come_again(alice: Client, watcher: Watcher) -> None:
    topic = alice.new_topic()
    sealed = alice.seal(topic)
    first, again = alice.store(sealed, topic), alice.store(sealed, topic)
    assert isinstance(first.result, messages.StoreResult)
    assert first.result == again.result
    assert first.result.sealed_size == len(sealed)
    announcement = messages.read(messages.Announcement, watcher.on(topic.announcement)[0].payload)
    assert announcement.sha256_sealed == hashlib.sha256(sealed).hexdigest()
    assert alice.session.request  # the session goes on


REFUSED_IMAGES: dict[str, tuple[Callable[[Client, Client, topics.ImageTopic], messages.Reply], str]] = {
    "other bytes than were signed for": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, sha256_sealed="0" * 64),
        "altered",
    ),
    "a request for another topic": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, topic=alice.new_topic().image),
        "wrong_topic",
    ),
    "a request for another operation": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, operation="fetch"),
        "invalid_request",
    ),
    "an old request": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, sent_at=aged(-310)),
        "clock",
    ),
    "noise": (lambda alice, _bob, topic: alice.store(secrets.token_bytes(5_000), topic), "invalid_image"),
    "another channel inside": (
        lambda alice, _bob, topic: alice.store(
            alice.seal(topic, topic=topics.ImageTopic(alice.user, "other", topic.image_id).image), topic
        ),
        "invalid_image",
    ),
    "another image id inside": (
        lambda alice, _bob, topic: alice.store(alice.seal(alice.new_topic(), topic=topic.image), topic),
        "invalid_image",
    ),
    "another owner inside": (
        lambda alice, bob, topic: alice.store(alice.seal(topic, owner=bob.user), topic),
        "invalid_image",
    ),
    "an image that somebody else has sealed": (
        lambda alice, bob, topic: alice.store(alice.seal(topic, certificate_of=bob.identity), topic),
        "invalid_image",
    ),
    "another content inside than the header says": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic, sha256="0" * 64), topic),
        "invalid_image",
    ),
    "an image for named people that the registrar can open": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic, audience="named"), topic),
        "invalid_image",
    ),
    "a name that is a path": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, name="../../etc/passwd"),
        "invalid_request",
    ),
    "a request that somebody else has signed": (
        lambda alice, bob, topic: store_signed_by(bob, alice, topic),
        "wrong_signer",
    ),
}


def store_signed_by(signer: Client, sender: Client, topic: topics.ImageTopic) -> messages.Reply:
    sealed = sender.seal(topic)
    nonce = secrets.token_hex(16)
    digest = hashlib.sha256(sealed).hexdigest()
    request = sender.request("store", topic=topic.image, name=None, size=7, sha256_sealed=digest, nonce=nonce)
    return sender.store(sealed, topic, signed=signer.sign(request), nonce=nonce)


@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_an_image_is_not_stored_for(name: str, alice: Client, bob: Client, watcher: Watcher) -> None:
    send, code = REFUSED_IMAGES[name]
    topic = alice.new_topic()
    assert code_of(send(alice, bob, topic)) == code
    assert watcher.on(topic.announcement) == []
    fetched = alice.ask(alice.request("fetch", image_id=str(topic.image_id), offset=0))
    assert code_of(fetched) == "unknown_image"


@pytest.mark.parametrize("properties", [{}, {STORE_REQUEST: "no base64!"}, {STORE_REQUEST: "bm8gQ01T"}])
def test_an_image_without_its_owners_store_request_is_dropped(
    properties: dict[str, str], alice: Client, system: System, watcher: Watcher
) -> None:
    topic = alice.new_topic()
    sealed = alice.seal(topic)
    alice.session.publish(topic.image, sealed, response_topic=alice.reply_topic, user_properties=properties).result(60)
    wait_until(lambda: logged(system, f"dropped what came on {topic.image}"), "a word in the log")
    assert watcher.on(topic.announcement) == watcher.on(alice.reply_topic) == []
    assert_taken(alice.store(sealed, topic))
    assert watcher.on(topic.announcement)


def test_an_image_id_stays_its_first_image_s(alice: Client, bob: Client, watcher: Watcher) -> None:
    topic = alice.new_topic()
    sealed = alice.seal(topic)
    assert_taken(alice.store(sealed, topic))
    of_bob = topics.ImageTopic(bob.user, topic.channel, topic.image_id)
    elsewhere = topics.ImageTopic(alice.user, "elsewhere", topic.image_id)
    assert code_of(bob.store(bob.seal(of_bob), of_bob)) == "image_id_taken"
    assert code_of(alice.store(alice.seal(topic), topic)) == "image_id_taken"
    assert code_of(alice.store(alice.seal(elsewhere), elsewhere)) == "image_id_taken"
    assert watcher.on(of_bob.announcement) == watcher.on(elsewhere.announcement) == []
    fetched = bob.ask(bob.request("fetch", image_id=str(topic.image_id), offset=0)).result
    assert isinstance(fetched, messages.FetchResult)
    assert (fetched.topic, fetched.data) == (topic.image, sealed)
    of_bob = bob.new_topic()
    assert_taken(bob.store(bob.seal(of_bob), of_bob))


@pytest.mark.parametrize("kind", ["image", "request", "enrolment"])
def test_nothing_that_is_for_the_registrar_stays_in_the_broker(
    kind: str, alice: Client, system: System, watcher: Watcher
) -> None:
    with stranger(system) as anonymous:
        session, topic, content = {
            "image": (alice.session, (image := alice.new_topic()).image, alice.seal(image)),
            "request": (alice.session, alice.topic("members"), alice.sign(alice.request())),
            "enrolment": (
                anonymous,
                topics.enrolment(anonymous.client_id),
                sealed_to(alice.identity.registrar, enrolment(anonymous)),
            ),
        }[kind]
        session.publish(topic, content, retain=True).result(60)
        wait_until(lambda: len(watcher.on(topic)) > 1, "the clearing")
    published = [message.payload for message in watcher.on(topic)]
    assert published == [content, b""]
    with watching(system) as late:
        assert late.on(topic) == []
        assert late.on(topics.TRUST_CRL) != []
    assert_taken(alice.ask(alice.request()))
    assert [message.payload for message in watcher.on(topic) if not message.payload] == [b""]


# What can be read on the way

WINDOW = 16  # bytes


def test_whoever_reads_everything_finds_neither_image_nor_password(own_system: System) -> None:
    own_system.start()
    content, caption, password = CHELSEA.read_bytes(), "the caption is for its reader", "a password for this test"
    windows = {content[start : start + WINDOW] for start in range(len(content) - WINDOW + 1)}
    reader = own_system.register("reader")
    with own_system.subscriber(reader):
        pass
    with watching(own_system) as watcher:
        owner = own_system.register("owner", password=password)
        (stored,) = own_system.post(owner, CHELSEA, "--to", "reader", "--caption", caption, "--keep-metadata")
        seen = watcher.look()
    carried = b"\n".join(carried_by(message) for message in seen)
    own_system.stop()
    assert own_system.daemon is not None
    kept = b"\n".join(file.read_bytes() for file in (own_system.home / "broker").rglob("*") if file.is_file())
    log = "".join(own_system.daemon.errors).encode()
    # All that there is to see has been seen: the sealed image and the enrolment, on the way and in the broker's memory.
    assert {stored["topic"]} <= {message.topic for message in seen}
    assert any(message.topic.startswith(f"{topics.PREFIX}/requests/enrol/") for message in seen)
    sealed = next(message.payload for message in seen if message.topic == stored["topic"])
    assert sealed in kept
    for haystack in (carried, kept, log):
        for secret in (password, caption, CHELSEA.name):
            assert secret.encode() not in haystack
        found = (start for start in range(len(haystack)) if haystack[start : start + WINDOW] in windows)
        assert next(found, None) is None
    # The same search finds what is there.
    assert any((b"noise" + content)[start : start + WINDOW] in windows for start in range(10))


def carried_by(message: Message) -> bytes:
    """Return all of a message, what is coded in base64 also decoded."""
    properties = [base64.urlsafe_b64decode(value) for value in message.user_properties.values()]
    return b"\n".join([message.topic.encode(), message.payload, *properties])
