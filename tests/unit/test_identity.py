from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from common import certificates, identity, keys
from common.device import KEY, Device
from common.errors import ConfigurationError, VerificationError
from common.identity import Identity, save_enrolment

if TYPE_CHECKING:
    from pathlib import Path

    from authorities import Holder

AUTHORITIES = authorities.default()
ALICE = AUTHORITIES.member("alice")


def enrol(home: Path, holder: Holder = ALICE) -> Identity:
    home.mkdir(exist_ok=True)
    identity.write_private(home / KEY, holder.key_pem)
    device = Device.prepare(home, key_size=2048)
    save_enrolment(device, holder.certificate, AUTHORITIES.registrar.certificate, AUTHORITIES.trust())
    return Identity.load(home, now=NOW)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    enrol(tmp_path / "home")
    return tmp_path / "home"


def renewed() -> Holder:
    return AUTHORITIES.new_member("alice", key=ALICE.key)


def pem_of(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(serialization.Encoding.PEM)


# Loading


def test_an_identity_is_loaded_as_it_was_saved(home: Path) -> None:
    loaded = Identity.load(home, now=NOW)
    assert (loaded.user, loaded.certificate) == ("alice", ALICE.certificate)
    assert loaded.registrar == AUTHORITIES.registrar.certificate
    assert loaded.trust.root == AUTHORITIES.root.certificate
    assert loaded.reader.certificates == (ALICE.certificate,)
    assert sorted(path.name for path in home.iterdir()) == [
        "ca.pem",
        "certificate.pem",
        "crl.pem",
        "device-secret",
        "key.pem",
        "registrar.pem",
    ]


DAMAGE: list[tuple[str, bytes | None, str]] = [
    ("key.pem", None, "no_identity"),
    ("key.pem", b"", "corrupt_key"),
    ("key.pem", b"no key", "corrupt_key"),
    ("key.pem", ALICE.certificate_pem, "corrupt_key"),
    ("key.pem", AUTHORITIES.member("bob").key_pem, "corrupt_key"),
    ("certificate.pem", None, "no_identity"),
    ("certificate.pem", b"no certificate", "corrupt_identity"),
    ("certificate.pem", ALICE.certificate_pem * 2, "corrupt_identity"),
    ("certificate.pem", AUTHORITIES.registrar.certificate_pem, "corrupt_identity"),
    ("ca.pem", None, "unreadable"),
    ("ca.pem", b"", "corrupt_identity"),
    ("ca.pem", AUTHORITIES.root.certificate_pem, "corrupt_identity"),
    ("ca.pem", AUTHORITIES.root.certificate_pem + ALICE.certificate_pem, "corrupt_identity"),
    ("registrar.pem", None, "unreadable"),
    ("registrar.pem", b"no certificate", "corrupt_identity"),
    ("crl.pem", None, "unreadable"),
    ("crl.pem", b"no list", "corrupt_identity"),
    ("former.pem", b"no certificate", "corrupt_identity"),
]


@pytest.mark.parametrize(("name", "content", "code"), DAMAGE)
def test_what_is_missing_or_damaged_is_explained(home: Path, name: str, content: bytes | None, code: str) -> None:
    path = home / name
    mode = path.stat().st_mode if path.exists() else 0o600
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(ConfigurationError) as raised:
        Identity.load(home, now=NOW)
    assert raised.value.code == code
    assert raised.value.hint


def test_an_identity_whose_authority_has_expired_is_explained(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="damaged or expired"):
        Identity.load(home, now=NOW + 4000 * DAY)


def test_a_folder_without_an_identity_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no identity"):
        Identity.load(tmp_path, now=NOW)
    assert list(tmp_path.iterdir()) == []


# What is learnt later


def test_a_newer_revocation_list_is_kept_and_an_older_one_is_not(home: Path) -> None:
    loaded = Identity.load(home, now=NOW)
    newer = AUTHORITIES.crl({AUTHORITIES.member("bob").certificate: NOW}, number=5)
    loaded.accept_trust(AUTHORITIES.ca_pem, pem_of(newer), now=NOW)
    loaded.accept_trust(AUTHORITIES.ca_pem, pem_of(newer), now=NOW)
    assert Identity.load(home, now=NOW).trust.crls == loaded.trust.crls == (newer,)
    for other in (AUTHORITIES.crl(number=4), authorities.foreign().crl(number=6)):
        with pytest.raises(VerificationError):
            loaded.accept_trust(AUTHORITIES.ca_pem, pem_of(other), now=NOW)
    assert (home / identity.CRL).read_bytes() == pem_of(newer)


def test_the_registrar_s_next_certificate_is_kept_and_nobody_else_s(home: Path) -> None:
    loaded = Identity.load(home, now=NOW)
    names = [x509.UniformResourceIdentifier("sealcast:registrar")]
    following = AUTHORITIES.certify("registrar", names).certificate
    loaded.accept_registrar(following, now=NOW)
    assert Identity.load(home, now=NOW).registrar == loaded.registrar == following
    for other in (ALICE.certificate, authorities.foreign().registrar.certificate):
        with pytest.raises(VerificationError):
            loaded.accept_registrar(other, now=NOW)
    assert loaded.registrar == following


def test_a_renewed_certificate_is_taken_over_and_the_earlier_ones_stay_known(home: Path) -> None:
    loaded = Identity.load(home, now=NOW)
    first, second = renewed().certificate, renewed().certificate
    loaded.replace_certificate(first, now=NOW)
    loaded.replace_certificate(second, now=NOW)
    assert loaded.certificate == second
    for one in (loaded, Identity.load(home, now=NOW)):
        assert one.reader.certificates[0] == second
        assert set(one.reader.certificates) == {ALICE.certificate, first, second}


def test_a_certificate_for_somebody_or_something_else_is_not_taken_over(home: Path) -> None:
    loaded = Identity.load(home, now=NOW)
    for other in (
        AUTHORITIES.new_member("bob", key=ALICE.key),
        AUTHORITIES.new_member("alice"),
        authorities.foreign().new_member("alice", key=ALICE.key),
    ):
        with pytest.raises(VerificationError):
            loaded.replace_certificate(other.certificate, now=NOW)
    assert Identity.load(home, now=NOW).certificate == loaded.certificate == ALICE.certificate
    assert not (home / identity.FORMER).exists()


# Enrolling again


def test_to_enrol_again_keeps_the_earlier_certificate_of_the_same_key(home: Path) -> None:
    following = renewed()
    again = enrol(home, following)
    assert again.reader.certificates == (following.certificate, ALICE.certificate)


def test_to_enrol_again_with_a_new_key_forgets_the_certificate_of_the_lost_one(home: Path) -> None:
    (home / KEY).unlink()
    following = AUTHORITIES.new_member("alice")
    assert enrol(home, following).reader.certificates == (following.certificate,)


@pytest.mark.parametrize("name", ["certificate.pem", "former.pem", "ca.pem", "crl.pem", "registrar.pem"])
def test_to_enrol_again_mends_what_is_damaged(home: Path, name: str) -> None:
    (home / name).write_bytes(b"damaged")
    with pytest.raises(ConfigurationError):
        Identity.load(home, now=NOW)
    assert enrol(home).user == "alice"


def test_whose_folder_it_is_shows_although_all_else_is_lost(home: Path, tmp_path: Path) -> None:
    for path in home.iterdir():
        if path.name != identity.CERTIFICATE:
            path.unlink()
    certificate = identity.certificate_in(home)
    assert certificate is not None
    assert certificates.user_of(certificate) == "alice"
    for content in (b"", b"damaged", AUTHORITIES.registrar.certificate_pem):
        (home / identity.CERTIFICATE).write_bytes(content)
        assert identity.certificate_in(home) is None
    assert identity.certificate_in(tmp_path) is None


def test_a_crash_while_enrolling_leaves_an_identity_that_is_not_enrolled_or_a_whole_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate comes last, so each file may be the last one that was written."""
    empty = tmp_path / "empty"
    Device.prepare(empty, key_size=2048)
    written = identity.write_private
    for fresh in (True, False):
        for crash_at in range(4):
            folder = tmp_path / f"{fresh}-{crash_at}"
            shutil.copytree(empty if fresh else home, folder)
            identity.write_private(folder / KEY, ALICE.key_pem)
            remaining = crash_at

            def write_until_the_crash(path: Path, content: bytes) -> None:
                nonlocal remaining
                if remaining == 0:
                    raise KeyboardInterrupt
                remaining -= 1
                written(path, content)

            monkeypatch.setattr(identity, "write_private", write_until_the_crash)
            device = Device.load(folder)
            with pytest.raises(KeyboardInterrupt):
                save_enrolment(device, renewed().certificate, AUTHORITIES.registrar.certificate, AUTHORITIES.trust())
            monkeypatch.undo()
            if fresh:
                with pytest.raises(ConfigurationError, match="not enrolled yet"):
                    Identity.load(folder, now=NOW)
            else:
                assert Identity.load(folder, now=NOW).certificate == ALICE.certificate
            assert keys.read((folder / KEY).read_bytes()).public_key() == ALICE.key.public_key()
            assert enrol(folder).user == "alice"
