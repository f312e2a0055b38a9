"""The registrar's own certificate and the broker's are renewed in time, and what is at hand is never lost over it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import authorities
import pytest
from cryptography import x509

from common import certificates
from common.certificates import check_registrar
from common.errors import ConfigurationError
from common.settings import Settings
from registrar import renewing
from registrar.authority import BROKER, BROKER_KEY, REGISTRAR, Authority, load_registrar
from registrar.authority_files import read_certificates
from registrar.making import create
from registrar.renewing import renew, renew_when_due

if TYPE_CHECKING:
    from pathlib import Path

NOW, DAY = authorities.NOW, authorities.DAY
SETTINGS = Settings()
LOCALHOST = {"localhost", "127.0.0.1", "::1"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("registrar") / "home"
    create(home, hosts=["broker.example.org"], settings=SETTINGS, now=NOW)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "home")


def load(home: Path) -> Authority:
    return Authority.load(home, SETTINGS)


def broker(home: Path) -> x509.Certificate:
    certificate, issuing = read_certificates(home / BROKER)
    assert issuing == load(home).newest.certificate
    certificate.verify_directly_issued_by(issuing)
    return certificate


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def files(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("age", "is_due"), [(243, False), (244, True), (400, True)])
def test_both_are_renewed_after_two_thirds_of_their_life(home: Path, age: int, *, is_due: bool) -> None:
    before, now = files(home), NOW + age * DAY
    renew_when_due(load(home), now)
    assert (files(home) != before) is is_due
    end = (now if is_due else NOW) + SETTINGS.service_certificate_days * DAY
    assert broker(home).not_valid_after_utc == load(home).registrar[0].not_valid_after_utc == end
    assert names(broker(home)) == LOCALHOST | {"broker.example.org"}
    # Once, not each time that somebody looks.
    before = files(home)
    renew_when_due(load(home), now)
    assert files(home) == before


def test_keys_stay_and_former_certificates_are_kept(home: Path) -> None:
    first, keys = load(home).registrar[0], (load_registrar(home)[0], (home / BROKER_KEY).read_bytes())
    renew(home, SETTINGS, NOW + DAY)
    second = load(home).registrar[0]
    renew(home, SETTINGS, NOW + 2 * DAY)
    third, *former = load(home).registrar
    assert former == [second, first]
    assert len({first, second, third}) == 3
    assert load_registrar(home)[0].public_key() == third.public_key() == first.public_key()
    assert (home / BROKER_KEY).read_bytes() == keys[1]
    check_registrar(third, load(home).trust(NOW + 2 * DAY), now=NOW + 2 * DAY)


def test_new_names_take_the_place_of_the_old(home: Path) -> None:
    renew(home, SETTINGS, NOW, hosts=["other.example.org", "192.0.2.7"])
    assert names(broker(home)) == LOCALHOST | {"other.example.org", "192.0.2.7"}


def test_a_name_that_cannot_be_one_changes_nothing(home: Path) -> None:
    before = files(home)
    with pytest.raises(ConfigurationError) as caught:
        renew(home, SETTINGS, NOW, hosts=["not a name"])
    assert caught.value.code == "invalid_host"
    assert files(home) == before


def test_nothing_is_renewed_that_would_last_no_longer(home: Path) -> None:
    end = load(home).newest.certificate.not_valid_after_utc
    renew_when_due(load(home), end - DAY)
    assert broker(home).not_valid_after_utc == load(home).registrar[0].not_valid_after_utc == end
    before = files(home)
    renew_when_due(load(home), end - DAY / 4)
    assert files(home) == before


@pytest.mark.parametrize("name", [REGISTRAR, BROKER])
def test_a_write_that_fails_leaves_what_was_there(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write = renewing.write_private

    def fail(path: Path, content: bytes) -> None:
        if path == home / name:
            raise ConfigurationError(f"cannot write {path}", code="unwritable")
        write(path, content)

    late = NOW + 300 * DAY
    before = load(home).registrar[0], broker(home)
    with monkeypatch.context() as full:
        full.setattr(renewing, "write_private", fail)
        with pytest.raises(ConfigurationError):
            renew_when_due(load(home), late)
    assert (load(home).registrar[0] == before[0]) is (name == REGISTRAR)
    assert broker(home) == before[1]
    # The next try completes it.
    renew_when_due(load(home), late)
    assert all(a != b for a, b in zip((load(home).registrar[0], broker(home)), before, strict=True))
    assert before[0] in load(home).registrar


def test_a_command_and_a_service_take_turns(home: Path) -> None:
    """Each names the former ones as it finds them: neither loses what the other has just made one."""
    stale = load(home)
    renew(home, SETTINGS, NOW + 300 * DAY)
    before = files(home)
    renew_when_due(stale, NOW + 300 * DAY)
    assert files(home) == before
    assert certificates.fingerprint(stale.registrar[0]) in map(certificates.fingerprint, load(home).registrar)
