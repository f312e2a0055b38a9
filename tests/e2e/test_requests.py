"""What the registrar takes from members and what it refuses, on the real broker."""

from __future__ import annotations

import json
import secrets
import uuid
from typing import TYPE_CHECKING, Any

import authorities
import pytest
from raw_clients import Client, Watcher, aged, assert_taken, code_of, logged, read_reply, sealed_to, spoilt
from system import System, wait_until

from common import certificates, keys, messages, topics
from common.errors import RefusedError
from common.signing import sign
from registrar.authority import REGISTRAR, REGISTRAR_KEY

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_proper_request_is_answered(alice: Client) -> None:
    reply = alice.ask(alice.request())
    assert isinstance(reply.result, messages.MembersResult)
    assert reply.operation == "members"
    (certificate,) = reply.result.certificates
    assert certificates.user_of(certificates.read_certificate(certificate.encode())) == alice.user


REFUSED: dict[str, tuple[Callable[[Client], dict[str, Any]], str]] = {
    "an unknown operation": (
        lambda client: client.request("dance", topic=client.topic("members")),
        "invalid_request",
    ),
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
        lambda client: client.request(
            "store", topic=client.topic("members"), name=None, size=1, sha256_sealed="0" * 64, expires_at=None
        ),
        "wrong_topic",
    ),
    "an old request": (lambda client: client.request(sent_at=aged(-310)), "clock"),
    "a request of the future": (lambda client: client.request(sent_at=aged(310)), "clock"),
    "the first of all times": (lambda client: client.request(sent_at="0001-01-01T00:00:00+23:59"), "invalid_request"),
    "the last of all times": (lambda client: client.request(sent_at="9999-12-31T23:59:59-23:59"), "invalid_request"),
    "an image that is not there": (
        lambda client: client.request("fetch", owner=None, image_id=str(uuid.uuid4()), offset=0),
        "unknown_image",
    ),
    "no signing request": (lambda client: client.request("renew", csr="no CSR"), "invalid_csr"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_is_refused_for(name: str, alice: Client) -> None:
    make, code = REFUSED[name]
    request = make(alice)
    operation = request["operation"] if request["operation"] in {"fetch", "renew"} else "members"
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


def signed_as_registrar(system: System, request: dict[str, Any]) -> bytes:
    key = keys.read((system.home / REGISTRAR_KEY).read_bytes())
    certificate = certificates.read_certificate((system.home / REGISTRAR).read_bytes())
    return sign(json.dumps(request).encode(), key, certificate)


def signed_elsewhere(request: dict[str, Any], user: str) -> bytes:
    holder = authorities.foreign().member(user)
    return sign(json.dumps(request).encode(), holder.key, holder.certificate)


@pytest.mark.parametrize("name", UNANSWERED)
def test_no_answer_is_given_to(name: str, alice: Client, system: System, watcher: Watcher) -> None:
    def mentions() -> int:
        return logged(system, f"members of {alice.user}:")

    before = mentions()
    alice.session.publish(
        alice.topic("members"), UNANSWERED[name](alice, system), response_topic=alice.reply_topic
    ).result(60)
    wait_until(lambda: mentions() > before, "a word in the log")
    assert watcher.on(alice.reply_topic) == []
    assert_taken(alice.ask(alice.request()))
    assert len(watcher.on(alice.reply_topic)) == 1


@pytest.mark.parametrize("operation", ["dance", "store"])
def test_an_operation_that_there_is_not_is_not_even_read(alice: Client, watcher: Watcher, operation: str) -> None:
    signed = alice.sign(alice.request(operation))
    alice.session.publish(alice.topic(operation), signed, response_topic=alice.reply_topic).result(60)
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
