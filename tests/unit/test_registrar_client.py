"""What a member takes for the registrar's answer, and what for an impostor's."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar

import authorities
import pytest
from authorities import DAY, NOW
from cryptography.hazmat.primitives import serialization
from flows.simulator import Broker, SimulatedSession

from common import messages, topics
from common.arrivals import REPLY_LOST_CODE, Message
from common.connection import SessionOptions
from common.device import KEY, Device
from common.errors import RefusedError, SessionError, VerificationError
from common.files import write_private
from common.identity import CRL, Identity, save_enrolment
from common.registrar_client import RegistrarClient
from common.replies import read_reply
from common.signing import sign, verify_signature
from registrar.requests import Replies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from authorities import Holder

    from common.certificates import Trust

DEFAULT = authorities.default()
REQUEST = messages.MembersRequest(topic="any", sent_at=NOW, users=("bob",))
SENT = b"the request as it was sent"
RESULT = messages.MembersResult(certificates=(), complete=True)
IMAGE_ID = topics.new_image_id(NOW)


def reply_by(signer: Holder, result: messages.Result = RESULT) -> bytes:
    return Replies(signer.key, signer.certificate).result(REQUEST, SENT, result, NOW)


def read(reply: bytes, trust: Trust | None = None, *, now: dt.datetime = NOW) -> messages.MembersResult:
    result, certificate = read_reply(
        reply, REQUEST, SENT, messages.MembersResult, trust=trust or DEFAULT.trust(), now=now
    )
    assert certificate == DEFAULT.registrar.certificate
    return result


def assert_untrusted(reply: bytes, trust: Trust | None = None, *, now: dt.datetime = NOW) -> None:
    with pytest.raises(VerificationError) as caught:
        read(reply, trust, now=now)
    assert caught.value.code == "untrusted_reply"
    assert caught.value.message == "the registrar's reply could not be verified"


def test_the_registrars_reply_is_read() -> None:
    assert read(reply_by(DEFAULT.registrar)) == RESULT


def test_a_refusal_is_raised_as_the_registrar_words_it() -> None:
    refusal = RefusedError("not now", hint="later", code="busy", retry_after=7)
    registrar = Replies(DEFAULT.registrar.key, DEFAULT.registrar.certificate)
    reply = registrar.error(REQUEST.to_json(), "members", SENT, refusal, NOW)
    assert reply is not None
    with pytest.raises(RefusedError) as caught:
        read(reply)
    error = caught.value
    assert (error.message, error.hint, error.code, error.retry_after) == ("not now", "later", "busy", 7)


@pytest.mark.parametrize(
    "change",
    [
        {"operation": "release"},
        {"nonce": "0" * 32},
        {"request_sha256": sha256(b"another request").hexdigest()},
        {"result": messages.RenewResult(certificate="x")},
        {"result": None},
        {"version": 2},
        {"purpose": "sealcast-request"},
        {"error": {"code": "busy"}},
    ],
    ids=str,
)
def test_a_reply_to_something_else_is_not_taken(change: dict[str, object]) -> None:
    content = verify_signature(reply_by(DEFAULT.registrar), with_image_header=False).content
    good = messages.Reply.model_validate_json(content)
    changed = good.model_copy(update=change).model_dump_json(warnings=False).encode()
    registrar = DEFAULT.registrar
    assert read(sign(content, registrar.key, registrar.certificate)) == RESULT
    assert_untrusted(sign(changed, registrar.key, registrar.certificate))


def test_only_the_registrar_is_believed() -> None:
    assert_untrusted(reply_by(DEFAULT.member("mallory")))
    assert_untrusted(reply_by(DEFAULT.broker))
    assert_untrusted(reply_by(authorities.foreign().registrar))
    assert_untrusted(reply_by(replace(DEFAULT.registrar, key=DEFAULT.member("mallory").key)))


def test_a_registrar_is_believed_while_its_certificate_holds() -> None:
    reply = reply_by(DEFAULT.registrar)
    revoked = DEFAULT.trust({DEFAULT.registrar.certificate: NOW - DAY})
    assert_untrusted(reply, revoked)
    assert_untrusted(reply, now=DEFAULT.registrar.certificate.not_valid_after_utc + DAY)
    # Fails closed: without a revocation list in date nobody is believed.
    assert_untrusted(reply, now=NOW + 30 * DAY)
    assert read(reply, now=NOW + 28 * DAY) == RESULT


def test_an_altered_reply_is_not_taken() -> None:
    reply = reply_by(DEFAULT.registrar)
    for position in range(0, len(reply), 7):
        assert_untrusted(reply[:position] + bytes([reply[position] ^ 1]) + reply[position + 1 :])
    for other in (b"", b"{}", reply[:-1], reply + b"\0"):
        assert_untrusted(other)


class ScriptedSession(SimulatedSession):
    """Answers each request itself, with what a test has for it."""

    answer: Callable[[messages.Request], messages.Result]

    def request(
        self,
        topic: str,
        payload: bytes,
        *,
        operation: str,
        user_properties: Mapping[str, str] | None = None,  # noqa: ARG002 - nobody here looks at it
    ) -> Message:
        request = messages.read_request(verify_signature(payload, with_image_header=False).content)
        assert (request.topic, request.operation) == (topic, operation)
        registrar = Replies(DEFAULT.registrar.key, DEFAULT.registrar.certificate)
        return Message("any", registrar.result(request, payload, self.answer(request), NOW))


@functools.cache
def crl_pem(number: int) -> bytes:
    return DEFAULT.crl(number=number).public_bytes(serialization.Encoding.PEM)


def make_client(home: Path, broker: Broker, *, now: dt.datetime = NOW) -> tuple[RegistrarClient, ScriptedSession]:
    home.mkdir(exist_ok=True)
    alice = DEFAULT.member("alice")
    write_private(home / KEY, alice.key_pem)
    device = Device.prepare(home, key_size=2048)
    save_enrolment(device, alice.certificate, DEFAULT.registrar.certificate, DEFAULT.trust())
    session = ScriptedSession(broker, device.client_id("publisher"), SessionOptions())
    return RegistrarClient(session, Identity.load(home, now=NOW), lambda: now), session


def test_joining_takes_over_the_newest_list(tmp_path: Path) -> None:
    broker = Broker()
    broker.publish(Message(topics.TRUST_CA, DEFAULT.ca_pem, retained=True))
    broker.publish(Message(topics.TRUST_CRL, crl_pem(7), retained=True))
    client, session = make_client(tmp_path, broker)
    with session:
        client.join()
    assert (tmp_path / CRL).read_bytes() == crl_pem(7)


@pytest.mark.parametrize(
    "served", [None, b"", b"no list", crl_pem(0), "foreign"], ids=["none", "empty", "no list", "older", "foreign"]
)
def test_joining_goes_on_with_the_list_at_hand_while_it_is_in_date(tmp_path: Path, served: bytes | str | None) -> None:
    if served == "foreign":
        served = authorities.foreign().crl(number=9).public_bytes(serialization.Encoding.PEM)
    broker = Broker()
    broker.publish(Message(topics.TRUST_CA, DEFAULT.ca_pem, retained=True))
    if isinstance(served, bytes):
        broker.publish(Message(topics.TRUST_CRL, b"first", retained=True))
        broker.retained[topics.TRUST_CRL] = Message(topics.TRUST_CRL, served, retained=True)
    client, session = make_client(tmp_path, broker)
    before = (tmp_path / CRL).read_bytes()
    with session:
        client.join()
    assert (tmp_path / CRL).read_bytes() == before
    late, session = make_client(tmp_path, broker, now=NOW + 29 * DAY)
    with session, pytest.raises(SessionError) as caught:
        late.join()
    assert caught.value.code == "stale_crl"


def part(data: bytes, *, offset: int, sealed_size: int, whole: bytes = b"") -> messages.FetchResult:
    return messages.FetchResult(
        topic="any",
        stored_at=NOW,
        sealed_size=sealed_size,
        sha256_sealed=sha256(whole).hexdigest(),
        offset=offset,
        data=data,
    )


def fetch(home: Path, answers: Iterable[messages.FetchResult], maximum_size: int = 100) -> bytes:
    client, session = make_client(home, Broker())
    remaining = iter(answers)

    def answer(request: messages.Request) -> messages.FetchResult:
        assert isinstance(request, messages.FetchRequest)
        assert request.image_id == IMAGE_ID
        return next(remaining)

    session.answer = answer
    with session:
        return client.fetch(IMAGE_ID, maximum_size)[0]


def test_an_image_is_fetched_in_parts(tmp_path: Path) -> None:
    parts = [part(b"one", offset=0, sealed_size=8), part(b"and", offset=3, sealed_size=8)]
    assert fetch(tmp_path, [*parts, part(b"it", offset=6, sealed_size=8, whole=b"oneandit")]) == b"oneandit"
    assert fetch(tmp_path, [part(b"all", offset=0, sealed_size=3, whole=b"all")], maximum_size=3) == b"all"


def test_a_copy_that_is_not_what_was_stored_is_told_from_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        fetch(tmp_path, [part(b"all", offset=0, sealed_size=3, whole=b"ALL")])
    assert caught.value.code == "damaged"


@pytest.mark.parametrize(
    "parts",
    [
        [part(b"one", offset=3, sealed_size=8)],
        [part(b"one", offset=0, sealed_size=8), part(b"one", offset=0, sealed_size=8)],
        [part(b"one", offset=0, sealed_size=8), part(b"", offset=3, sealed_size=8)],
        [part(b"", offset=0, sealed_size=0)],
        [part(b"one", offset=0, sealed_size=101)],
        [part(b"one", offset=0, sealed_size=2)],
        [part(b"x" * 30, offset=30 * number, sealed_size=30 * (number + 2)) for number in range(3)],
    ],
    ids=["wrong offset", "repeated", "never-ending", "empty", "too large", "longer than it says", "growing"],
)
def test_an_image_that_does_not_add_up_is_not_taken(tmp_path: Path, parts: list[messages.FetchResult]) -> None:
    with pytest.raises(VerificationError) as caught:
        fetch(tmp_path, parts)
    assert caught.value.code == "untrusted_reply"


class ForgetfulSession(ScriptedSession):
    """Loses the first reply, 40 seconds after the request; the second exchange is refused."""

    expiries: ClassVar[list[int | None]] = []
    clock = NOW

    def request(self, *_arguments: object, expiry: int | None = None, **_more: object) -> Message:
        self.expiries.append(expiry)
        if len(self.expiries) == 1:
            self.clock += dt.timedelta(seconds=40)
            raise SessionError("the broker has forgotten the session", code=REPLY_LOST_CODE)
        raise RefusedError("no")


def test_the_broker_keeps_what_is_stored_until_it_expires_in_each_exchange(tmp_path: Path) -> None:
    make_client(tmp_path, Broker())
    session = ForgetfulSession(Broker(), Device.load(tmp_path).client_id("publisher"), SessionOptions())
    client = RegistrarClient(session, Identity.load(tmp_path, now=NOW), lambda: session.clock)
    topic = topics.ImageTopic("alice", "public", IMAGE_ID)
    with session, pytest.raises(RefusedError):
        client.store(b"sealed", topic, name=None, size=1, expires_at=NOW + dt.timedelta(seconds=100))
    assert session.expiries == [100, 60]


def test_a_renewed_certificate_has_to_be_ones_own(tmp_path: Path) -> None:
    client, session = make_client(tmp_path, Broker())
    own = DEFAULT.new_member("alice", key=DEFAULT.member("alice").key)
    others = [DEFAULT.member("bob"), DEFAULT.new_member("alice"), authorities.foreign().member("alice")]
    offered = iter([*others, own])
    session.answer = lambda _request: messages.RenewResult(certificate=next(offered).certificate_pem.decode())
    with session:
        client.join()
        for _ in others:
            with pytest.raises(VerificationError):
                client.renew()
            assert Identity.load(tmp_path, now=NOW).certificate == DEFAULT.member("alice").certificate
        client.renew()
    assert Identity.load(tmp_path, now=NOW).certificate == own.certificate
