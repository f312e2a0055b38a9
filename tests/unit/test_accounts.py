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
from registrar.accounts import Accounts, Member
from registrar.passwords import LOCKED

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


def test_a_name_is_given_out_once(accounts: Accounts) -> None:
    refused("user_exists", lambda: accounts.create("alice", "another hash", NOW))
    assert accounts.password_hash("alice") == "hash of alice"


def test_of_many_who_register_one_name_at_once_one_has_it(engine: Engine) -> None:
    accounts, together = Accounts(engine), threading.Barrier(8)

    def register(number: int) -> str:
        together.wait(10)
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
        together.wait(10)
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


def test_who_is_revoked_has_nothing_left(accounts: Accounts) -> None:
    mine = [add(accounts, "alice", key) for key in KEYS[:2]]
    others = add(accounts, "bob", KEYS[2])
    assert accounts.revoke("alice", NOW) == mine
    assert accounts.password_hash("alice") == LOCKED
    assert accounts.certificates_of("alice", NOW) == []
    assert accounts.all_certificates(NOW) == [others]
    assert accounts.revoked(NOW) == [(one, NOW) for one in mine]
    refused("revoked", lambda: accounts.add_certificate("alice", certify("alice", KEYS[3]), NOW))
    refused("user_exists", lambda: accounts.create("alice", "a new hash", NOW))


def test_a_second_revocation_changes_nothing(accounts: Accounts) -> None:
    certificate = add(accounts, "alice", KEYS[0])
    accounts.revoke("alice", NOW)
    assert accounts.revoke("alice", NOW + DAY) == []
    assert accounts.revoked(NOW + DAY) == [(certificate, NOW)]
    assert [member.revoked_at for member in accounts.members(NOW)] == [NOW, None]


def test_nobody_can_be_revoked_who_is_not_there(accounts: Accounts) -> None:
    refused("unknown_user", lambda: accounts.revoke("nobody", NOW))


def test_a_revoked_certificate_leaves_the_list_well_after_its_end(accounts: Accounts) -> None:
    certificate = add(accounts, "alice", KEYS[0], lifetime=(NOW - DAY, NOW + DAY))
    accounts.revoke("alice", NOW)
    assert accounts.revoked(NOW + 30 * DAY) == [(certificate, NOW)]
    assert accounts.revoked(NOW + 31 * DAY) == []


def test_members_are_listed_with_their_devices(accounts: Accounts) -> None:
    add(accounts, "alice", KEYS[0])
    add(accounts, "alice", KEYS[0])
    add(accounts, "alice", KEYS[1])
    add(accounts, "bob", KEYS[2], lifetime=(NOW - DAY, NOW))
    assert accounts.members(NOW) == [Member("alice", NOW, None, 2), Member("bob", NOW, None, 0)]


def test_crl_numbers_rise_with_the_clock_and_against_it(accounts: Accounts) -> None:
    seconds = int(NOW.timestamp())
    times = (NOW, NOW, NOW + DAY, NOW)
    assert [accounts.next_crl_number(now) for now in times] == [
        seconds,
        seconds + 1,
        seconds + 86_400,
        seconds + 86_401,
    ]


def test_crl_numbers_that_are_taken_at_once_are_different(accounts: Accounts) -> None:
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: accounts.next_crl_number(NOW), range(16)))
    assert len(set(numbers)) == 16


def test_a_certificate_is_its_users_even_when_it_has_ended_unless_it_was_revoked(accounts: Accounts) -> None:
    ended = add(accounts, "alice", KEYS[0], lifetime=(NOW - 2 * DAY, NOW - DAY))
    add(accounts, "alice", KEYS[0])
    name = fingerprint(ended)
    assert accounts.has_had_certificate("alice", name)
    assert not accounts.has_had_certificate("bob", name)
    accounts.revoke("alice", NOW)
    assert not accounts.has_had_certificate("alice", name)
