"""Who is registered, and whose password is set anew: by what the registrar is open to, and by which token."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from flows.world import World
from pydantic import SecretStr

from common import certificates, messages
from common.errors import RefusedError
from common.invitation import CODE_BYTES, INVITATION_BYTES, new_token
from registrar import passwords

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD, ANOTHER = "seven quiet boats at dusk", "nine loud carts by dawn"
FAILED = ("login_failed", passwords.login_failed().message, passwords.login_failed().hint)


def enrol(world: World, user: str, password: str = PASSWORD, token: str | None = None) -> str | tuple[str, ...]:
    """Return what the registrar says: its words, or its refusal."""
    request = messages.EnrolRequest(
        topic="any",
        sent_at=world.clock(),
        user=user,
        password=SecretStr(password),
        token=None if token is None else SecretStr(token),
        csr=certificates.make_csr(authorities.new_key(), user),
    )
    try:
        applicant = world.handlers.examine(request, now=world.clock())
        result = world.handlers.enrol(applicant, now=world.clock()).result
    except RefusedError as error:
        return error.code, error.message, str(error.hint)
    assert isinstance(result, messages.EnrolResult)
    return result.message


@contextmanager
def registering(folder: Path, registration: str) -> Iterator[World]:
    with World(folder, registration=registration) as world:
        assert world.accounts.password_hash("alice") is None
        world.accounts.create("alice", passwords.hash_password(PASSWORD), NOW)
        yield world


def invite(world: World, user: str | None = None) -> str:
    token = new_token(INVITATION_BYTES)
    world.handlers.tokens.add_invitation(token, user, now=NOW, expires_at=NOW + DAY)
    return token


def reset(world: World, user: str) -> str:
    token = new_token(CODE_BYTES)
    world.accounts.add_reset_code(user, token, now=NOW, expires_at=NOW + DAY)
    return token


def test_only_an_open_registrar_takes_whoever_comes(tmp_path: Path) -> None:
    answers = {}
    for registration in ("open", "invitation", "closed"):
        with registering(tmp_path / registration, registration) as world:
            answers[registration] = enrol(world, "dora")
            assert (world.accounts.password_hash("dora") is None) == (registration != "open")
            assert enrol(world, "alice") == "Connection Successful"
    assert answers == {"open": "Registration Successful", "invitation": FAILED, "closed": FAILED}


@pytest.mark.parametrize("registration", ["open", "invitation"])
def test_an_invitation_registers_one_user(tmp_path: Path, registration: str) -> None:
    with registering(tmp_path, registration) as world:
        token = invite(world)
        assert enrol(world, "dora", token=token) == "Registration Successful"
        assert enrol(world, "dan", token=token) == FAILED
        assert world.accounts.password_hash("dan") is None


def test_a_closed_registrar_takes_no_invitation(tmp_path: Path) -> None:
    with registering(tmp_path, "closed") as world:
        assert enrol(world, "dora", token=invite(world)) == FAILED


@pytest.mark.parametrize("registration", ["open", "invitation", "closed"])
def test_a_token_that_is_not_open_says_no_more_than_a_wrong_password(tmp_path: Path, registration: str) -> None:
    with registering(tmp_path, registration) as world:
        foreign, code, old = invite(world, "erin"), reset(world, "alice"), invite(world)
        for token in (foreign, code, "guessed", ""):
            assert enrol(world, "dora", token=token) == FAILED
        for token in (foreign, old, "guessed", ""):
            assert enrol(world, "alice", ANOTHER, token) == FAILED
        world.clock.advance(days=1)
        assert enrol(world, "dora", token=old) == FAILED
        assert enrol(world, "alice", ANOTHER, code) == FAILED
        assert [member.user for member in world.accounts.members(NOW)] == ["alice"]


def test_an_unknown_user_costs_the_same_hashes_as_a_wrong_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registering(tmp_path, "invitation") as world:
        hashed: list[str] = []
        for name in ("verify_password", "hash_password"):
            work = getattr(passwords, name)
            monkeypatch.setattr(passwords, name, lambda *a, name=name, work=work: hashed.append(name) or work(*a))
        for token in (None, "guessed"):
            for user in ("alice", "nobody-here"):
                assert enrol(world, user, ANOTHER, token) == FAILED
        assert hashed == ["verify_password"] * 4


def test_an_invitation_is_not_burnt_by_a_refused_attempt(tmp_path: Path) -> None:
    with registering(tmp_path, "invitation") as world:
        token = invite(world, "dora")
        assert enrol(world, "dora", "too short", token)[0] == "password_too_short"
        assert enrol(world, "dan", token=token) == FAILED
        assert enrol(world, "alice", token=token) == "Connection Successful"
        assert enrol(world, "dora", token=token) == "Registration Successful"


def test_who_has_lost_the_reply_asks_again_with_the_same_token(tmp_path: Path) -> None:
    with registering(tmp_path, "invitation") as world:
        invitation, code = invite(world), reset(world, "alice")
        assert enrol(world, "dora", token=invitation) == "Registration Successful"
        assert enrol(world, "dora", token=invitation) == "Connection Successful"
        assert [enrol(world, "alice", ANOTHER, code) for _ in range(2)] == ["Connection Successful"] * 2


@pytest.mark.parametrize("registration", ["open", "closed"])
def test_a_code_sets_the_password_anew_and_the_old_one_holds_until_then(tmp_path: Path, registration: str) -> None:
    with registering(tmp_path, registration) as world:
        code = reset(world, "alice")
        assert enrol(world, "alice", "too short", code)[0] == "password_too_short"
        assert enrol(world, "alice") == "Connection Successful"
        assert enrol(world, "alice", ANOTHER, code) == "Connection Successful"
        assert enrol(world, "alice") == FAILED
        assert enrol(world, "alice", ANOTHER) == "Connection Successful"
        assert enrol(world, "alice", PASSWORD, code) == FAILED
