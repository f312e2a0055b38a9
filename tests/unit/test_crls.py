"""The lists that the broker reads follow the database, whoever writes them, and are never half a list."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from cryptography import x509

from common import certificates, keys
from common.errors import ConfigurationError, VerificationError
from common.revocation_lists import Reason, crl_number, load_crls
from common.settings import Settings
from registrar import crls
from registrar.accounts import Accounts
from registrar.authority import BROKER_CRL, Authority
from registrar.crls import issue_when_due
from registrar.database import migrate, open_database
from registrar.making import create
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

KEY = authorities.new_key()
SETTINGS = Settings()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    one = open_database(f"sqlite:///{tmp_path / 'registrar.sqlite3'}")
    migrate(one)
    yield one
    one.dispose()


@pytest.fixture
def revocations(engine: Engine) -> Revocations:
    return Revocations(engine)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    create(home, hosts=[], settings=SETTINGS, now=NOW)
    return home


@pytest.fixture
def authority(made: Path, revocations: Revocations) -> Iterator[Authority]:
    """An authority and a database that have met, as they do when a registrar starts."""
    list_before = (made / BROKER_CRL).read_bytes()
    one = Authority.load(made, SETTINGS)
    issue_when_due(one, revocations, NOW)
    yield one
    (made / BROKER_CRL).write_bytes(list_before)


@pytest.fixture
def alice(authority: Authority, engine: Engine) -> x509.Certificate:
    certificate = authority.sign_member(KEY.public_key(), "alice", NOW)
    accounts = Accounts(engine)
    accounts.create("alice", "hash", NOW)
    accounts.add_certificate("alice", certificate, NOW)
    return certificate


def content(authority: Authority) -> bytes:
    return (authority.home / BROKER_CRL).read_bytes()


def test_a_revocation_is_on_the_next_list_with_its_reason(
    authority: Authority, revocations: Revocations, alice: x509.Certificate
) -> None:
    revocations.revoke("alice", Reason.KEY_COMPROMISE, NOW)
    certificates.check_member(alice, authority.trust(NOW), at=NOW, now=NOW)
    assert issue_when_due(authority, revocations, NOW)
    trust = authority.trust(NOW)
    with pytest.raises(VerificationError):
        certificates.check_member(alice, trust, at=NOW, now=NOW)
    entry = trust.crls[0].get_revoked_certificate_by_serial_number(alice.serial_number)
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason)
    assert (reason.value.reason, reason.critical) == (x509.ReasonFlags.key_compromise, False)
    assert crl_number(trust.crls[0]) == revocations.number()


def test_every_reason_has_its_code_in_rfc_5280() -> None:
    assert {reason.flag.value for reason in Reason} == {
        "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn",
        "certificateHold",
    }  # fmt: skip


@pytest.mark.usefixtures("alice")
def test_a_list_that_says_all_is_left_alone_until_it_is_old(authority: Authority, revocations: Revocations) -> None:
    revocations.revoke("alice", Reason.SUPERSEDED, NOW)
    assert issue_when_due(authority, revocations, NOW)
    number = revocations.number()
    before = content(authority)
    assert not issue_when_due(authority, revocations, NOW)
    assert content(authority) == before
    assert issue_when_due(authority, revocations, NOW + DAY)
    assert revocations.number() > number


def test_a_database_that_is_younger_than_the_list_catches_up(authority: Authority, revocations: Revocations) -> None:
    authority.write_crls(authority.issue_crls([], 2 * int(NOW.timestamp()), NOW))
    assert issue_when_due(authority, revocations, NOW)
    assert revocations.number() == 2 * int(NOW.timestamp()) + 1 == crl_number(authority.trust(NOW).crls[0])
    assert not issue_when_due(authority, revocations, NOW)


@pytest.mark.usefixtures("alice")
def test_registrars_with_folders_of_their_own_agree_and_come_to_rest(
    authority: Authority, revocations: Revocations, tmp_path: Path
) -> None:
    other = replace(authority, home=tmp_path / "other")
    for name in ("authority", "broker/trust"):
        (other.home / name).mkdir(parents=True)
    other.write_crls(other.issue_crls([], 7, NOW))
    revocations.revoke("alice", Reason.SUPERSEDED, NOW)
    assert [issue_when_due(one, revocations, NOW) for one in (authority, other, authority, other)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert crl_number(authority.trust(NOW).crls[0]) == crl_number(other.trust(NOW).crls[0]) == revocations.number()


@pytest.mark.usefixtures("alice")
def test_of_many_who_issue_at_once_one_does(authority: Authority, revocations: Revocations) -> None:
    revocations.revoke("alice", Reason.SUPERSEDED, NOW)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: issue_when_due(authority, revocations, NOW), range(8)))
    assert sorted(done) == [False] * 7 + [True]


@pytest.mark.usefixtures("alice")
def test_what_is_no_list_of_this_authority_never_takes_the_place_of_one(
    authority: Authority, revocations: Revocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = replace(authority.newest, key=keys.generate(2048))
    before = content(authority)
    revocations.revoke("alice", Reason.SUPERSEDED, NOW)
    wrong = replace(authority, issuers=(foreign,)).issue_crls([], 2**40, NOW)
    monkeypatch.setattr(Authority, "issue_crls", lambda *_: wrong)
    with pytest.raises(VerificationError):
        issue_when_due(authority, revocations, NOW)
    assert content(authority) == before


def test_a_list_that_does_not_end_hides_none_behind_it(authority: Authority) -> None:
    whole = (authority.home / BROKER_CRL).read_bytes()
    begun = whole[: len(whole) // 2] + b"\n"
    assert load_crls(begun + whole) == load_crls(whole)
    with pytest.raises(VerificationError):
        load_crls(begun)


@pytest.mark.usefixtures("alice")
def test_a_list_that_cannot_be_written_is_issued_later(
    authority: Authority, revocations: Revocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(authority)
    revocations.revoke("alice", Reason.SUPERSEDED, NOW)

    def full(*_: object) -> None:
        raise ConfigurationError("cannot write", code="unwritable")

    with monkeypatch.context() as patched:
        patched.setattr(Authority, "write_crls", full)
        with pytest.raises(ConfigurationError):
            issue_when_due(authority, revocations, NOW)
    assert content(authority) == before
    assert crls.issue_when_due(authority, revocations, NOW)
    assert crl_number(authority.trust(NOW).crls[0]) == revocations.number()
