"""Whatever a person gets wrong when registering is refused with an error and a hint, and leaves nothing half done."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import authorities
import pytest
from refusals import SHORT, assert_refused, register
from system import CHELSEA, free_ports, run

from registrar.broker import Doors, run_broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from system import System


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def assert_nothing_is_left(home: Path) -> None:
    left = {path.name for path in home.iterdir()} if home.exists() else set()
    # A key that is not certified yet is no secret of anyone, and serves the next try.
    assert left <= {"key.pem", "device-secret"}


def test_without_a_pin_nobody_registers(system: System, home: Path) -> None:
    done = register(system, home)
    assert_refused(done, "there is no pin", "registrar fingerprint")
    assert_nothing_is_left(home)


@pytest.mark.parametrize("pin", ["", "12ab", "g" * 64, "a" * 65])
def test_what_cannot_be_a_pin_is_refused(system: System, home: Path, pin: str) -> None:
    assert_refused(register(system, home, "--ca-fingerprint", pin), "64 hexadecimal digits", "registrar fingerprint")


def test_a_pin_may_be_written_as_openssl_writes_it(system: System, home: Path) -> None:
    digits = system.fingerprint.upper()
    pin = "SHA256:" + ":".join(digits[start : start + 2] for start in range(0, 64, 2))
    done = register(system, home, "--ca-fingerprint", pin, user="pinned")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Registration Successful")


@pytest.mark.parametrize("size", ["0", "1024", "2049", "many"])
def test_what_cannot_be_a_key_size_is_wrong_usage(system: System, home: Path, size: str) -> None:
    done = register(system, home, "--ca-fingerprint", system.fingerprint, "--key-size", size)
    assert_refused(done, "--key-size", "see publisher register --help", exit_code=2)
    assert ("use 2048, 3072 or 4096" in done.stderr) == size.isdecimal()
    assert not home.exists()


def test_another_pin_than_the_broker_s_is_refused(system: System, home: Path) -> None:
    done = register(system, home, "--ca-fingerprint", "0" * 64)
    assert_refused(done, "not the pinned one", "compare the fingerprint")
    assert_nothing_is_left(home)


def test_a_broker_of_another_authority_is_refused(system: System, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(authorities.foreign().root.certificate_pem)
    assert_refused(register(system, home, "--ca", other), "a certificate of another authority", "do not go on")
    assert_nothing_is_left(home)
    done = register(system, home, "--ca", system.home / "authority" / "root.pem", user="by-root")
    assert done.returncode == 0, done.stderr


def test_a_name_that_the_broker_s_certificate_does_not_have_is_refused(system: System, home: Path) -> None:
    done = register(system, home, "--ca-fingerprint", system.fingerprint, "--broker", "127.1")
    assert_refused(done, "not for 127.1", "registrar init --host")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_root_that_cannot_be_read_is_refused(
    system: System, home: Path, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "root.pem"
    if content is not None:
        file.write_bytes(content)
    assert_refused(register(system, home, "--ca", file), str(file), "check --ca" if content is None else "PEM")


@pytest.mark.parametrize(
    ("password", "error", "hint"),
    [
        ("", "the password is empty", "one line on stdin"),
        ("fourteen chars", "the password has 14 characters, at least 15", "several words"),
        ("password12345678", "too easy to guess", "several words"),
        ("newcomer-newcomer", "too easy to guess", "several words"),
        ("long" * 300, "more than 1024 characters", "shorter"),
    ],
)
def test_a_password_that_is_not_good_enough_is_refused(
    system: System, home: Path, password: str, error: str, hint: str
) -> None:
    assert_refused(register(system, home, "--ca-fingerprint", system.fingerprint, password=password), error, hint)
    assert_nothing_is_left(home)


def test_a_wrong_password_is_refused(system: System, home: Path) -> None:
    system.register("careful")
    pin = ("--ca-fingerprint", system.fingerprint)
    wrong = register(system, home, *pin, user="careful", password="another good password")
    assert_refused(wrong, "Login Failed", "check the user name and the password")
    assert "the name may be taken: choose another" in wrong.stderr
    assert_nothing_is_left(home)
    right = register(system, home, *pin, user="careful")
    assert right.stdout.startswith("Connection Successful")


@pytest.mark.parametrize("user", ["a/b", "a+b", "#", "Alice", "a" * 33, "", "a b", "élise", "alice\n", "../alice"])
def test_what_cannot_be_a_user_name_is_refused(system: System, home: Path, user: str) -> None:
    done = register(system, home, "--ca-fingerprint", system.fingerprint, user=user)
    assert_refused(done, "cannot be a user name", "1 to 32 small letters, digits and hyphens")
    assert_nothing_is_left(home)


def test_a_user_name_is_looked_at_before_a_password_is_asked_for(system: System, home: Path) -> None:
    options = ("--ca-fingerprint", system.fingerprint, "--home", home)
    assert_refused(run("publisher", "register", "Alice", *options), "cannot be a user name", "small letters")
    assert_refused(run("publisher", "register", "alice", *options), "no terminal to ask", "--password-stdin")


def test_a_reserved_user_name_is_refused_and_the_longest_one_is_not(system: System, home: Path) -> None:
    pin = ("--ca-fingerprint", system.fingerprint)
    assert_refused(register(system, home, *pin, user="registrar"), "reserved", "choose another user name")
    assert register(system, home, *pin, user="a" * 32).returncode == 0


def test_a_folder_of_another_user_is_refused(system: System) -> None:
    taken = system.register("first")
    before = {path: path.read_bytes() for path in taken.iterdir()}
    done = register(system, taken, "--ca-fingerprint", system.fingerprint, user="second")
    assert_refused(done, "holds the identity of first", "--home")
    assert {path: path.read_bytes() for path in taken.iterdir()} == before


def test_the_folder_of_a_registrar_is_refused(system: System) -> None:
    done = register(system, system.home, "--ca-fingerprint", system.fingerprint)
    assert_refused(done, f"{system.home} is the folder of a registrar", "--home")
    assert not {"key.pem", "certificate.pem", "settings.toml"} & {path.name for path in system.home.iterdir()}


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/nowhere", "x" * 300])
def test_a_home_that_cannot_be_made_is_refused(system: System, tmp_path: Path, place: str) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    home = {"below a file": file / "home"}.get(place, tmp_path / place)
    done = register(system, home, "--ca-fingerprint", system.fingerprint)
    assert_refused(done, f"{home}", "folder")


# Brokers that are not there


@contextlib.contextmanager
def listener(greeting: bytes) -> Iterator[int]:
    """Listen on a port, as something that is no broker: it says ``greeting`` to all, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:

        def greet() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = stack.enter_context(server.accept()[0])
                    if greeting:
                        connection.sendall(greeting)

        greeting_all = threading.Thread(target=greet)
        greeting_all.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            greeting_all.join()


def test_a_closed_port_is_explained(system: System, home: Path) -> None:
    (port,) = free_ports(1)
    done = register(system, home, "--ca-fingerprint", system.fingerprint, "--enrol-port", str(port))
    assert_refused(done, f"no broker answers at localhost:{port}", "registrar serve --with-broker")


@pytest.mark.parametrize("host", ["broker.invalid", "", "a..b", "b" * 64 + ".example"])
def test_a_host_that_does_not_exist_is_explained(system: System, home: Path, host: str) -> None:
    done = register(system, home, "--ca-fingerprint", system.fingerprint, "--broker", host)
    assert_refused(done, f"the host name {host!r} is not known", "check --broker")


def test_another_service_on_the_port_is_explained(system: System, home: Path) -> None:
    pin = ("--ca-fingerprint", system.fingerprint)
    with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        talks = register(system, home, *pin, "--enrol-port", str(port))
    assert_refused(talks, "no TLS 1.3 session", "check --port and --enrol-port")
    with listener(b"") as port:
        silent = register(system, home, *pin, "--enrol-port", str(port), SEALCAST_CONNECT_TIMEOUT="1")
    assert_refused(silent, "does not answer", "check --broker")


def test_the_other_door_is_explained(system: System, home: Path) -> None:
    done = register(system, home, "--ca-fingerprint", system.fingerprint, "--enrol-port", str(system.port))
    assert_refused(done, "closed the connection", "may be another door")


def test_a_broker_without_its_registrar_is_told_from_one_that_is_silent(own_system: System, tmp_path: Path) -> None:
    own_system.start()
    owner = own_system.register("owner")
    own_system.stop()
    pin = ("--ca-fingerprint", own_system.fingerprint)
    with run_broker(own_system.home, Doors("127.0.0.1", own_system.port, own_system.enrol_port)):
        posting = run("publisher", "post", CHELSEA, "--home", owner, environment=SHORT)
        registering = register(own_system, tmp_path / "home", *pin, **SHORT)
    for done in (posting, registering):
        assert_refused(done, "answers, but no registrar behind it", "registrar serve")
    own_system.start()
    assert own_system.post(owner, CHELSEA)
    assert register(own_system, tmp_path / "home", *pin).returncode == 0
    own_system.stop()
