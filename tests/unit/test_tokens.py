from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from authorities import DAY, NOW
from sqlalchemy import text

from common.errors import RefusedError
from common.invitation import CODE_BYTES, INVITATION_BYTES, new_token
from common.revocation_lists import Reason
from registrar.accounts import Accounts
from registrar.passwords import LOCKED
from registrar.revocations import Revocations
from registrar.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

pytest_plugins = ("databases",)
WEEK = NOW + 7 * DAY
MOMENT = dt.timedelta(microseconds=1)


@pytest.fixture
def tokens(engine: Engine) -> Tokens:
    return Tokens(engine)


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    return Accounts(engine)


def invite(tokens: Tokens, user: str | None = None) -> str:
    token = new_token(INVITATION_BYTES)
    tokens.add_invitation(token, user, now=NOW, expires_at=WEEK)
    return token


def reset(accounts: Accounts, user: str) -> str:
    if accounts.password_hash(user) is None:
        accounts.create(user, "hash", NOW)
    token = new_token(CODE_BYTES)
    accounts.add_reset_code(user, token, now=NOW, expires_at=WEEK)
    return token


def refused(code: str, work: Callable[[], object]) -> None:
    with pytest.raises(RefusedError) as caught:
        work()
    assert caught.value.code == code


def test_a_token_is_open_until_its_time_is_over(tokens: Tokens) -> None:
    token = invite(tokens)
    assert tokens.kind_of(token, "alice", WEEK - MOMENT) == "invitation"
    assert tokens.kind_of(token, "alice", WEEK) is None
    assert tokens.kind_of(new_token(INVITATION_BYTES), "alice", NOW) is None


def test_a_token_for_one_is_nothing_to_another(tokens: Tokens, accounts: Accounts) -> None:
    invitation, code = invite(tokens, "alice"), reset(accounts, "carol")
    assert (tokens.kind_of(invitation, "alice", NOW), tokens.kind_of(code, "carol", NOW)) == ("invitation", "reset")
    assert [tokens.kind_of(token, "bob", NOW) for token in (invitation, code)] == [None, None]
    refused("login_failed", lambda: accounts.create("bob", "hash", NOW, invitation=invitation))
    accounts.create("alice", "hash", NOW, invitation=invitation)


def test_an_invitation_is_used_once(tokens: Tokens, accounts: Accounts) -> None:
    token = invite(tokens)
    accounts.create("alice", "hash", NOW, invitation=token)
    assert tokens.kind_of(token, "bob", NOW) is None
    refused("login_failed", lambda: accounts.create("bob", "hash", NOW, invitation=token))
    assert accounts.password_hash("bob") is None


def test_an_invitation_that_brought_nobody_in_stays_open(tokens: Tokens, accounts: Accounts) -> None:
    token = invite(tokens)
    accounts.create("alice", "hash", NOW)
    refused("user_exists", lambda: accounts.create("alice", "another hash", NOW, invitation=token))
    refused("login_failed", lambda: accounts.create("bob", "hash", WEEK, invitation=token))
    accounts.create("bob", "hash", NOW, invitation=token)


def test_of_many_who_use_one_invitation_at_once_one_gets_in(tokens: Tokens, accounts: Accounts) -> None:
    token, together = invite(tokens), threading.Barrier(8)

    def register(number: int) -> str:
        together.wait(60)
        try:
            accounts.create(f"user-{number}", "hash", NOW, invitation=token)
        except RefusedError as error:
            return error.code
        return "registered"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(register, range(8)))
    assert answers == ["login_failed"] * 7 + ["registered"]
    assert len(accounts.members(NOW)) == 1


def test_a_code_sets_a_password_once(accounts: Accounts) -> None:
    accounts.create("alice", "hash", NOW)
    code = reset(accounts, "alice")
    assert accounts.password_hash("alice") == "hash"
    accounts.set_password("alice", "new hash", NOW, code=code)
    refused("login_failed", lambda: accounts.set_password("alice", "newer hash", NOW, code=code))
    assert accounts.password_hash("alice") == "new hash"


def test_a_new_code_takes_the_place_of_the_last(accounts: Accounts) -> None:
    accounts.create("alice", "hash", NOW)
    first, second = reset(accounts, "alice"), reset(accounts, "alice")
    refused("login_failed", lambda: accounts.set_password("alice", "new hash", NOW, code=first))
    accounts.set_password("alice", "new hash", NOW, code=second)


def test_a_token_does_only_what_it_is_for(tokens: Tokens, accounts: Accounts) -> None:
    accounts.create("alice", "hash", NOW)
    refused("login_failed", lambda: accounts.set_password("alice", "new", NOW, code=invite(tokens, "alice")))
    refused("login_failed", lambda: accounts.create("bob", "hash", NOW, invitation=reset(accounts, "alice")))


def test_no_code_lets_a_revoked_member_in(accounts: Accounts, engine: Engine) -> None:
    accounts.create("alice", "hash", NOW)
    code = reset(accounts, "alice")
    Revocations(engine).revoke("alice", Reason.SUPERSEDED, NOW)
    refused("login_failed", lambda: accounts.set_password("alice", "new hash", NOW, code=code))
    assert accounts.password_hash("alice") == LOCKED


def test_only_a_member_gets_a_code(accounts: Accounts, engine: Engine) -> None:
    token = new_token(CODE_BYTES)
    refused("unknown_user", lambda: accounts.add_reset_code("nobody", token, now=NOW, expires_at=WEEK))
    accounts.create("alice", "hash", NOW)
    Revocations(engine).revoke("alice", Reason.SUPERSEDED, NOW)
    refused("revoked", lambda: accounts.add_reset_code("alice", token, now=NOW, expires_at=WEEK))


@pytest.mark.parametrize(("lock", "left"), [(False, "hash"), (True, LOCKED)])
def test_a_code_may_take_the_old_password_away_at_once(accounts: Accounts, lock: bool, left: str) -> None:  # noqa: FBT001 - a parameter of the test
    accounts.create("alice", "hash", NOW)
    accounts.add_reset_code("alice", new_token(CODE_BYTES), now=NOW, expires_at=WEEK, lock=lock)
    assert accounts.password_hash("alice") == left


def test_invitations_are_listed_and_withdrawn_by_their_id(tokens: Tokens, accounts: Accounts) -> None:
    first, _ = invite(tokens, "alice"), reset(accounts, "bob")
    (listed,) = tokens.invitations(NOW)
    assert (listed.user, listed.created_at, listed.expires_at) == ("alice", NOW, WEEK)
    assert tokens.invitations(WEEK) == []
    refused("unknown_invitation", lambda: tokens.withdraw("%", NOW))
    tokens.withdraw(listed.id, NOW)
    assert tokens.kind_of(first, "alice", NOW) is None
    refused("unknown_invitation", lambda: tokens.withdraw(listed.id, NOW))


def test_what_is_over_leaves_the_database_and_no_token_is_ever_in_it(
    tokens: Tokens, accounts: Accounts, engine: Engine
) -> None:
    old = [invite(tokens), reset(accounts, "alice")]

    def rows() -> str:
        with engine.connect() as connection:
            return repr(connection.execute(text("SELECT * FROM tokens")).all())

    assert rows().count("'invitation'") == rows().count("'reset'") == 1
    assert not any(token in rows() for token in old)
    tokens.add_invitation("another", None, now=WEEK, expires_at=WEEK + DAY)
    assert (rows().count("'invitation'"), rows().count("'reset'")) == (1, 0)
