from __future__ import annotations

import datetime as dt
import itertools
import shutil
import subprocess
from typing import TYPE_CHECKING

import authorities
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from common import certificates, keys
from common.certificates import check_csr, check_member, check_registrar, make_csr
from common.errors import ConfigurationError, VerificationError
from common.files import write_private
from common.revocation_lists import crl_number
from common.settings import Settings
from registrar import authority, making
from registrar.authority import Authority, Revocation, load_registrar
from registrar.making import create

if TYPE_CHECKING:
    from pathlib import Path

NOW, DAY, SECOND = authorities.NOW, authorities.DAY, dt.timedelta(seconds=1)
SETTINGS = Settings()
HOSTS = ["Broker.example.org", "192.0.2.7", "localhost"]
QUICK_KEYS = [authorities.new_key() for _ in range(4)]
KEY = QUICK_KEYS[0]
PRIVATE_FILES = (authority.ROOT_KEY, authority.ISSUING_KEY, authority.REGISTRAR_KEY, authority.BROKER_KEY)
ALL_FILES = (
    *PRIVATE_FILES,
    *(authority.ROOT, authority.ISSUING, authority.REGISTRAR, authority.BROKER),
    *(authority.BROKER_AUTHORITIES, authority.BROKER_CRL),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("registrar") / "home"
    create(home, hosts=HOSTS, settings=SETTINGS, now=NOW)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """An authority of its own for a test that changes it."""
    return shutil.copytree(made, tmp_path / "home")


@pytest.fixture
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = itertools.cycle(QUICK_KEYS)
    monkeypatch.setattr(keys, "generate", lambda _: next(pool))


def refuse_load(home: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_all(home)
    assert caught.value.hint is not None
    return caught.value


def load_all(home: Path) -> tuple[Authority, x509.Certificate]:
    return Authority.load(home, SETTINGS), load_registrar(home)[1]


def test_everything_is_private(made: Path) -> None:
    assert {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} == set(ALL_FILES)
    for path in (made, *made.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_new_authority_is_what_members_check_against(made: Path) -> None:
    one = Authority.load(made, SETTINGS)
    pin = certificates.fingerprint(one.root)
    pem = (made / authority.BROKER_AUTHORITIES).read_bytes()
    assert certificates.read_authorities(pem, pin=pin, now=NOW) == (one.root, one.issuing)
    key, certificate = load_registrar(made)
    check_registrar(certificate, one.trust(NOW), now=NOW)
    assert key.public_key() == certificate.public_key()
    assert {keys.read((made / name).read_bytes()).key_size for name in PRIVATE_FILES} == {3072}


def test_a_member_is_certified_for_ninety_days_and_a_clock_that_is_behind(made: Path) -> None:
    one = Authority.load(made, SETTINGS)
    certificate = one.sign_member(check_csr(make_csr(KEY, "whatever")), "alice", NOW)
    trust = one.trust(NOW)
    for at in (NOW - dt.timedelta(seconds=SETTINGS.clock_tolerance), NOW + 90 * DAY):
        assert check_member(certificate, trust, at=at, now=NOW) == "alice"
    for at in (NOW - dt.timedelta(seconds=SETTINGS.clock_tolerance + 1), NOW + 90 * DAY + SECOND):
        with pytest.raises(VerificationError):
            check_member(certificate, trust, at=at, now=NOW)


def test_serial_numbers_are_long_and_never_the_same(made: Path) -> None:
    one = Authority.load(made, SETTINGS)
    serials = [one.sign_member(KEY.public_key(), "alice", NOW).serial_number for _ in range(64)]
    assert len(set(serials)) == 64
    assert max(serials).bit_length() > 150


def test_no_certificate_outlives_its_issuer(made: Path) -> None:
    one = Authority.load(made, SETTINGS)
    late = one.issuing[0].not_valid_after_utc - DAY
    assert one.sign_member(KEY.public_key(), "alice", late).not_valid_after_utc == one.issuing[0].not_valid_after_utc


def test_a_new_list_revokes(home: Path) -> None:
    one = Authority.load(home, SETTINGS)
    alice, bob = (one.sign_member(KEY.public_key(), user, NOW) for user in ("alice", "bob"))
    before = one.trust(NOW)
    one.write_crls(one.issue_crls([Revocation(alice, NOW)], crl_number(before.crls[0]) + 1, NOW))
    after = one.trust(NOW)
    assert check_member(alice, before, at=NOW, now=NOW) == "alice"
    assert check_member(bob, after, at=NOW, now=NOW) == "bob"
    with pytest.raises(VerificationError) as caught:
        check_member(alice, after, at=NOW, now=NOW)
    assert "revoked" in caught.value.reason


def test_a_new_list_is_due_after_a_day_and_whenever_there_is_none_that_holds(home: Path) -> None:
    one = Authority.load(home, SETTINGS)
    due = NOW + SETTINGS.crl_reissue_days * DAY
    assert not one.needs_crls(NOW)
    assert not one.needs_crls(due - dt.timedelta(seconds=SETTINGS.clock_tolerance + 1))
    assert one.needs_crls(due)
    assert one.needs_crls(NOW + 2 * SETTINGS.crl_days * DAY)
    one.write_crls(one.issue_crls([], 1, due))
    assert not one.needs_crls(due)
    (home / authority.BROKER_CRL).write_bytes(b"")
    assert one.needs_crls(due)
    (home / authority.BROKER_CRL).unlink()
    assert one.needs_crls(due)


def test_openssl_takes_the_certificates_for_what_they_are_for(home: Path, tmp_path: Path) -> None:
    one = Authority.load(home, SETTINGS)
    alice, eve = (one.sign_member(KEY.public_key(), user, NOW) for user in ("alice", "eve"))
    one.write_crls(one.issue_crls([Revocation(eve, NOW)], 1, NOW))
    for name, certificate in (("alice", alice), ("eve", eve)):
        (tmp_path / name).write_bytes(certificates.to_pem(certificate))

    def accepts(certificate: Path, *options: str) -> bool:
        # With the issuing CA in -CAfile and the CRL of the leaf only, as Mosquitto checks a client that sends its own
        # certificate and nothing else.
        command = ["openssl", "verify", "-x509_strict", "-crl_check", "-attime", str(int(NOW.timestamp()) + 1)]
        files = [f"-CRLfile={home / authority.BROKER_CRL}", f"-CAfile={home / authority.BROKER_AUTHORITIES}"]
        result = subprocess.run([*command, *files, *options, certificate], check=False, capture_output=True)
        return result.returncode == 0

    assert accepts(tmp_path / "alice", "-purpose", "sslclient")
    assert accepts(tmp_path / "alice", "-purpose", "smimesign")
    assert accepts(home / authority.REGISTRAR, "-purpose", "sslclient")
    assert accepts(home / authority.BROKER, "-purpose", "sslserver")
    assert not accepts(tmp_path / "eve", "-purpose", "sslclient")
    assert not accepts(tmp_path / "alice", "-purpose", "sslserver")
    assert not accepts(home / authority.BROKER, "-purpose", "sslclient")
    for name in ("broker.example.org", "localhost"):
        assert accepts(home / authority.BROKER, "-verify_hostname", name)
    for address in ("192.0.2.7", "127.0.0.1", "::1"):
        assert accepts(home / authority.BROKER, "-verify_ip", address)
    assert not accepts(home / authority.BROKER, "-verify_hostname", "elsewhere.example.org")
    assert not accepts(home / authority.BROKER, "-verify_ip", "192.0.2.8")


def test_the_brokers_certificate_serves_and_nothing_else(made: Path) -> None:
    broker, issuing = x509.load_pem_x509_certificates((made / authority.BROKER).read_bytes())
    usages = broker.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert (issuing,) == Authority.load(made, SETTINGS).issuing


@pytest.mark.parametrize(
    "host", ["", "*", "two words", "broker:8883", "-broker", "brücke.example", "a" * 64, "a." * 127 + "a"]
)
def test_what_is_no_host_is_refused_before_anything_is_written(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create(tmp_path / "home", hosts=[host], settings=SETTINGS, now=NOW)
    assert caught.value.code == "invalid_host"
    assert not (tmp_path / "home").exists()


def test_a_second_authority_is_refused_and_the_first_stays(made: Path) -> None:
    before = {name: (made / name).read_bytes() for name in ALL_FILES}
    with pytest.raises(ConfigurationError) as caught:
        create(made, hosts=HOSTS, settings=SETTINGS, now=NOW)
    assert caught.value.code == "already_initialised"
    assert before == {name: (made / name).read_bytes() for name in ALL_FILES}


@pytest.mark.usefixtures("quick_keys")
@pytest.mark.parametrize("missing", ["authority", authority.REGISTRAR_KEY])
def test_what_is_left_of_an_authority_is_not_overwritten(home: Path, missing: str) -> None:
    path = home / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigurationError) as caught:
        create(home, hosts=HOSTS, settings=SETTINGS, now=NOW)
    assert caught.value.code == "already_initialised"


@pytest.mark.usefixtures("quick_keys")
@pytest.mark.parametrize("step", range(len(ALL_FILES) + 1))
def test_a_crash_at_any_step_leaves_no_authority_and_one_more_try_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    class KilledError(Exception):
        pass

    written = itertools.count()

    def write(path: Path, content: bytes) -> None:
        if next(written) == step:
            raise KilledError
        write_private(path, content)

    home = tmp_path / "home"
    for module in (making, authority):
        monkeypatch.setattr(module, "write_private", write)
    with pytest.raises(KilledError):
        create(home, hosts=HOSTS, settings=SETTINGS, now=NOW)
    assert refuse_load(home).code == "no_authority"
    create(home, hosts=HOSTS, settings=SETTINGS, now=NOW)
    one, registrar = load_all(home)
    check_registrar(registrar, one.trust(NOW), now=NOW)


def test_no_authority_is_said_so(tmp_path: Path) -> None:
    assert refuse_load(tmp_path).code == "no_authority"


def test_the_roots_key_can_be_moved_away(home: Path) -> None:
    (home / authority.ROOT_KEY).unlink()
    one = Authority.load(home, SETTINGS)
    assert check_member(one.sign_member(KEY.public_key(), "alice", NOW), one.trust(NOW), at=NOW, now=NOW) == "alice"


@pytest.mark.parametrize("name", [authority.ISSUING_KEY, authority.REGISTRAR_KEY])
def test_a_key_that_others_can_read_is_refused(home: Path, name: str) -> None:
    (home / name).chmod(0o640)
    assert refuse_load(home).code == "exposed_key"


@pytest.mark.parametrize("name", [authority.ROOT, authority.ISSUING, authority.REGISTRAR])
@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_certificate_is_refused(home: Path, name: str, content: bytes) -> None:
    (home / name).write_bytes(content)
    assert refuse_load(home).code == "corrupt_authority"


@pytest.mark.parametrize("name", [authority.ISSUING_KEY, authority.REGISTRAR_KEY])
def test_a_damaged_key_is_refused(home: Path, name: str) -> None:
    pem = (home / name).read_bytes()
    lines = pem.splitlines(keepends=True)
    other = keys.to_pem(authorities.new_key())
    for content in (b"", b"nothing", b"".join(lines[:5] + lines[6:]), pem.replace(lines[3], lines[4]), other):
        write_private(home / name, content)
        assert refuse_load(home).code == "corrupt_authority"
    write_private(home / name, pem)
    load_all(home)


@pytest.mark.parametrize("name", [authority.ISSUING_KEY, authority.REGISTRAR_KEY, authority.REGISTRAR, authority.ROOT])
def test_a_missing_file_is_named(home: Path, name: str) -> None:
    (home / name).unlink()
    assert name in refuse_load(home).message
