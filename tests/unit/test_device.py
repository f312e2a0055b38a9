"""The device in a folder: its key, with a passphrase or without, and the secret of its client ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest

from common import keys, topics
from common.device import DEVICE_SECRET, KEY, Device, anonymous_client_id, demand_device, has_plain_key
from common.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

PASSPHRASE, ANOTHER = b"seven quiet boats at dusk", b"nine loud carts by dawn"


def give(path: Path) -> bytes:
    assert path.name == KEY
    return PASSPHRASE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Device.prepare(tmp_path / "home", key_size=2048)
    return tmp_path / "home"


def test_a_device_gets_a_key_and_a_secret_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    device, again = Device.prepare(home, key_size=2048), Device.prepare(home, key_size=3072)
    assert device.key.key_size == again.key.key_size == 2048
    assert device.secret == again.secret
    assert Device.load(home).key.public_key() == device.key.public_key()
    assert home.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()} == {
        "key.pem": 0o600,
        "device-secret": 0o600,
    }


def test_lasting_client_ids_begin_with_the_secret_and_a_fresh_one_is_another_each_time(home: Path) -> None:
    device = Device.load(home)
    assert device.client_id("subscriber") == f"{device.secret}-subscriber"
    first, second = (device.client_id("publisher", fresh=True) for _ in range(2))
    assert first != second
    assert topics.parse_reply(topics.reply(first, "store")) == (first, "store")
    assert first.endswith("-publisher")
    assert device.secret not in first
    assert anonymous_client_id() != anonymous_client_id()


@pytest.mark.parametrize("secret", [b"", b"ab" * 15, b"AB" * 16, b"ab" * 16 + b"\n", b"\xff" * 32])
def test_a_damaged_secret_is_explained(home: Path, secret: bytes) -> None:
    (home / DEVICE_SECRET).write_bytes(secret)
    with pytest.raises(ConfigurationError, match="is damaged"):
        Device.load(home)


# Its passphrase


def test_a_new_key_is_encrypted_and_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    made = Device.prepare(tmp_path, key_size=2048, new_passphrase=PASSPHRASE)
    assert (tmp_path / KEY).read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert (tmp_path / KEY).stat().st_mode & 0o777 == 0o600
    assert not has_plain_key(tmp_path)
    loaded = Device.load(tmp_path, give)
    assert loaded.key.public_key() == made.key.public_key()
    assert loaded.passphrase == made.passphrase == PASSPHRASE
    for passphrase, code in ((lambda _: ANOTHER, "wrong_passphrase"), (None, "no_passphrase")):
        with pytest.raises(ConfigurationError) as caught:
            Device.load(tmp_path, passphrase) if passphrase else Device.load(tmp_path)
        assert caught.value.code == code
        assert caught.value.hint


def test_a_passphrase_is_asked_for_only_where_there_is_one(home: Path) -> None:
    def ask(_path: Path) -> bytes:
        raise AssertionError

    assert Device.load(home, ask).passphrase is None
    assert has_plain_key(home)


def test_a_passphrase_is_set_changed_and_removed_and_the_key_stays(home: Path) -> None:
    key = Device.load(home).key.public_key()
    Device.load(home).encrypt(PASSPHRASE)
    Device.load(home, give).encrypt(ANOTHER)
    with pytest.raises(ConfigurationError):
        Device.load(home, give)
    Device.load(home, lambda _: ANOTHER).encrypt(None)
    assert Device.load(home).key.public_key() == key
    assert sorted(path.name for path in home.iterdir()) == ["device-secret", "key.pem"]


def test_a_key_for_the_next_certificate_is_in_the_same_file_with_the_same_passphrase(home: Path) -> None:
    device = Device.load(home)
    device.encrypt(PASSPHRASE)
    following = authorities.new_key()
    more = Device.load(home, give).having(following)
    assert more.key.public_key() == device.key.public_key()
    assert Device.load(home, give).others[0].public_key() == following.public_key()
    assert b"BEGIN PRIVATE KEY" not in (home / KEY).read_bytes()
    led = more.led_by(following.public_key())
    loaded = Device.load(home, give)
    assert led.key.public_key() == loaded.key.public_key() == following.public_key()
    assert loaded.others[0].public_key() == device.key.public_key()
    assert loaded.led_by(authorities.new_key().public_key()) is loaded
    loaded.encrypt(None)
    assert len(Device.load(home).others) == 1


def test_a_passphrase_stands_in_no_text_of_the_device(tmp_path: Path) -> None:
    device = Device.prepare(tmp_path, key_size=2048, new_passphrase=PASSPHRASE)
    assert PASSPHRASE.decode() not in repr(device)


@pytest.mark.parametrize("change", [lambda pem: pem[:200], lambda pem: pem.replace(b"\n", b"\nA", 2)])
def test_a_damaged_encrypted_key_is_explained(tmp_path: Path, change: object) -> None:
    assert callable(change)
    pem = keys.to_pem(authorities.default().member("alice").key, PASSPHRASE)
    (tmp_path / KEY).write_bytes(change(pem))
    (tmp_path / KEY).chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        Device.load(tmp_path, give)
    assert caught.value.code == "wrong_passphrase"
    assert "damaged" in str(caught.value.hint)


def test_a_folder_without_a_device_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        demand_device(tmp_path)
    assert caught.value.code == "no_identity"
