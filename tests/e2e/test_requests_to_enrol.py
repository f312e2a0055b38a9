"""What the registrar takes at the enrolment door and what it refuses, on the real broker."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest
from raw_clients import (
    CHELSEA,
    Client,
    Watcher,
    assert_taken,
    code_of,
    logged,
    now,
    read_reply,
    sealed_to,
    spoilt,
    stranger,
)
from system import PASSWORD, System, wait_until

from common import certificates, keys, messages, topics
from common.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.identity import Identity
    from common.session import Session


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
        "token": None,
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
