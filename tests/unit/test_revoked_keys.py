"""A device that has changed its key is revoked with all of its keys, whichever of them is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import NOW

from common.certificates import fingerprint, subject_key_identifier
from common.errors import RefusedError
from common.revocation_lists import Reason
from registrar.accounts import Accounts
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from cryptography import x509
    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AUTHORITIES = authorities.default()
KEYS = [authorities.new_key() for _ in range(4)]


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    one = Accounts(engine)
    one.create("alice", "hash of alice", NOW)
    return one


def add(accounts: Accounts, number: int, predecessor: x509.Certificate | None = None) -> x509.Certificate:
    certificate = AUTHORITIES.new_member("alice", key=KEYS[number]).certificate
    accounts.add_certificate("alice", certificate, NOW, occasion="renewal", predecessor=predecessor)
    return certificate


def change_twice(accounts: Accounts) -> list[x509.Certificate]:
    keys = [add(accounts, 0)]
    for number in (1, 2):
        keys.append(add(accounts, number, keys[-1]))
    return keys


@pytest.mark.parametrize("named", range(3))
def test_a_device_is_revoked_with_the_keys_before_and_after(accounts: Accounts, engine: Engine, named: int) -> None:
    keys, other = change_twice(accounts), add(accounts, 3)
    revoked = Revocations(engine).revoke("alice", Reason.KEY_COMPROMISE, NOW, fingerprint=fingerprint(keys[named]))
    assert revoked == sorted(map(fingerprint, keys))
    assert accounts.certificates_of("alice", NOW) == [other]


@pytest.mark.parametrize("named", range(2))
def test_a_device_shuts_its_old_keys_out_and_keeps_the_new_one(accounts: Accounts, engine: Engine, named: int) -> None:
    keys = change_twice(accounts)
    revoke(engine, keys[named], signer=keys[2])
    assert accounts.certificates_of("alice", NOW) == [keys[2]]


@pytest.mark.parametrize(("named", "signer"), [(0, 0), (2, 2), (2, 0), (0, 3)])
def test_whoever_else_revokes_it_shuts_every_key_out(
    accounts: Accounts, engine: Engine, named: int, signer: int
) -> None:
    keys, other = change_twice(accounts), add(accounts, 3)
    revoke(engine, keys[named], signer=[*keys, other][signer])
    assert accounts.certificates_of("alice", NOW) == [other]


def test_a_key_that_was_taken_up_again_goes_with_the_others(accounts: Accounts, engine: Engine) -> None:
    first = add(accounts, 0)
    again = add(accounts, 0, add(accounts, 1, first))
    assert again in accounts.certificates_of("alice", NOW)
    Revocations(engine).revoke("alice", Reason.KEY_COMPROMISE, NOW, fingerprint=fingerprint(first))
    assert accounts.certificates_of("alice", NOW) == []


def test_no_device_of_a_revoked_user_is_restored_alone(accounts: Accounts, engine: Engine) -> None:
    device, revocations = add(accounts, 0), Revocations(engine)
    revocations.revoke("alice", Reason.CERTIFICATE_HOLD, NOW)
    with pytest.raises(RefusedError) as caught:
        revocations.restore("alice", NOW, fingerprint=fingerprint(device))
    assert caught.value.code == "revoked"
    assert accounts.certificates_of("alice", NOW) == []
    assert revocations.restore("alice", NOW) == [fingerprint(device)]


def revoke(engine: Engine, device: x509.Certificate, *, signer: x509.Certificate) -> None:
    Revocations(engine).revoke_devices(
        "alice",
        Reason.KEY_COMPROMISE,
        NOW,
        fingerprint=fingerprint(device),
        signer=subject_key_identifier(signer),
    )
