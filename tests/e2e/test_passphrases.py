"""Devices and a registrar whose keys have a passphrase, with the commands that people type; nowhere a plain key."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docs.terminal import Terminal
from e2e.test_renewal import age, whoami
from system import CHELSEA, KEY_SIZE, PASSWORD, System, clean_environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.tmpdir import TempPathFactory

WORDS, OTHERS = "eight green doors in a row", "nine loud carts by dawn"


def file_with(path: Path, passphrase: str) -> Path:
    path.write_text(f"{passphrase}\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory: TempPathFactory) -> Path:
    return file_with(tmp_path_factory.mktemp("secrets") / "words", WORDS)


def is_encrypted(home: Path) -> bool:
    return b"ENCRYPTED PRIVATE KEY" in (home / "key.pem").read_bytes()


def plain_keys(home: Path) -> list[Path]:
    files = (path for path in home.rglob("*") if path.is_file())
    return [path for path in files if b"BEGIN PRIVATE KEY" in path.read_bytes()]


def test_a_device_with_a_passphrase_posts_receives_and_renews(system: System, words: Path) -> None:
    options = ("--passphrase-file", words)
    home = system.register("locked", None, "--with-passphrase", *options)
    assert is_encrypted(home)
    age(system, home, 61, words.read_bytes().rstrip())
    before = whoami(home, *options)
    with system.subscriber(home, *options) as receiving:
        (stored,) = system.post(home, CHELSEA, *options)
        receiving.wait_for("saved", image_id=stored["image_id"])
    assert whoami(home, *options) != before
    assert plain_keys(home) == []


def test_without_its_passphrase_nothing_is_done(system: System, words: Path, tmp_path: Path) -> None:
    home = system.register("shut", None, "--with-passphrase", "--passphrase-file", words)
    wrong = file_with(tmp_path / "wrong", OTHERS)
    for command in (("publisher", "post", CHELSEA), ("subscriber", "run"), ("publisher", "whoami")):
        program, *arguments = map(str, command)
        for options, message in (
            ((), f"error: {home}/key.pem is encrypted, and there is no passphrase"),
            (("--passphrase-file", wrong), f"error: the passphrase does not open {home}/key.pem"),
        ):
            done = run(program, *arguments, "--home", home, *options)
            assert (done.returncode, done.stdout) == (1, "")
            error, hint = done.stderr.splitlines()
            assert error == message
            assert hint.startswith("hint: ")
            assert OTHERS not in done.stderr
    # What needs no key needs no passphrase.
    for program, command in (("publisher", "outbox"), ("subscriber", "list")):
        assert run(program, command, "--home", home).returncode == 0


def test_the_environment_and_the_settings_name_it_too(system: System, words: Path) -> None:
    home = system.register("named", None, "--with-passphrase", "--passphrase-file", words)
    for environment in ({"SEALCAST_PASSPHRASE": WORDS}, {"SEALCAST_PASSPHRASE_FILE": str(words)}):
        assert run("publisher", "whoami", "--home", home, environment=environment).returncode == 0
    with (home / "settings.toml").open("a") as settings:
        settings.write(f'passphrase_file = "{words}"\n')
    assert run("publisher", "whoami", "--home", home).returncode == 0


def test_a_passphrase_is_set_changed_and_removed(system: System, words: Path, tmp_path: Path) -> None:
    home, others = system.register("turning"), file_with(tmp_path / "others", OTHERS)
    before = whoami(home)
    steps: list[tuple[tuple[str | Path, ...], bool]] = [
        (("--new-passphrase-file", words), True),
        (("--passphrase-file", words, "--new-passphrase-file", others), True),
        (("--passphrase-file", others, "--remove"), False),
    ]
    with system.subscriber(home) as receiving:
        for options, encrypted in steps:
            assert run("publisher", "passphrase", "--home", home, *options).returncode == 0
            assert is_encrypted(home) is encrypted
        # Who holds the key already is not disturbed.
        (stored,) = system.post(home, CHELSEA)
        receiving.wait_for("saved", image_id=stored["image_id"])
    assert whoami(home) == before
    short = file_with(tmp_path / "short", "fourteen chars")
    for given, message in (
        (("--new-passphrase-file", short), "error: the passphrase has fewer than 15 characters\nhint: "),
        ((), "error: there is no new passphrase\nhint: name a file that holds it with --new-passphrase-file"),
    ):
        refused = run("publisher", "passphrase", "--home", home, *given)
        assert (refused.returncode, is_encrypted(home)) == (1, False)
        assert refused.stderr.startswith(message)


def test_who_logs_in_again_needs_the_passphrase_of_the_key_that_is_there(system: System, words: Path) -> None:
    home = system.register("again", None, "--with-passphrase", "--passphrase-file", words)
    key = (home / "key.pem").read_bytes()
    assert system.try_to_register("again", home).returncode == 1
    done = system.try_to_register("again", home, "--with-passphrase", "--passphrase-file", words)
    assert done.returncode == 0, done.stderr
    assert (home / "key.pem").read_bytes() == key
    plain = system.register("again-plain")
    refused = system.try_to_register("again-plain", plain, "--with-passphrase", "--passphrase-file", words)
    assert (refused.returncode, is_encrypted(plain)) == (1, False)
    assert refused.stderr.startswith(f"error: the key in {plain} has no passphrase\nhint: ")


def test_a_terminal_is_asked(system: System, tmp_path: Path) -> None:
    home = tmp_path / "typed"
    register = f"--home {home} --ca-fingerprint {system.fingerprint} --key-size {KEY_SIZE} {' '.join(system.doors)}"
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Terminal(clean_environment() | {"PATH": programs}) as terminal:
        terminal.type(f"publisher register typed --with-passphrase {register}")
        shown = terminal.finish()
        assert re.search(r"New passphrase: \nRepeat for confirmation: \n", shown), shown
        assert "Registration Successful" in shown
        terminal.type(f"publisher whoami --home {home}")
        assert f"Passphrase of {home}/key.pem: \n" in terminal.finish()
    assert is_encrypted(home)
    # What the terminal types is the same for all questions.
    assert whoami(home, "--passphrase-file", file_with(tmp_path / "secret", PASSWORD))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: TempPathFactory, words: Path) -> Iterator[System]:
    """A registrar whose keys have a passphrase, which its environment has the file of."""
    environment = {"SEALCAST_PASSPHRASE_FILE": str(words)}
    one = System.create(tmp_path_factory.mktemp("locked"), environment, {"SEALCAST_WITH_PASSPHRASE": "1"} | environment)
    one.start()
    yield one
    one.stop()


def test_a_registrar_with_a_passphrase_serves_and_renews(locked: System) -> None:
    home = locked.register("kept")
    assert [path.name for path in plain_keys(locked.home)] == ["broker.key"]
    with locked.subscriber(home) as receiving:
        (stored,) = locked.post(home, CHELSEA)
        receiving.wait_for("saved", image_id=stored["image_id"])
    assert run("registrar", "renew", "--home", locked.home, environment=locked.environment).returncode == 0
    rotated = run("registrar", "rotate", "--home", locked.home, environment=locked.environment)
    assert rotated.returncode == 0, rotated.stderr
    locked.post(home, CHELSEA)
    assert len(list((locked.home / "authority").glob("*.key"))) == 3
    assert [path.name for path in plain_keys(locked.home)] == ["broker.key"]


def test_a_registrar_without_its_passphrase_does_what_needs_no_key(locked: System, tmp_path: Path) -> None:
    wrong = file_with(tmp_path / "wrong", OTHERS)
    for command in (("serve",), ("renew",), ("rotate",), ("verify",)):
        for options, message in (((), "is encrypted, and there is no passphrase"), (("--passphrase-file", wrong), "")):
            done = run("registrar", *command, "--home", locked.home, *options)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("error: ")
            assert message or done.stderr.startswith("error: the passphrase does not open ")
            assert message in done.stderr
            assert "\nhint: " in done.stderr
    for command in (("fingerprint",), ("members",), ("invite",), ("audit",), ("backup", tmp_path / "backup")):
        done = run("registrar", *command, "--home", locked.home)
        assert done.returncode == 0, done.stderr
    health = run("registrar.healthcheck", *locked.doors[:2], *locked.doors[4:], "--home", locked.home)
    assert health.returncode == 0, health.stderr


def test_a_backup_is_restored_with_the_passphrase_of_its_keys(locked: System, tmp_path: Path, words: Path) -> None:
    backup, home = tmp_path / "backup", tmp_path / "registrar"
    assert run("registrar", "backup", backup, "--home", locked.home).returncode == 0
    options = ("--from-backup", backup, "--home", home, "--host", "elsewhere.example.org", "--passphrase-file", words)
    restored = run("registrar", "init", *options)
    assert restored.returncode == 0, restored.stderr
    assert locked.fingerprint in restored.stdout
    assert [path.name for path in plain_keys(home)] == ["broker.key"]


def test_the_registrar_s_passphrase_is_changed_and_a_change_that_was_cut_off_is_completed(
    tmp_path: Path, words: Path
) -> None:
    home, others = tmp_path / "registrar", file_with(tmp_path / "others", OTHERS)
    made = run("registrar", "init", "--home", home, "--with-passphrase", "--passphrase-file", words)
    assert made.returncode == 0, made.stderr
    root_key = home / "authority/root.key"
    before = root_key.read_bytes()
    change = ("registrar", "passphrase", "--home", home, "--passphrase-file", words, "--new-passphrase-file", others)
    for _ in range(2):
        done = run(*change)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 3
        # As a crash would have left it that came before this file.
        root_key.write_bytes(before)
    assert run(*change).returncode == 0
    assert run("registrar", "passphrase", "--home", home, "--passphrase-file", words, "--remove").returncode == 1
    assert [path.name for path in plain_keys(home)] == ["broker.key"]
    assert run("registrar", "passphrase", "--home", home, "--passphrase-file", others, "--remove").returncode == 0
    assert len(plain_keys(home)) == 4
    assert run("registrar", "renew", "--home", home).returncode == 0
