"""Who has to wait at the enrolment door, and who is not held up by it (docs/protocol.md, "Throttling")."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY
from flows.world import World
from pydantic import SecretStr

from common import certificates, messages, topics
from common.connection import SessionOptions
from common.device import anonymous_client_id
from common.enveloping import Cipher, encrypt
from common.errors import RefusedError, SessionError
from common.invitation import CODE_BYTES, new_token
from common.replies import read_reply
from registrar import enrolment_door, passwords

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa

PASSWORD, WRONG = "seven quiet boats at dusk", "nine loud carts by dawn"
FAILED = ("login_failed", "Login Failed", passwords.login_failed().hint, None)
IN = "Connection Successful"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Nobody is registered by the way; whoever is known has been before."""
    with World(tmp_path, registration="closed") as one:
        for user in ("alice", "bob"):
            one.accounts.create(user, hashed(), one.clock())
        yield one


@functools.cache
def hashed() -> str:
    return passwords.hash_password(PASSWORD)


class Door:
    """The enrolment door of a world, seen from outside."""

    def __init__(self, world: World) -> None:
        self.world = world

    def knock(
        self,
        user: str,
        password: str = WRONG,
        *,
        token: str | None = None,
        key: rsa.RSAPrivateKey | None = None,
        client_id: str | None = None,
        patience: float = 60,
    ) -> str | tuple[str, str, str | None, float | None]:
        """Ask to enrol as a program does, and return the registrar's words, or its refusal."""
        world, client_id = self.world, client_id or anonymous_client_id()
        with world.broker.session(client_id, SessionOptions(reply_timeout=patience)) as session:
            session.subscribe(topics.all_replies(client_id))
            request = messages.EnrolRequest(
                topic=topics.enrolment(client_id),
                sent_at=world.clock(),
                user=user,
                password=SecretStr(password),
                token=None if token is None else SecretStr(token),
                csr=certificates.make_csr(key or (stranger() if password == WRONG else authorities.new_key()), user),
            )
            sealed = encrypt(request.to_json(), [world.authorities.registrar.certificate], Cipher.AES_256_GCM)
            reply = session.request(request.topic, sealed, operation="enrol")
        trust, now = world.authority.trust(world.clock()), world.clock()
        try:
            return read_reply(reply.payload, request, sealed, messages.EnrolResult, trust=trust, now=now)[0].message
        except RefusedError as error:
            return error.code, error.message, error.hint, error.retry_after

    def attack(self, user: str) -> None:
        """Guess until the next attempt has to wait."""
        assert [self.knock(user) for _ in range(self.world.settings.free_login_attempts)] == [FAILED] * 5


@pytest.fixture
def door(world: World) -> Door:
    return Door(world)


@functools.cache
def stranger() -> rsa.RSAPrivateKey:
    return authorities.new_key()


def throttled(seconds: int, words: str) -> tuple[str, str, str, float]:
    hint = f"try again in {words}; a device that has been logged in before need not wait"
    return "throttled", "too many attempts with this user name", hint, seconds


def test_guesses_are_slowed_down_alike_whether_or_not_there_is_such_a_user(world: World, door: Door) -> None:
    for user in ("alice", "nobody-here"):
        door.attack(user)
        assert door.knock(user) == throttled(1, "1 second")
        world.clock.advance(seconds=1)
        assert door.knock(user) == FAILED
        world.clock.advance(seconds=0.5)
        assert door.knock(user) == throttled(2, "2 seconds")


def test_a_throttled_attempt_hashes_nothing_and_does_not_tell_whether_the_password_was_right(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.attack("alice")
    monkeypatch.setattr(passwords, "verify_password", lambda *_: pytest.fail("a password was looked at"))
    assert door.knock("alice", PASSWORD) == door.knock("alice") == throttled(1, "1 second")


def test_the_right_password_in_time_begins_anew_and_others_never_wait(world: World, door: Door) -> None:
    door.attack("alice")
    assert door.knock("bob", PASSWORD) == IN
    world.clock.advance(seconds=1)
    assert door.knock("alice", PASSWORD) == IN
    door.attack("alice")


def test_a_device_that_was_logged_in_before_need_not_wait(world: World, door: Door) -> None:
    known = authorities.new_key()
    assert door.knock("alice", PASSWORD, key=known) == IN
    door.attack("alice")
    assert door.knock("alice", PASSWORD) == throttled(1, "1 second")
    assert door.knock("alice", PASSWORD, key=known) == IN
    # It has a count of its own, and for another user it is a stranger's.
    assert [door.knock("alice", key=known) for _ in range(5)] == [FAILED] * 5
    assert door.knock("alice", PASSWORD, key=known) == throttled(1, "1 second")
    world.clock.advance(seconds=5)
    door.attack("bob")
    assert door.knock("bob", PASSWORD, key=known) == throttled(1, "1 second")


def test_a_code_of_the_administrator_need_not_wait_and_another_has_to(world: World, door: Door) -> None:
    now, code, of_bob = world.clock(), new_token(CODE_BYTES), new_token(CODE_BYTES)
    world.accounts.add_reset_code("alice", code, now=now, expires_at=now + DAY)
    world.accounts.add_reset_code("bob", of_bob, now=now, expires_at=now + DAY)
    door.attack("alice")
    for token in ("guessed", of_bob):
        assert door.knock("alice", PASSWORD, token=token) == throttled(1, "1 second")
    assert door.knock("alice", WRONG, token=code) == IN


def test_guesses_under_many_names_are_slowed_down_together_and_a_known_device_gets_in(world: World, door: Door) -> None:
    known = authorities.new_key()
    assert door.knock("alice", PASSWORD, key=known) == IN
    codes = [door.knock(f"nobody-{number}")[0] for number in range(20)]
    # As many as half of the queue at once; the first stranger was alice's new device.
    assert codes == ["login_failed"] * 15 + ["busy"] * 5
    assert door.knock("alice", PASSWORD, key=known) == IN
    world.clock.advance(seconds=1)
    assert [door.knock(f"somebody-{number}")[0] for number in range(3)] == ["login_failed"] * 2 + ["busy"]


def test_who_is_told_to_come_back_has_not_used_up_an_attempt(world: World, door: Door) -> None:
    for number in range(16):
        door.knock(f"nobody-{number}")
    assert {door.knock("alice", PASSWORD)[0] for _ in range(10)} == {"busy"}
    world.clock.advance(seconds=1)
    assert door.knock("alice", PASSWORD) == IN


def test_what_one_client_sends_on_and_on_is_not_even_opened(
    world: World, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bytes] = []
    real = enrolment_door.open_sealed_request
    monkeypatch.setattr(enrolment_door, "open_sealed_request", lambda *sent: opened.append(sent[0]) or real(*sent))
    client_id = anonymous_client_id()
    for _ in range(5):
        assert door.knock("alice", "too short", client_id=client_id)[0] == "password_too_short"
    with pytest.raises(SessionError):
        door.knock("alice", PASSWORD, client_id=client_id, patience=0.5)
    for _ in range(1000):
        world.broker.session(client_id).publish(topics.enrolment(client_id), b"noise")
    assert door.knock("alice", PASSWORD) == IN
    assert len(opened) == 6
    assert world.enrolments.unacknowledged == []
    world.clock.advance(seconds=1)
    assert door.knock("alice", PASSWORD, client_id=client_id) == IN


def test_what_ever_new_clients_send_is_opened_at_a_rate(
    world: World, door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[bytes] = []
    monkeypatch.setattr(enrolment_door, "open_sealed_request", lambda *sent: opened.append(sent[0]) or b"no request")
    for _ in range(1000):
        client_id = anonymous_client_id()
        world.broker.session(client_id).publish(topics.enrolment(client_id), b"noise")
    with pytest.raises(SessionError):
        door.knock("alice", PASSWORD, patience=0.5)
    assert len(opened) == 60
    assert sum("too many requests of too many clients" in line for line in caplog.messages) == 20
    monkeypatch.undo()
    world.clock.advance(minutes=1)
    assert door.knock("alice", PASSWORD) == IN
    assert any(line.startswith("… and 921 more like it") for line in caplog.messages)


def test_who_finds_the_queue_full_has_not_used_up_an_attempt(tmp_path: Path) -> None:
    with World(tmp_path, registration="closed", password_queue=1) as world:
        world.accounts.create("alice", hashed(), world.clock())
        door, known, ended = Door(world), authorities.new_key(), threading.Event()
        assert door.knock("alice", PASSWORD, key=known) == IN
        filling = [world.passwords.submit(lambda: ended.wait) for _ in range(2)]
        busy = [door.knock("alice", PASSWORD, key=known)[0] for _ in range(7)]
        ended.set()
        for one in filling:
            one.result(60)
        assert busy == ["busy"] * 7
        assert door.knock("alice", PASSWORD, key=known) == IN
