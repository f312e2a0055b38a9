"""An account that is deleted: what is gone, and what nobody gets any more."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from sqlalchemy import func, select

from common.certificates import fingerprint
from common.errors import RefusedError
from common.revocation_lists import Reason
from common.topics import new_image_id
from registrar.accounts import Accounts
from registrar.audit import AuditLog
from registrar.authority import Revocation
from registrar.catalogue import Catalogue, Quota, Record, Removal
from registrar.database import transaction
from registrar.deletions import Deletion, Deletions
from registrar.passwords import LOCKED
from registrar.revocations import Revocations
from registrar.tables import TokenRow, UsageRow
from registrar.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509
    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AUTHORITIES = authorities.default()
KEY = authorities.new_key()
LATER = NOW + DAY


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    one = Accounts(engine)
    for user in ("alice", "bob"):
        one.create(user, f"hash of {user}", NOW)
    return one


@pytest.fixture
def deletions(engine: Engine, accounts: Accounts) -> Deletions:
    assert accounts.password_hash("alice")
    return Deletions(engine)


@pytest.fixture
def certificate(accounts: Accounts) -> x509.Certificate:
    certificate = AUTHORITIES.new_member("alice", key=KEY).certificate
    accounts.add_certificate("alice", certificate, NOW)
    return certificate


def store(engine: Engine, owner: str) -> Record:
    record = Record(
        image_id=new_image_id(NOW),
        owner=owner,
        channel="public",
        name="boats.png",
        audience="members",
        size=1,
        sealed_size=100,
        sha256_sealed="ab" * 32,
        wrapped_key=b"wrapped",
        stored_at=NOW,
        expires_at=None,
    )
    return Catalogue(engine).add(record, frozenset(), Quota(10, 10**6))


def refused(code: str, work: Callable[[], object]) -> None:
    with pytest.raises(RefusedError) as caught:
        work()
    assert caught.value.code == code


def count(engine: Engine, table: type[TokenRow | UsageRow]) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_nobody_gets_in_by_a_deleted_account_and_nobody_gets_its_name(
    engine: Engine, accounts: Accounts, deletions: Deletions, certificate: x509.Certificate
) -> None:
    assert deletions.delete("alice", LATER) == Deletion("alice", LATER, 0)
    assert accounts.password_hash("alice") == LOCKED
    assert accounts.certificates_of("alice", LATER) == []
    assert Revocations(engine).listed(LATER)[1] == [Revocation(certificate, LATER, Reason.CESSATION_OF_OPERATION)]
    refused("deleted", lambda: Revocations(engine).demand_standing("alice", fingerprint(certificate)))
    refused("revoked", lambda: accounts.add_certificate("alice", certificate, LATER))
    refused("login_failed", lambda: accounts.set_password("alice", "another hash", LATER))
    assert [member.user for member in accounts.members(LATER)] == ["bob"]
    assert accounts.password_hash("bob") == "hash of bob"


def test_the_name_is_not_given_to_anybody_else(accounts: Accounts, deletions: Deletions) -> None:
    deletions.delete("alice", NOW)
    refused("user_exists", lambda: accounts.create("alice", "another's hash", LATER))


def test_it_does_not_come_back(engine: Engine, accounts: Accounts, deletions: Deletions) -> None:
    deletions.delete("alice", NOW)
    refused("deleted", lambda: Revocations(engine).restore("alice", NOW))
    refused("deleted", lambda: accounts.add_reset_code("alice", "a code", now=NOW, expires_at=LATER))
    refused("deleted", lambda: Revocations(engine).revoke("alice", Reason.CERTIFICATE_HOLD, NOW))
    accounts.add_reset_code("bob", "a code", now=NOW, expires_at=LATER)
    Revocations(engine).revoke("bob", Reason.CERTIFICATE_HOLD, NOW)
    Revocations(engine).restore("bob", NOW)


def test_to_delete_again_says_when_it_was(deletions: Deletions) -> None:
    first = deletions.delete("alice", NOW)
    assert deletions.delete("alice", LATER, known="any hash") == first
    refused("unknown_user", lambda: deletions.delete("nobody-here", NOW))


def test_it_is_deleted_by_who_knows_the_password_of_now(accounts: Accounts, deletions: Deletions) -> None:
    refused("login_failed", lambda: deletions.delete("alice", NOW, known="an earlier hash"))
    assert accounts.password_hash("alice") == "hash of alice"
    deletions.delete("alice", NOW, known="hash of alice")


def test_its_tokens_are_closed_and_others_are_not(engine: Engine, accounts: Accounts, deletions: Deletions) -> None:
    tokens = Tokens(engine)
    for user in ("alice", "bob"):
        accounts.add_reset_code(user, f"code of {user}", now=NOW, expires_at=LATER)
        tokens.add_invitation(f"invitation of {user}", user, now=NOW, expires_at=LATER)
    deletions.delete("alice", NOW)
    kinds = {user: tokens.kind_of(f"code of {user}", user, NOW) for user in ("alice", "bob")}
    assert kinds == {"alice": None, "bob": "reset"}
    assert count(engine, TokenRow) == 2


def test_its_images_are_left_until_each_is_removed_and_none_comes_meanwhile(
    engine: Engine, deletions: Deletions
) -> None:
    stored = {store(engine, "alice").image_id for _ in range(3)}
    store(engine, "bob")
    assert deletions.images_left(NOW, 9) == []
    assert deletions.delete("alice", NOW).images == 3
    refused("revoked", lambda: store(engine, "alice"))
    store(engine, "bob")
    assert len(deletions.images_left(NOW, 2)) == 2
    left = deletions.images_left(NOW, 9)
    assert {image_id for image_id, *_ in left} == stored
    for image_id, owner, channel in left:
        Catalogue(engine).remove(Removal(image_id, owner, channel, "removed", NOW))
    assert deletions.images_left(NOW, 9) == []
    assert dataclasses.asdict(deletions.delete("alice", LATER))["images"] == 0
    assert count(engine, UsageRow) == 1


def test_the_audit_log_has_it_once(engine: Engine, deletions: Deletions) -> None:
    deletions.delete("alice", NOW)
    deletions.delete("alice", NOW)
    AuditLog(engine).verify()
    entries = [(entry.event, entry.user, entry.details) for entry in AuditLog(engine).entries()]
    assert [entry for entry in entries if entry[0] == "deleted"] == [("deleted", "alice", '{"images":0}')]
