"""A new issuing CA beside the old one: what is there before and after, and what a crash or a mistake leaves."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import authorities
import pytest

from common import certificates, keys, revocation_lists
from common.certificates import MOST_ISSUING, check_member, check_registrar, read_authorities
from common.errors import ConfigurationError, VerificationError
from common.files import write_private
from common.settings import Settings
from registrar import rotating
from registrar.authority import BROKER_AUTHORITIES, ISSUING, REGISTRAR, ROOT_KEY, Authority, Revocation
from registrar.authority_files import read_certificate
from registrar.making import create
from registrar.renewing import renew_when_due
from registrar.rotating import rotate

if TYPE_CHECKING:
    from pathlib import Path

NOW, DAY = authorities.NOW, authorities.DAY
SETTINGS = Settings()
LATER = NOW + 100 * DAY
QUICK_KEYS = [authorities.new_key() for _ in range(2)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("registrar") / "home"
    create(home, hosts=[], settings=SETTINGS, now=NOW)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "home")


def load(home: Path) -> Authority:
    return Authority.load(home, SETTINGS)


def files(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


def refuse(home: Path, root_key: Path | None = None, *, now: object = LATER) -> str:
    """Return the code of the refusal, which changes nothing."""
    before = files(home)
    with pytest.raises(ConfigurationError) as caught:
        rotate(home, SETTINGS, now, root_key=root_key)  # type: ignore[arg-type] # a time
    assert caught.value.hint
    assert files(home) == before
    return caught.value.code


def test_the_new_one_signs_and_the_old_one_stays_trusted(home: Path) -> None:
    one = load(home)
    alice = one.sign_member(QUICK_KEYS[0].public_key(), "alice", LATER - 50 * DAY)
    assert rotate(home, SETTINGS, LATER).issuing == load(home).issuing
    two = load(home)
    assert two.issuing[1:] == one.issuing
    bob = two.sign_member(QUICK_KEYS[1].public_key(), "bob", LATER)
    two.write_crls(two.issue_crls([Revocation(alice, LATER)], 7, LATER))
    trust = two.trust(LATER)
    assert len(trust.crls) == 2
    assert check_member(bob, trust, at=LATER, now=LATER) == "bob"
    assert check_member(alice, trust, at=LATER - DAY, now=LATER) == "alice"
    with pytest.raises(VerificationError) as caught:
        check_member(alice, trust, at=LATER, now=LATER)
    assert "revoked" in caught.value.reason
    # What everybody reads and what the broker goes by is the same.
    assert (home / BROKER_AUTHORITIES).read_bytes() == trust.ca_pem
    assert read_authorities(trust.ca_pem, pin=certificates.fingerprint(one.root), now=LATER) == (two.root, two.issuing)


def test_whom_the_new_one_certifies_nobody_accepts_without_its_list(home: Path) -> None:
    before = load(home).trust(NOW)
    two = rotate(home, SETTINGS, NOW)
    bob = two.sign_member(QUICK_KEYS[0].public_key(), "bob", NOW)
    with pytest.raises(VerificationError) as caught:
        check_member(bob, certificates.Trust(two.root, two.issuing, before.crls), at=NOW, now=NOW)
    assert "no revocation list" in caught.value.reason
    assert two.needs_crls(NOW)


def test_a_stolen_key_certifies_nobody_once_it_is_distrusted(home: Path) -> None:
    thief = load(home)
    rotate(home, SETTINGS, LATER, distrust_former=True)
    two = load(home)
    two.write_crls(two.issue_crls([], 7, LATER))
    forged = thief.sign_member(QUICK_KEYS[0].public_key(), "alice", LATER)
    with pytest.raises(VerificationError):
        check_member(forged, two.trust(LATER), at=LATER, now=LATER)
    # A newcomer reads the same; who has trusted the old one does so while its last list is current, and no longer.
    pin = certificates.fingerprint(two.root)
    assert read_authorities((home / BROKER_AUTHORITIES).read_bytes(), pin=pin, now=LATER)[1] == two.issuing[:1]
    old_crls = thief.issue_crls([], 6, LATER)
    believing = certificates.Trust(two.root, (*two.issuing, *thief.issuing), (*two.trust(LATER).crls, *old_crls))
    assert check_member(forged, believing, at=LATER, now=LATER + 29 * DAY) == "alice"
    with pytest.raises(VerificationError):
        check_member(forged, believing, at=LATER, now=LATER + 31 * DAY)


def test_it_lasts_as_long_as_a_first_one_and_never_longer_than_the_root(home: Path) -> None:
    assert rotate(home, SETTINGS, LATER).issuing[0].not_valid_after_utc == LATER + 3650 * DAY
    root_end = load(home).root.not_valid_after_utc
    assert rotate(home, SETTINGS, root_end - DAY).issuing[0].not_valid_after_utc == root_end


def test_registrar_and_broker_get_certificates_of_the_new_one(home: Path) -> None:
    former = load(home).registrar
    rotate(home, SETTINGS, LATER)
    renew_when_due(load(home), LATER)
    two = load(home)
    two.write_crls(two.issue_crls([], 7, LATER))
    for certificate in (two.registrar[0], read_certificate(home / REGISTRAR)):
        assert two.newest.has_signed(certificate)
        check_registrar(certificate, two.trust(LATER), now=LATER)
    assert two.registrar[1:] == former
    before = files(home)
    renew_when_due(load(home), LATER)
    assert files(home) == before


def test_one_whose_time_is_over_goes_with_the_next(home: Path) -> None:
    first = load(home).newest
    second = rotate(home, SETTINGS, first.certificate.not_valid_after_utc - DAY).newest
    third = rotate(home, SETTINGS, first.certificate.not_valid_after_utc + DAY)
    assert third.issuing[1:] == (second.certificate,)
    assert load(home).issuing == third.issuing
    assert load(home).newest.key.public_key() == third.newest.public_key


def test_a_root_key_from_elsewhere(home: Path, tmp_path: Path) -> None:
    stick = tmp_path / "root.key"
    (home / ROOT_KEY).rename(stick)
    stick.chmod(0o755)
    assert refuse(home) == "no_root_key"
    assert refuse(home, tmp_path / "other.key") == "no_root_key"
    rotate(home, SETTINGS, LATER, root_key=stick)
    assert len(load(home).issuers) == 2
    assert not (home / ROOT_KEY).exists()


def test_what_is_no_key_of_this_root(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    write_private(other, keys.to_pem(QUICK_KEYS[0]))
    assert refuse(home, other) == "wrong_root_key"
    other.write_text("no key at all")
    assert refuse(home, other) == "corrupt_authority"
    (home / ROOT_KEY).chmod(0o644)
    assert refuse(home) == "exposed_key"


def test_a_root_whose_time_is_over(home: Path) -> None:
    assert refuse(home, now=load(home).root.not_valid_after_utc + DAY) == "expired_root"


def test_no_more_than_members_take(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.generate(keys.AUTHORITY_SIZE)
    monkeypatch.setattr(keys, "generate", lambda _: key)
    for _ in range(MOST_ISSUING - 1):
        rotate(home, SETTINGS, LATER)
    assert len(load(home).issuing) == MOST_ISSUING
    assert refuse(home) == "too_many_authorities"
    pin = certificates.fingerprint(load(home).root)
    read_authorities((home / BROKER_AUTHORITIES).read_bytes(), pin=pin, now=LATER)


@pytest.mark.parametrize("written", range(3))
def test_a_crash_leaves_the_old_and_the_next_try_completes(
    home: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    one = load(home)
    left = written

    def crash(path: Path, content: bytes) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        write_private(path, content)

    with monkeypatch.context() as crashing:
        crashing.setattr(rotating, "write_private", crash)
        with pytest.raises(KeyboardInterrupt):
            rotate(home, SETTINGS, LATER)
    assert load(home).issuing == one.issuing
    # What the broker and everybody reads meanwhile is sound.
    pem = (home / BROKER_AUTHORITIES).read_bytes()
    read_authorities(pem, pin=certificates.fingerprint(one.root), now=LATER)
    revocation_lists.read_crls(one.trust(NOW).crl_pem, issuing=load(home).issuing, now=NOW)
    rotate(home, SETTINGS, LATER)
    assert load(home).issuing[1:] == one.issuing
    assert (home / BROKER_AUTHORITIES).read_bytes() == certificates.to_pem(one.root) + (home / ISSUING).read_bytes()
