"""What writes an entry: exactly what changes something, with what it says, and never a secret."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import authorities
import pytest
from authorities import DAY, NOW
from sqlalchemy import text

from common import certificates
from common.errors import RefusedError
from common.invitation import CODE_BYTES, INVITATION_BYTES, new_token
from common.revocation_lists import Reason
from registrar.accounts import Accounts
from registrar.audit import AuditLog
from registrar.catalogue import Catalogue, Removal
from registrar.revocations import Revocations
from registrar.tokens import Tokens, token_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AUTHORITIES = authorities.default()


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    one = Accounts(engine)
    one.create("alice", "hash of alice", NOW)
    return one


def entries(engine: Engine) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Return the entries behind that of alice's registration."""
    log = AuditLog(engine)
    log.verify()
    return [(entry.event, entry.user, json.loads(entry.details)) for entry in log.entries(1)]


def refuse(work: Callable[[], object]) -> None:
    with pytest.raises(RefusedError):
        work()


def test_a_registration_with_the_id_of_its_invitation(accounts: Accounts, engine: Engine) -> None:
    token = new_token(INVITATION_BYTES)
    identifier = Tokens(engine).add_invitation(token, "bob", now=NOW, expires_at=NOW + DAY)
    accounts.create("bob", "hash", NOW, invitation=token)
    refuse(lambda: accounts.create("bob", "hash", NOW))
    refuse(lambda: accounts.create("carol", "hash", NOW, invitation=token))
    assert entries(engine) == [
        ("invited", "bob", {"invitation": identifier, "expires_at": (NOW + DAY).isoformat()}),
        ("registered", "bob", {"invitation": identifier}),
    ]


@pytest.mark.usefixtures("accounts")
def test_an_invitation_that_is_withdrawn(engine: Engine) -> None:
    tokens = Tokens(engine)
    identifier = tokens.add_invitation("token", None, now=NOW, expires_at=NOW + DAY)
    tokens.withdraw(identifier, NOW)
    refuse(lambda: tokens.withdraw(identifier, NOW))
    assert entries(engine)[1:] == [("invitation-withdrawn", None, {"invitation": identifier})]


def test_a_certificate_and_its_occasion(accounts: Accounts, engine: Engine) -> None:
    member = AUTHORITIES.new_member("alice")
    accounts.add_certificate("alice", member.certificate, NOW, occasion="renewal")
    refuse(lambda: accounts.add_certificate("nobody", member.certificate, NOW))
    ((event, user, details),) = entries(engine)
    assert (event, user) == ("certificate-signed", "alice")
    assert details == {
        "certificate": certificates.fingerprint(member.certificate),
        "expires_at": member.certificate.not_valid_after_utc.isoformat(),
        "occasion": "renewal",
    }


def test_a_password_that_is_set_with_a_code(accounts: Accounts, engine: Engine) -> None:
    code = new_token(CODE_BYTES)
    accounts.add_reset_code("alice", code, now=NOW, expires_at=NOW + DAY, lock=True)
    refuse(lambda: accounts.set_password("alice", "new hash", NOW, code="another"))
    accounts.set_password("alice", "new hash", NOW, code=code)
    assert entries(engine) == [
        ("reset-code", "alice", {"code": token_id(code), "locked": True}),
        ("password-changed", "alice", {"code": token_id(code)}),
    ]


def test_a_revocation_with_what_it_revokes(accounts: Accounts, engine: Engine) -> None:
    member = AUTHORITIES.new_member("alice")
    accounts.add_certificate("alice", member.certificate, NOW)
    revocations = Revocations(engine)
    revocations.revoke("alice", Reason.KEY_COMPROMISE, NOW)
    refuse(lambda: revocations.revoke("nobody", Reason.KEY_COMPROMISE, NOW))
    revocations.restore("alice", NOW)
    refuse(lambda: revocations.restore("alice", NOW))
    details = {"certificates": [certificates.fingerprint(member.certificate)], "reason": "key-compromise"}
    assert entries(engine)[1:] == [("revoked", "alice", details), ("restored", "alice", {"certificates": []})]


@pytest.mark.usefixtures("accounts")
def test_a_removal_once(engine: Engine) -> None:
    catalogue, image_id = Catalogue(engine), uuid.uuid4()
    for _ in range(2):
        catalogue.remove(Removal(image_id, "alice", None, "removed", NOW))
    assert entries(engine) == [("removed", "alice", {"image_id": str(image_id), "reason": "removed"})]


@pytest.mark.usefixtures("accounts")
def test_a_lost_image_that_its_owner_removes_is_removed_twice(engine: Engine) -> None:
    catalogue, image_id = Catalogue(engine), uuid.uuid4()
    catalogue.remove(Removal(image_id, "alice", "public", "lost", NOW))
    catalogue.remove(Removal(image_id, "alice", "public", "removed", NOW))
    assert [details["reason"] for _, _, details in entries(engine)] == ["lost", "removed"]


def test_no_secret_is_in_the_log(accounts: Accounts, engine: Engine) -> None:
    invitation, code = new_token(INVITATION_BYTES), new_token(CODE_BYTES)
    Tokens(engine).add_invitation(invitation, None, now=NOW, expires_at=NOW + DAY)
    accounts.create("bob", "hash of bob", NOW, invitation=invitation)
    accounts.add_reset_code("bob", code, now=NOW, expires_at=NOW + DAY)
    accounts.set_password("bob", "new hash", NOW, code=code)
    with engine.connect() as connection:
        written = repr(connection.execute(text("SELECT * FROM audit")).all())
    assert [written.count(event) for event in ("invited", "registered", "reset-code", "password-changed")] == [
        1,
        2,
        1,
        1,
    ]
    assert not any(secret in written for secret in (invitation, code, "hash of", "new hash"))
