"""A member's own password: who may change it, and what is refused (docs/protocol.md, "password")."""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING

import pytest
from authorities import default
from pydantic import SecretStr
from system import wait_until

from common import messages, topics
from common.arrivals import Message
from common.enveloping import Cipher, encrypt
from common.errors import RefusedError, SessionError
from common.registrar_client import RegistrarClient
from common.replies import read_reply
from common.signing import sign
from registrar import passwords

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.members import Owner
    from flows.world import World

OLD, NEW, WRONG = "seven quiet boats at dusk", "eleven brown kites at noon", "nine loud carts by dawn"


@functools.cache
def hashed() -> str:
    return passwords.hash_password(OLD)


@pytest.fixture
def alice(world: World) -> Owner:
    world.accounts.create("alice", hashed(), world.clock())
    return world.owner("alice")


def opens(world: World, password: str) -> bool:
    return passwords.verify_password(password, world.accounts.password_hash("alice") or "")


def code_of(attempt: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        attempt()
    return caught.value.code


def request_of(alice: Owner, world: World, **changes: object) -> messages.PasswordRequest:
    topic = topics.request("password", "alice", alice.session.client_id)
    proper = messages.PasswordRequest(
        topic=topic, sent_at=world.clock(), old_password=SecretStr(OLD), new_password=SecretStr(NEW)
    )
    return proper.model_copy(update=changes)


def sealed(content: bytes, world: World) -> bytes:
    return encrypt(content, [world.authorities.registrar.certificate], Cipher.AES_256_GCM)


def ask(alice: Owner, world: World, request: messages.PasswordRequest, sent: bytes) -> messages.PasswordResult:
    """Send any bytes as this request on alice's topic, and return what the registrar says."""
    topic = topics.request("password", "alice", alice.session.client_id)
    reply = alice.session.request(topic, sent, operation="password")
    now = world.clock()
    trust = world.authority.trust(now)
    return read_reply(reply.payload, request, sent, messages.PasswordResult, trust=trust, now=now)[0]


def test_who_knows_the_old_password_changes_it(world: World, alice: Owner) -> None:
    assert alice.registrar.change_password(OLD, NEW).changed_at == world.clock()
    assert (opens(world, NEW), opens(world, OLD)) == (True, False)


def test_who_does_not_know_it_does_not(world: World, alice: Owner) -> None:
    assert code_of(lambda: alice.registrar.change_password(WRONG, NEW)) == "login_failed"
    assert opens(world, OLD)
    world.handlers.audit.login_failures.write(world.clock(), everything=True)
    entries = [(entry.event, entry.user) for entry in world.handlers.audit.entries()]
    assert entries.count(("login-failed", "alice")) == 1


def test_the_reply_to_a_change_that_was_made_is_given_again(world: World, alice: Owner) -> None:
    alice.registrar.change_password(OLD, NEW)
    first = world.accounts.password_hash("alice")
    alice.registrar.change_password(OLD, NEW)
    assert world.accounts.password_hash("alice") == first


@pytest.mark.parametrize(
    ("new", "code"),
    [("too short", "password_too_short"), ("x" * 1025, "password_too_long"), ("alicealicealice", "password_common")],
)
def test_the_rules_are_those_of_registration_and_to_break_them_is_no_guess(
    world: World, alice: Owner, new: str, code: str
) -> None:
    for _ in range(world.settings.free_login_attempts + 1):
        assert code_of(lambda: alice.registrar.change_password(OLD, new)) == code
    assert opens(world, OLD)


def test_guesses_wait_on_this_device_and_not_on_another(world: World, alice: Owner) -> None:
    for _ in range(world.settings.free_login_attempts):
        assert code_of(lambda: alice.registrar.change_password(WRONG, NEW)) == "login_failed"
    with pytest.raises(RefusedError) as caught:
        alice.registrar.change_password(OLD, NEW)
    assert (caught.value.code, caught.value.retry_after) == ("throttled", 1)
    assert opens(world, OLD)
    second = world.identity("alice", default().new_member("alice"), folder="second")
    with world.broker.session(second.device.client_id("account")) as session:
        registrar = RegistrarClient(session, second, world.clock)
        registrar.join()
        registrar.change_password(OLD, NEW)
    assert opens(world, NEW)
    world.clock.advance(seconds=1)
    alice.registrar.change_password(NEW, OLD)
    for _ in range(world.settings.free_login_attempts):
        assert code_of(lambda: alice.registrar.change_password(WRONG, NEW)) == "login_failed"


def test_what_passes_the_broker_has_neither_password_in_it(world: World, alice: Owner) -> None:
    with world.broker.session(f"{'b' * 32}-watching") as watching:
        watching.subscribe(topics.all_requests("password"))
        # Whatever the registrar makes of it.
        with contextlib.suppress(SessionError):
            alice.registrar.change_password(OLD, NEW)
        arrived = list(iter(lambda: watching.receive(timeout=1), None))
    (passed,) = [one.payload for one in arrived if isinstance(one, Message)]
    assert (OLD.encode() in passed, NEW.encode() in passed) == (False, False)


def test_one_that_is_both_signed_and_sealed_is_taken_once(world: World, alice: Owner) -> None:
    request = request_of(alice, world)
    sent = sealed(sign(request.to_json(), alice.identity.key, alice.identity.certificate), world)
    ask(alice, world, request, sent)
    assert opens(world, NEW)
    world.clock.advance(seconds=1)
    assert code_of(lambda: ask(alice, world, request, sent)) == "replayed"


def test_one_that_is_only_signed_or_only_sealed_is_not_even_answered(
    world: World, alice: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    request = request_of(alice, world)
    signed = sign(request.to_json(), alice.identity.key, alice.identity.certificate)
    answers = topics.reply(alice.session.client_id, "password")
    for sent in (signed, sealed(request.to_json(), world)):
        alice.session.publish(request.topic, sent, response_topic=answers)
    wait_until(lambda: caplog.text.count("dropped password of alice") == 2, "neither is taken")
    assert opens(world, OLD)


def test_another_members_signature_topic_or_time_is_refused(world: World, alice: Owner) -> None:
    mallory = world.identity("mallory")
    own, late = request_of(alice, world), request_of(alice, world)
    other = request_of(alice, world, topic=topics.request("password", "mallory", alice.session.client_id))
    forged = sealed(sign(own.to_json(), mallory.key, mallory.certificate), world)
    assert code_of(lambda: ask(alice, world, own, forged)) == "wrong_signer"
    moved = sealed(sign(other.to_json(), alice.identity.key, alice.identity.certificate), world)
    assert code_of(lambda: ask(alice, world, other, moved)) == "wrong_topic"
    kept = sealed(sign(late.to_json(), alice.identity.key, alice.identity.certificate), world)
    world.clock.advance(seconds=301)
    assert code_of(lambda: ask(alice, world, late, kept)) == "clock"
    assert opens(world, OLD)


def test_who_was_locked_out_while_the_password_was_looked_at_does_not_change_it(
    world: World, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = passwords.verify_password

    def verify(password: str, known: str) -> bool:
        now = world.clock()
        code = "a code of the administrator"
        world.accounts.add_reset_code("alice", code, now=now, expires_at=now.replace(year=now.year + 1), lock=True)
        return real(password, known)

    monkeypatch.setattr(passwords, "verify_password", verify)
    assert code_of(lambda: alice.registrar.change_password(OLD, NEW)) == "login_failed"
    assert world.accounts.password_hash("alice") == passwords.LOCKED


def test_who_finds_the_queue_full_has_not_used_up_an_attempt(world: World, alice: Owner) -> None:
    ended = threading.Event()
    filling = [world.passwords.submit(lambda: ended.wait) for _ in range(1 + world.settings.password_queue)]
    attempts = world.settings.free_login_attempts + 2
    codes = [code_of(lambda: alice.registrar.change_password(OLD, NEW)) for _ in range(attempts)]
    ended.set()
    for one in filling:
        one.result(60)
    assert codes == ["busy"] * attempts
    alice.registrar.change_password(OLD, NEW)
    assert opens(world, NEW)
