from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from sqlalchemy import update

from common.certificates import fingerprint
from common.errors import RefusedError
from common.revocation_lists import Reason
from registrar.accounts import Accounts
from registrar.authority import Revocation
from registrar.deletions import Deletions
from registrar.passwords import LOCKED
from registrar.revocations import Revocations
from registrar.tables import CertificateRow

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from cryptography import x509
    from sqlalchemy import Engine

pytest_plugins = ("databases",)
AUTHORITIES = authorities.default()
KEYS = [authorities.new_key() for _ in range(4)]
WITHDRAWN = Reason.PRIVILEGE_WITHDRAWN


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    one = Accounts(engine)
    for user in ("alice", "bob"):
        one.create(user, f"hash of {user}", NOW)
    return one


@pytest.fixture
def revocations(engine: Engine) -> Revocations:
    return Revocations(engine)


def add(
    accounts: Accounts, user: str, number: int, lifetime: tuple[dt.datetime, dt.datetime] | None = None
) -> x509.Certificate:
    certificate = AUTHORITIES.new_member(user, key=KEYS[number], lifetime=lifetime).certificate
    accounts.add_certificate(user, certificate, NOW)
    return certificate


def prints(*certificates: x509.Certificate) -> list[str]:
    return sorted(map(fingerprint, certificates))


def refused(code: str, work: Callable[[], object]) -> None:
    with pytest.raises(RefusedError) as caught:
        work()
    assert caught.value.code == code


def test_who_is_revoked_has_nothing_left(accounts: Accounts, revocations: Revocations) -> None:
    mine, others = [add(accounts, "alice", number) for number in range(2)], add(accounts, "bob", 2)
    assert revocations.revoke("alice", WITHDRAWN, NOW) == prints(*mine)
    assert accounts.password_hash("alice") == LOCKED
    assert accounts.certificates_of("alice", NOW) == []
    assert accounts.all_certificates(NOW) == [others]
    assert revocations.listed(NOW) == (revocations.number(), [Revocation(one, NOW, WITHDRAWN) for one in mine])
    refused("revoked", lambda: add(accounts, "alice", 3))
    refused("user_exists", lambda: accounts.create("alice", "a new hash", NOW))
    assert [member.revoked_at for member in accounts.members(NOW)] == [NOW, None]


def test_of_a_device_every_certificate_of_its_key_is_revoked(accounts: Accounts, revocations: Revocations) -> None:
    former, current, other = add(accounts, "alice", 0), add(accounts, "alice", 0), add(accounts, "alice", 1)
    assert revocations.revoke("alice", WITHDRAWN, NOW, fingerprint=fingerprint(former)) == prints(former, current)
    assert accounts.certificates_of("alice", NOW) == [other]
    assert accounts.password_hash("alice") == "hash of alice"


def test_a_signed_request_of_who_is_revoked_is_refused(accounts: Accounts, revocations: Revocations) -> None:
    lost, kept = (fingerprint(add(accounts, "alice", number)) for number in range(2))
    for one in (lost, kept):
        revocations.demand_standing("alice", one)
    revocations.revoke("alice", WITHDRAWN, NOW, fingerprint=lost)
    revocations.demand_standing("alice", kept)
    refused("revoked", lambda: revocations.demand_standing("alice", lost))
    revocations.revoke("alice", WITHDRAWN, NOW)
    refused("revoked", lambda: revocations.demand_standing("alice", kept))
    # Of what the database does not know it says nothing: it may be an older one, from a backup.
    refused("revoked", lambda: revocations.demand_standing("alice", "0" * 64))
    revocations.demand_standing("bob", "0" * 64)


def test_a_second_revocation_changes_nothing(accounts: Accounts, revocations: Revocations) -> None:
    certificate = add(accounts, "alice", 0)
    revocations.revoke("alice", WITHDRAWN, NOW)
    assert revocations.revoke("alice", Reason.SUPERSEDED, NOW + DAY) == []
    assert revocations.listed(NOW + DAY)[1] == [Revocation(certificate, NOW, WITHDRAWN)]
    assert accounts.members(NOW)[0].revoked_at == NOW


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (Reason.CERTIFICATE_HOLD, WITHDRAWN, WITHDRAWN),
        (WITHDRAWN, Reason.KEY_COMPROMISE, Reason.KEY_COMPROMISE),
        (WITHDRAWN, Reason.CERTIFICATE_HOLD, WITHDRAWN),
        (Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD, Reason.KEY_COMPROMISE),
    ],
)
def test_a_reason_only_gets_graver(
    accounts: Accounts, revocations: Revocations, first: Reason, second: Reason, left: Reason
) -> None:
    certificate = add(accounts, "alice", 0)
    revocations.revoke("alice", first, NOW)
    revocations.revoke("alice", second, NOW + DAY)
    assert revocations.listed(NOW + DAY)[1] == [Revocation(certificate, NOW, left)]


@pytest.mark.parametrize("reason", [Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD])
def test_a_key_that_is_compromised_or_on_hold_is_not_certified(
    accounts: Accounts, revocations: Revocations, reason: Reason
) -> None:
    lost = fingerprint(add(accounts, "alice", 0))
    revocations.revoke("alice", reason, NOW, fingerprint=lost)
    refused("key_revoked", lambda: add(accounts, "alice", 0))
    assert accounts.certificates_of("alice", NOW) == []
    add(accounts, "alice", 1)


def test_another_key_of_a_device_may_be_certified_again(accounts: Accounts, revocations: Revocations) -> None:
    lost = fingerprint(add(accounts, "alice", 0))
    revocations.revoke("alice", Reason.SUPERSEDED, NOW, fingerprint=lost)
    assert accounts.certificates_of("alice", NOW) == []
    certificate = add(accounts, "alice", 0)
    assert accounts.certificates_of("alice", NOW) == [certificate]


def test_who_is_restored_logs_in_anew_and_has_back_what_was_on_hold(
    accounts: Accounts, revocations: Revocations
) -> None:
    lost, held = add(accounts, "alice", 0), add(accounts, "alice", 1)
    revocations.revoke("alice", Reason.KEY_COMPROMISE, NOW, fingerprint=fingerprint(lost))
    revocations.revoke("alice", Reason.CERTIFICATE_HOLD, NOW)
    number = revocations.number()
    assert revocations.restore("alice", NOW) == prints(held)
    assert accounts.password_hash("alice") == "hash of alice"
    assert accounts.certificates_of("alice", NOW) == [held]
    assert revocations.listed(NOW)[1] == [Revocation(lost, NOW, Reason.KEY_COMPROMISE)]
    assert revocations.changed_since(number, NOW) == [("alice", fingerprint(held))]
    revocations.demand_standing("alice", fingerprint(held))
    refused("revoked", lambda: revocations.demand_standing("alice", fingerprint(lost)))
    refused("key_revoked", lambda: add(accounts, "alice", 0))
    add(accounts, "alice", 2)


def test_a_device_comes_off_its_hold_and_off_nothing_else(accounts: Accounts, revocations: Revocations) -> None:
    held, gone = add(accounts, "alice", 0), add(accounts, "alice", 1)
    revocations.revoke("alice", Reason.CERTIFICATE_HOLD, NOW, fingerprint=fingerprint(held))
    revocations.revoke("alice", Reason.SUPERSEDED, NOW, fingerprint=fingerprint(gone))
    refused("not_revoked", lambda: revocations.restore("alice", NOW, fingerprint=fingerprint(gone)))
    assert revocations.restore("alice", NOW, fingerprint=fingerprint(held)) == prints(held)
    assert accounts.certificates_of("alice", NOW) == [held]
    refused("not_revoked", lambda: revocations.restore("alice", NOW, fingerprint=fingerprint(held)))


def test_nobody_can_be_restored_who_is_in_or_was_never_there(accounts: Accounts, revocations: Revocations) -> None:
    add(accounts, "alice", 0)
    refused("not_revoked", lambda: revocations.restore("alice", NOW))
    refused("unknown_user", lambda: revocations.restore("nobody", NOW))


def test_a_deleted_account_is_not_restored(accounts: Accounts, revocations: Revocations, engine: Engine) -> None:
    add(accounts, "alice", 0)
    Deletions(engine).delete("alice", NOW)
    refused("deleted", lambda: revocations.restore("alice", NOW))
    assert accounts.password_hash("alice") == LOCKED


def test_sessions_that_were_to_end_are_left_alone_after_a_restoration(
    accounts: Accounts, revocations: Revocations
) -> None:
    add(accounts, "alice", 0)
    revocations.connections.note("one", "alice", NOW)
    revocations.revoke("alice", Reason.CERTIFICATE_HOLD, NOW)
    assert revocations.connections.to_end() == ["one"]
    revocations.restore("alice", NOW)
    assert revocations.connections.to_end() == []


def test_who_revokes_every_device_may_log_in_again(accounts: Accounts, revocations: Revocations) -> None:
    mine = [add(accounts, "alice", number) for number in range(2)]
    others = add(accounts, "bob", 2)
    assert revocations.revoke_devices("alice", Reason.SUPERSEDED, NOW, fingerprint=None) == prints(*mine)
    assert accounts.all_certificates(NOW) == [others]
    assert accounts.password_hash("alice") == "hash of alice"
    add(accounts, "alice", 0)


def test_nobody_and_nothing_can_be_revoked_that_is_not_there(accounts: Accounts, revocations: Revocations) -> None:
    bobs = fingerprint(add(accounts, "bob", 0))
    number = revocations.number()
    refused("unknown_user", lambda: revocations.revoke("nobody", WITHDRAWN, NOW))
    refused("unknown_device", lambda: revocations.revoke("alice", WITHDRAWN, NOW, fingerprint=bobs))
    assert (revocations.number(), revocations.listed(NOW)[1]) == (number, [])


def test_a_revoked_certificate_leaves_the_list_well_after_its_end(accounts: Accounts, revocations: Revocations) -> None:
    certificate = add(accounts, "alice", 0, (NOW - DAY, NOW + DAY))
    revocations.revoke("alice", WITHDRAWN, NOW)
    assert revocations.listed(NOW + 30 * DAY)[1] == [Revocation(certificate, NOW, WITHDRAWN)]
    assert revocations.listed(NOW + 31 * DAY)[1] == []


def test_what_has_changed_since_a_list(accounts: Accounts, revocations: Revocations) -> None:
    before = revocations.number()
    alices, bobs = fingerprint(add(accounts, "alice", 0)), fingerprint(add(accounts, "bob", 1))
    revocations.revoke("alice", WITHDRAWN, NOW)
    between = revocations.number()
    revocations.revoke("bob", WITHDRAWN, NOW)
    assert revocations.changed_since(before, NOW) == [("alice", alices), ("bob", bobs)]
    assert revocations.changed_since(between, NOW) == [("bob", bobs)]
    assert revocations.changed_since(revocations.number(), NOW) == []
    assert revocations.changed_since(before, NOW + 100 * DAY) == []


def test_what_was_revoked_before_reasons_were_kept(accounts: Accounts, engine: Engine) -> None:
    certificate = add(accounts, "alice", 0)
    with engine.begin() as connection:
        connection.execute(update(CertificateRow).values(revoked_at=NOW))
    assert Revocations(engine).listed(NOW)[1] == [Revocation(certificate, NOW, None)]


def test_crl_numbers_rise_with_the_clock_and_against_it(revocations: Revocations) -> None:
    seconds = int(NOW.timestamp())
    times = (NOW, NOW, NOW + DAY, NOW)
    expected = [seconds, seconds + 1, seconds + 86_400, seconds + 86_401]
    assert [revocations.take_number(now) for now in times] == expected
    assert revocations.take_number(NOW, above=2 * seconds) == 2 * seconds + 1 == revocations.number()


def test_crl_numbers_that_are_taken_at_once_are_different(revocations: Revocations) -> None:
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: revocations.take_number(NOW), range(16)))
    assert len(set(numbers)) == 16


def test_all_are_superseded_and_each_may_be_certified_again(accounts: Accounts, revocations: Revocations) -> None:
    alice, bob = add(accounts, "alice", 0), add(accounts, "bob", 1)
    before = revocations.number()
    revocations.revoke("bob", Reason.KEY_COMPROMISE, NOW, fingerprint=fingerprint(bob))
    revocations.supersede_all(NOW + DAY)
    assert accounts.all_certificates(NOW + DAY) == []
    refused("revoked", lambda: revocations.demand_standing("alice", fingerprint(alice)))
    assert sorted(revocations.changed_since(before, NOW)) == [("alice", fingerprint(alice)), ("bob", fingerprint(bob))]
    # Nobody is revoked by it, and what was before stays as it was.
    anew = add(accounts, "alice", 0)
    assert accounts.all_certificates(NOW + DAY) == [anew]
    revocations.demand_standing("alice", fingerprint(anew))
    refused("key_revoked", lambda: add(accounts, "bob", 1))
