"""Folders that are damaged, exposed, taken or full: what is said of them is true, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from refusals import assert_refused, register
from system import CHELSEA, System, run, wait_until

from common.files import INBOX_MARK

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def sound_home(system: System) -> Path:
    return system.register("owner-of-a-folder")


@pytest.fixture
def home(sound_home: Path, tmp_path: Path) -> Path:
    """A member's folder that a test may damage."""
    return shutil.copytree(sound_home, tmp_path / "home")


def whoami(home: Path) -> str:
    done = run("publisher", "whoami", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["user"])


def test_a_folder_without_an_identity_is_explained(home: Path, tmp_path: Path) -> None:
    for command in (["publisher", "post", CHELSEA], ["subscriber", "run"], ["publisher", "whoami"]):
        assert_refused(run(*command, "--home", tmp_path / "none"), "there is no identity", "register first")
    (home / "certificate.pem").unlink()
    assert_refused(run("publisher", "whoami", "--home", home), "is not enrolled yet", "register")


@pytest.mark.parametrize(
    ("name", "content"),
    [("key.pem", b""), ("key.pem", b"no key"), ("key.pem", "another"), ("device-secret", b"short")],
)
def test_a_damaged_key_is_explained(home: Path, system: System, name: str, content: bytes | str) -> None:
    other = (system.home / "registrar.key").read_bytes()
    (home / name).write_bytes(other if isinstance(content, str) else content)
    done = run("publisher", "post", CHELSEA, "--home", home)
    assert_refused(done, f"{home / name} is damaged", "restore it from a backup, or register again in an empty folder")


@pytest.mark.parametrize("name", ["key.pem", "device-secret"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_can_read_is_refused_until_its_mode_is_mended(home: Path, name: str, mode: int) -> None:
    (home / name).chmod(mode)
    done = run("publisher", "whoami", "--home", home)
    assert_refused(done, f"others on this machine can read {home / name}", f"run: chmod 600 {home / name}")
    (home / name).chmod(0o600)
    assert whoami(home) == "owner-of-a-folder"


NO_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
MENDED = [
    ("key.pem", None),
    ("certificate.pem", None),
    *((name, NO_CERTIFICATE) for name in ("certificate.pem", "ca.pem", "crl.pem", "former.pem")),
]


@pytest.mark.parametrize(("name", "content"), MENDED)
def test_to_register_again_in_the_folder_mends_it(home: Path, system: System, name: str, content: bytes | None) -> None:
    (home / name).unlink(missing_ok=True)
    if content is not None:
        (home / name).write_bytes(content)
    done = run("publisher", "post", CHELSEA, "--home", home)
    assert_refused(done, str(home), "register")
    again = register(system, home, "--ca-fingerprint", system.fingerprint, user="owner-of-a-folder")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Connection Successful")
    assert whoami(home) == "owner-of-a-folder"
    assert system.post(home, CHELSEA)


def test_an_authority_is_made_once(system: System) -> None:
    before = {path: path.read_bytes() for path in (system.home / "authority").iterdir()}
    done = run("registrar", "init", "--home", system.home)
    assert_refused(done, "there is a certificate authority", "name another folder with --home")
    assert {path: path.read_bytes() for path in (system.home / "authority").iterdir()} == before


def test_a_registrar_without_an_authority_says_how_to_make_one(tmp_path: Path) -> None:
    for command in (["serve", "--with-broker"], ["fingerprint"], ["members"]):
        done = run("registrar", *command, "--home", tmp_path)
        assert_refused(done, "there is no certificate authority", "registrar init")
    assert list(tmp_path.iterdir()) == []


def test_an_authority_is_made_for_hosts_only(tmp_path: Path) -> None:
    done = run("registrar", "init", "--home", tmp_path / "home", "--host", "broker:8883")
    assert_refused(done, "no host name and no IP address", "without a port")
    assert not (tmp_path / "home").exists()


# Settings

SETTINGS = [
    (b"broker", "is no TOML", "mend the line"),
    (b"broker = 'caf\xe9'", "is no TOML", "mend the line"),
    (b"maximum_image_size = 'big'", "the setting maximum_image_size does not fit", "SEALCAST_MAXIMUM_IMAGE_SIZE"),
    (b"maximum_image_sise = 5", "has an unknown setting: maximum_image_sise", "mend the name"),
    (b"[post]\nchannel = 'a'", "has an unknown setting: post", "mend the name"),
    (b"home = '/elsewhere'", "has an unknown setting: home", "remove the line"),
]


@pytest.mark.parametrize(("content", "error", "hint"), SETTINGS)
def test_settings_that_do_not_fit_are_explained(home: Path, content: bytes, error: str, hint: str) -> None:
    (home / "settings.toml").write_bytes(content + b"\n")
    for command in (["publisher", "post", CHELSEA], ["subscriber", "run"]):
        assert_refused(run(*command, "--home", home), error, hint)


def test_an_option_in_the_settings_that_does_not_fit_is_wrong_usage(home: Path) -> None:
    (home / "settings.toml").write_text("port = 'members'\n")
    done = run("publisher", "post", CHELSEA, "--home", home)
    assert_refused(done, "invalid value for '--port'", "settings.toml", exit_code=2)


def test_settings_in_place_of_which_there_is_a_folder_are_explained(home: Path) -> None:
    (home / "settings.toml").unlink()
    (home / "settings.toml").mkdir()
    assert_refused(run("publisher", "whoami", "--home", home), "settings.toml: is a directory", "mend")


# Saving


def test_an_inbox_that_cannot_be_written_is_explained(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for inbox in (file, file / "inbox", "/proc/inbox"):
        done = run("subscriber", "run", "--home", home, "--inbox", inbox)
        assert_refused(done, f"{inbox}", "choose another folder")


@pytest.mark.parametrize("name", ["subscriber.lock", "ledger.sqlite3"])
def test_a_folder_that_a_subscriber_cannot_write_is_explained(home: Path, name: str) -> None:
    (home / name).mkdir()
    done = run("subscriber", "run", "--home", home)
    assert_refused(done, str(home), "mend")


def test_a_damaged_ledger_is_explained(home: Path) -> None:
    (home / "ledger.sqlite3").write_bytes(b"no ledger " * 1000)
    done = run("subscriber", "run", "--home", home)
    assert_refused(done, "file is not a database", "move a damaged file away")


def test_an_image_that_cannot_be_saved_is_not_lost(system: System) -> None:
    owner, reader = system.register("owner-of-a-kept-one"), system.register("reader-of-a-kept-one")
    obstacle = reader / "inbox" / "owner-of-a-kept-one"
    with system.subscriber(reader) as receiving:
        obstacle.write_text("in the way")
        (stored,) = system.post(owner, CHELSEA, "--to", "reader-of-a-kept-one")
        receiving.wait_for("NEW_IMAGE", image_id=stored["image_id"])
        wait_until(lambda: any("1 image waits, going on" in line for line in receiving.errors), "a word in the log")
        assert receiving.stop() == 0
    assert obstacle.read_text() == "in the way"
    assert list(obstacle.parent.rglob(".*")) == [obstacle.parent / INBOX_MARK]
    obstacle.unlink()
    with system.subscriber(reader) as receiving:
        saved = receiving.wait_for("saved", image_id=stored["image_id"])
    assert saved["sha256"] == stored["sha256"]


def test_a_ledger_that_fails_ends_the_subscriber_and_loses_nothing(system: System) -> None:
    owner, reader = system.register("owner-of-a-noted-one"), system.register("reader-of-a-noted-one")
    with system.subscriber(reader) as receiving:
        with sqlite3.connect(reader / "ledger.sqlite3") as ledger:
            ledger.execute("ALTER TABLE images RENAME TO elsewhere")
        (stored,) = system.post(owner, CHELSEA, "--to", "reader-of-a-noted-one")
        assert receiving.process.wait(60) == 1
    said = [line for line in receiving.errors if line.startswith(("error: ", "hint: "))]
    assert [line.split(": ")[0] for line in said] == ["error", "hint"], receiving.errors
    assert "ledger.sqlite3: no such table" in said[0]
    with sqlite3.connect(reader / "ledger.sqlite3") as ledger:
        ledger.execute("ALTER TABLE elsewhere RENAME TO images")
    with system.subscriber(reader) as receiving:
        assert receiving.wait_for("saved", image_id=stored["image_id"])["sha256"] == stored["sha256"]
