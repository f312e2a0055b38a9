"""A revocation and a renewal meet: whichever is first, the revoked device has no certificate left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import NOW

from common.certificates import fingerprint
from common.errors import RefusedError
from common.revocation_lists import Reason
from registrar import audit
from registrar.accounts import Accounts
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from typing import Any

    from cryptography import x509
    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AUTHORITIES = authorities.default()
KEYS = [authorities.new_key() for _ in range(2)]


def certify(number: int) -> x509.Certificate:
    return AUTHORITIES.new_member("alice", key=KEYS[number]).certificate


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    one = Accounts(engine)
    one.create("alice", "hash of alice", NOW)
    return one


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("reason", [Reason.PRIVILEGE_WITHDRAWN, Reason.KEY_COMPROMISE])
def test_what_was_revoked_meanwhile_is_not_renewed(
    accounts: Accounts, engine: Engine, number: int, reason: Reason
) -> None:
    first, following = certify(0), certify(number)
    accounts.add_certificate("alice", first, NOW)
    Revocations(engine).revoke("alice", reason, NOW, fingerprint=fingerprint(first))
    with pytest.raises(RefusedError) as caught:
        accounts.add_certificate("alice", following, NOW, occasion="renewal", predecessor=first)
    assert caught.value.code == "revoked"
    assert accounts.certificates_of("alice", NOW) == []


@pytest.mark.parametrize("number", [0, 1])
def test_what_is_in_good_standing_is_renewed(accounts: Accounts, number: int) -> None:
    first, following = certify(0), certify(number)
    accounts.add_certificate("alice", first, NOW)
    accounts.add_certificate("alice", following, NOW, occasion="renewal", predecessor=first)
    assert accounts.certificates_of("alice", NOW)[-1] == following


@pytest.mark.parametrize("whole", [True, False])
def test_a_revocation_waits_for_a_renewal_under_way(
    accounts: Accounts, engine: Engine, monkeypatch: pytest.MonkeyPatch, *, whole: bool
) -> None:
    first = certify(0)
    accounts.add_certificate("alice", first, NOW)
    append, started = audit.append, []

    def revoke() -> None:
        device = None if whole else fingerprint(first)
        Revocations(engine).revoke_devices("alice", Reason.KEY_COMPROMISE, NOW, fingerprint=device)

    def append_late(*arguments: Any, **details: Any) -> None:  # noqa: ANN401 - whatever it is given
        if not started:
            started.append(threads.submit(revoke))
            # Long enough for one that does not wait to be over.
            wait(started, timeout=1)
        append(*arguments, **details)

    monkeypatch.setattr(audit, "append", append_late)
    with ThreadPoolExecutor() as threads:
        accounts.add_certificate("alice", certify(0), NOW, occasion="renewal", predecessor=first)
        started[0].result()
    assert accounts.certificates_of("alice", NOW) == []
