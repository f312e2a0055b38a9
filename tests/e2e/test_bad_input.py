"""Whatever a person gets wrong is refused with an error and a hint, and leaves nothing half done."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import authorities
import pictures
import pytest
from system import PASSWORD, ROOT, Daemon, System, free_ports, run, wait_until

from registrar.broker import Doors, run_broker

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

CHELSEA = ROOT / "tools" / "chelsea.jpg"
# For what does not answer: long enough for an answer, short enough to wait for it.
SHORT = {"SEALCAST_CONNECT_TIMEOUT": "1", "SEALCAST_REPLY_TIMEOUT": "1"}


def assert_refused(done: subprocess.CompletedProcess[str], error: str, hint: str, *, exit_code: int = 1) -> None:
    """Check that a command has said what is wrong and what to do, and nothing else."""
    said = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in said] == ["error", "hint"], done.stderr
    assert error in said[0]
    assert hint in said[1]
    assert done.returncode == exit_code


# Registering


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def register(
    system: System, home: Path, *arguments: str | Path, user: str = "newcomer", password: str = PASSWORD, **more: str
) -> subprocess.CompletedProcess[str]:
    """Register with the right doors; ``arguments`` come after them."""
    options = ("--password-stdin", "--key-size", "2048", "--home", home)
    return run("publisher", "register", user, *system.doors, *options, *arguments, stdin=password + "\n", environment=more)


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
    assert_nothing_is_left(home)
    right = register(system, home, *pin, user="careful")
    assert right.stdout.startswith("Connection Successful")


@pytest.mark.parametrize("user", ["a/b", "a+b", "#", "Alice", "a" * 33, "", "a b", "élise", "alice\n", "../alice"])
def test_what_cannot_be_a_user_name_is_refused(system: System, home: Path, user: str) -> None:
    done = register(system, home, "--ca-fingerprint", system.fingerprint, user=user)
    assert_refused(done, "cannot be a user name", "1 to 32 small letters, digits and hyphens")
    assert_nothing_is_left(home)


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
        silent = register(system, home, *pin, "--enrol-port", str(port), **SHORT)
    assert_refused(silent, "does not answer", "check --broker")


def test_the_other_door_is_explained(system: System, home: Path) -> None:
    done = register(system, home, "--ca-fingerprint", system.fingerprint, "--enrol-port", str(system.port))
    assert_refused(done, "closed the connection", "the port is another door")


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


# Posting


@pytest.fixture(scope="module")
def owner(system: System) -> Path:
    return system.register("owner-of-bad-ones")


BAD_FILES = {
    "no image": (b"This is no image.", "not_an_image"),
    "a web page": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
    "empty": (b"", "empty"),
    "truncated": (CHELSEA.read_bytes()[:20_000], "truncated"),
    "a beginning and noise": (CHELSEA.read_bytes()[:600] + bytes(range(256)) * 40, "truncated"),
    "a bomb": (pictures.png_bomb(), "too_many_pixels"),
    "scans without end": (pictures.jpeg_with_scans(500), "too_many_pixels"),
}


def test_what_is_no_image_is_not_posted_and_keeps_nothing_else_back(
    system: System, owner: Path, tmp_path: Path
) -> None:
    codes = {}
    for name, (content, code) in BAD_FILES.items():
        file = tmp_path / name
        file.write_bytes(content)
        codes[str(file)] = code
    folder, missing, long = tmp_path / "folder", tmp_path / "missing.jpg", tmp_path / ("l" * 300)
    folder.mkdir()
    dangling, memory, pipe = tmp_path / "dangling.jpg", "/proc/self/mem", tmp_path / "pipe"
    dangling.symlink_to(missing)
    os.mkfifo(pipe)
    codes |= {str(path): "unreadable" for path in (folder, missing, long, dangling, memory, pipe)}
    done = run("publisher", "post", *codes, CHELSEA, "--home", owner, "--json")
    assert done.returncode == 1
    *failed, stored = map(json.loads, done.stdout.splitlines())
    assert {one["file"]: one["code"] for one in failed} == codes
    assert {one["event"] for one in failed} == {"failed"}
    assert (stored["event"], stored["name"]) == ("stored", CHELSEA.name)
    said = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in said] == ["error", "hint"] * len(codes), done.stderr
    assert all(line.split(": ", 1)[1].strip() for line in said)


def test_an_image_over_the_limit_is_not_posted(system: System, owner: Path) -> None:
    size = CHELSEA.stat().st_size
    over = run(
        "publisher", "post", CHELSEA, "--home", owner, environment={"SEALCAST_MAXIMUM_IMAGE_SIZE": str(size - 1)}
    )
    assert_refused(over, "is larger than", "smaller version")
    just = run("publisher", "post", CHELSEA, "--home", owner, environment={"SEALCAST_MAXIMUM_IMAGE_SIZE": str(size)})
    assert just.returncode == 0, just.stderr
    assert "stored" in just.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["--to", "nobody-yet"], "there is no member 'nobody-yet'", "check the spelling"),
        (["--to", "Bob"], "cannot be a user name", "small letters"),
        (["--to", "registrar"], "reserved", "choose another"),
        ([word for number in range(65) for word in ("--to", f"u{number}")], "64 people at most", "once more"),
        (["--channel", "a//b"], "cannot be a channel", "site-7/gate"),
        (["--channel", "a/+"], "cannot be a channel", "site-7/gate"),
        (["--channel", "a/b/c/d/e"], "cannot be a channel", "one to four words"),
        (["--channel", ""], "cannot be a channel", "one to four words"),
        (["--caption", "long" * 251], "longer than 1,000 characters", "shorten"),
        (["--caption", "caf\udcff"], "the caption is not UTF-8", "UTF-8"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_refused(
    system: System, owner: Path, arguments: list[str], error: str, hint: str
) -> None:
    done = run("publisher", "post", CHELSEA, "--home", owner, *arguments)
    assert_refused(done, error, hint)
    assert done.stdout == ""


def test_a_file_name_need_not_be_text(system: System, owner: Path, tmp_path: Path) -> None:
    file = tmp_path / "caf\udcff.jpg"
    file.write_bytes(CHELSEA.read_bytes())
    done = run("publisher", "post", file, "--home", owner, environment={"PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 0, done.stderr
    assert "caf\\udcff.jpg" in done.stdout


def test_output_that_cannot_be_written_is_explained(owner: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run_with_stdout(full.fileno(), "publisher", "whoami", "--home", str(owner))
    assert_refused(done, "cannot use stdout: no space left on device", "make room")
    reading, writing = os.pipe()
    os.close(reading)
    done = run_with_stdout(writing, "publisher", "whoami", "--home", str(owner))
    os.close(writing)
    # Whoever reads our output and goes away is no fault.
    assert (done.returncode, done.stderr) == (1, "")
