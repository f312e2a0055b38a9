from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW

from common.certificates import fingerprint
from common.errors import RefusedError
from common.revocation_lists import Reason
from registrar.accounts import Accounts, Member
from registrar.passwords import LOCKED
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AUTHORITIES = authorities.default()
KEYS = [authorities.new_key() for _ in range(4)]


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    one = Accounts(engine)
    for user in ("alice", "bob"):
        one.create(user, f"hash of {user}", NOW)
    return one


def certify(
    user: str, key: rsa.RSAPrivateKey, lifetime: tuple[dt.datetime, dt.datetime] | None = None
) -> x509.Certificate:
    return AUTHORITIES.new_member(user, key=key, lifetime=lifetime).certificate


def add(
    accounts: Accounts, user: str, key: rsa.RSAPrivateKey, **lifetime: tuple[dt.datetime, dt.datetime]
) -> x509.Certificate:
    certificate = certify(user, key, **lifetime)
    accounts.add_certificate(user, certificate, NOW)
    return certificate


def refused(code: str, work: Callable[[], object]) -> None:
    with pytest.raises(RefusedError) as caught:
        work()
    assert caught.value.code == code


def test_an_account_keeps_its_hash(accounts: Accounts) -> None:
    assert accounts.password_hash("alice") == "hash of alice"
    assert accounts.password_hash("nobody") is None


def test_a_password_is_not_changed_by_who_knew_the_one_before(accounts: Accounts) -> None:
    known = accounts.password_hash("alice")
    assert known is not None
    accounts.add_reset_code("alice", "a code", now=NOW, expires_at=NOW + DAY, lock=True)
    refused("login_failed", lambda: accounts.set_password("alice", "a thief's", NOW, known=known))
    assert accounts.password_hash("alice") == LOCKED
    accounts.set_password("alice", "a new one", NOW, known=LOCKED)
    assert accounts.password_hash("alice") == "a new one"


def test_a_name_is_given_out_once(accounts: Accounts) -> None:
    refused("user_exists", lambda: accounts.create("alice", "another hash", NOW))
    assert accounts.password_hash("alice") == "hash of alice"


def test_of_many_who_register_one_name_at_once_one_has_it(engine: Engine) -> None:
    accounts, together = Accounts(engine), threading.Barrier(8)

    def register(number: int) -> str:
        together.wait(60)
        try:
            accounts.create("alice", f"hash {number}", NOW)
        except RefusedError as error:
            return error.code
        return f"hash {number}"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(register, range(8)))
    assert answers[1:] == ["user_exists"] * 7
    assert accounts.password_hash("alice") == answers[0]


def test_every_device_of_a_user_has_its_certificate(accounts: Accounts) -> None:
    first, second = add(accounts, "alice", KEYS[0]), add(accounts, "alice", KEYS[1])
    others = add(accounts, "bob", KEYS[2])
    assert accounts.certificates_of("alice", NOW) == [first, second]
    assert accounts.certificates_of("bob", NOW) == [others]
    assert accounts.certificates_of("nobody", NOW) == []
    assert accounts.all_certificates(NOW) == [first, second, others]
    assert accounts.all_certificates(NOW, limit=2) == [first, second]


def test_of_one_key_the_newest_certificate_counts(accounts: Accounts) -> None:
    _, new = add(accounts, "alice", KEYS[0]), add(accounts, "alice", KEYS[0])
    assert accounts.certificates_of("alice", NOW) == [new]
    assert accounts.all_certificates(NOW, limit=1) == [new]


def test_an_expired_certificate_is_not_handed_out(accounts: Accounts) -> None:
    end = NOW + DAY
    certificate = add(accounts, "alice", KEYS[0], lifetime=(NOW - DAY, end))
    assert accounts.certificates_of("alice", end - dt.timedelta(seconds=1)) == [certificate]
    assert accounts.certificates_of("alice", end) == []
    assert accounts.all_certificates(end) == []


def test_a_key_belongs_to_one_user(accounts: Accounts) -> None:
    add(accounts, "alice", KEYS[0])
    refused("key_in_use", lambda: accounts.add_certificate("bob", certify("bob", KEYS[0]), NOW))
    assert accounts.certificates_of("bob", NOW) == []
    add(accounts, "alice", KEYS[0])


def test_of_two_users_who_claim_one_key_at_once_one_has_it(accounts: Accounts) -> None:
    together = threading.Barrier(2)

    def claim(user: str) -> str:
        certificate = certify(user, KEYS[0])
        together.wait(60)
        try:
            accounts.add_certificate(user, certificate, NOW)
        except RefusedError as error:
            return error.code
        return "added"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(claim, ("alice", "bob"))) == ["added", "key_in_use"]
    assert len(accounts.all_certificates(NOW)) == 1


def test_only_an_account_has_certificates(accounts: Accounts) -> None:
    refused("revoked", lambda: accounts.add_certificate("nobody", certify("nobody", KEYS[0]), NOW))
    assert accounts.all_certificates(NOW) == []


def test_members_are_listed_with_their_devices(accounts: Accounts) -> None:
    add(accounts, "alice", KEYS[0])
    add(accounts, "alice", KEYS[0])
    add(accounts, "alice", KEYS[1])
    add(accounts, "bob", KEYS[2], lifetime=(NOW - DAY, NOW))
    assert accounts.members(NOW) == [Member("alice", NOW, None, 2), Member("bob", NOW, None, 0)]


def test_a_certificate_is_its_users_even_when_it_has_ended_unless_it_was_revoked(
    accounts: Accounts, engine: Engine
) -> None:
    ended = add(accounts, "alice", KEYS[0], lifetime=(NOW - 2 * DAY, NOW - DAY))
    add(accounts, "alice", KEYS[0])
    name = fingerprint(ended)
    assert accounts.has_had_certificate("alice", name)
    assert not accounts.has_had_certificate("bob", name)
    Revocations(engine).revoke("alice", Reason.SUPERSEDED, NOW)
    assert not accounts.has_had_certificate("alice", name)
