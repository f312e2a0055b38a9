"""The broker as the registrar's child: the `mosquitto` on PATH with this project's own configuration.

Its working directory is the registrar's ``broker/`` folder: ``config/`` (a copy of the project's, with the listeners'
ports and addresses), ``trust/`` (written by ``registrar init``) and ``data/``.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.resources
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import ConfigurationError
from common.files import make_private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

CONFIGURATION = "mosquitto.conf"
_ACCESS_RULES = ("members.acl", "enrolment.acl")
_MEMBERS_LISTENER, _ENROLMENT_LISTENER = "listener 8883", "listener 8884"
# Debian keeps mosquitto where an ordinary user's PATH does not reach.
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_START_SECONDS, _STOP_SECONDS = 10.0, 10.0
# Not in a thread of the registrar: the broker's log has to be taken while that one is stopped, too.
_MASK = """
import re, sys
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(re.sub(rb"[0-9a-f]{32}", "…".encode(), line))
    sys.stdout.buffer.flush()
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the broker listens."""

    listen: str
    port: int
    enrol_port: int


@contextlib.contextmanager
def run_broker(home: Path, doors: Doors) -> Iterator[Broker]:
    """Start the broker, wait until both doors are open, and end it on leaving; raises ConfigurationError."""
    program = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS]))
    if program is None:
        raise ConfigurationError(
            "there is no mosquitto on PATH", hint="install it: apt-get install mosquitto", code="no_mosquitto"
        )
    _refuse_taken(doors)
    folder = _prepare(home, doors)
    log = folder / "broker.log"
    with log.open("ab") as output:
        masking = _start_masking(output)
        process = subprocess.Popen(  # noqa: S603 - the program that was found above, with our own configuration
            [*_until_parent_ends(), program, "-c", f"config/{CONFIGURATION}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=masking.stdin,
            stderr=masking.stdin,
            # A Ctrl-C in the terminal is for the registrar, which ends the broker after its own work.
            start_new_session=True,
        )
    broker = Broker(process, masking)
    try:
        _wait_until_open(process, doors, log)
        yield broker
    finally:
        broker.stop()


class Broker:
    """A running mosquitto."""

    def __init__(self, process: subprocess.Popen[bytes], masking: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._masking = masking
        if masking.stdin is not None:
            masking.stdin.close()  # the broker has it

    def reread(self) -> None:
        """Make the broker reread its CRL, access rules and certificates (measured: SIGHUP does)."""
        self._process.send_signal(signal.SIGHUP)

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process, with force if it does not go by itself."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._masking.wait()


def _start_masking(log: BinaryIO) -> subprocess.Popen[bytes]:
    """Start what writes to the log without client ids, which are secrets; it ends with the last that writes to it."""
    return subprocess.Popen(  # noqa: S603 - this very Python
        [sys.executable, "-I", "-S", "-c", _MASK], stdin=subprocess.PIPE, stdout=log, start_new_session=True
    )


def _prepare(home: Path, doors: Doors) -> Path:
    folder = home / "broker"
    make_private_folder(folder / "data")
    configuration = make_private_folder(folder / "config")
    source = importlib.resources.files("broker")
    for name in _ACCESS_RULES:
        write_private(configuration / name, source.joinpath(name).read_bytes())
    text = source.joinpath(CONFIGURATION).read_text()
    text = _open_at(text, _MEMBERS_LISTENER, f"listener {doors.port} {doors.listen}")
    text = _open_at(text, _ENROLMENT_LISTENER, f"listener {doors.enrol_port} {doors.listen}")
    # Started by root, mosquitto would become a user who can read neither its key nor its data.
    write_private(configuration / CONFIGURATION, f"{text}\nuser {getpass.getuser()}\n".encode())
    return folder


def _open_at(text: str, listener: str, replacement: str) -> str:
    changed, count = re.subn(rf"^{listener}$", replacement, text, flags=re.MULTILINE)
    if count != 1:
        raise ConfigurationError(f"{CONFIGURATION} has no line {listener!r}", hint="restore the project's own file")
    return changed


def _until_parent_ends() -> list[str]:
    """Return what makes the broker end with a registrar that is killed, so that the next one finds its ports free."""
    setpriv = shutil.which("setpriv")  # util-linux; elsewhere the broker stays, and a new registrar says so
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _refuse_taken(doors: Doors) -> None:
    for port in (doors.port, doors.enrol_port):
        if _is_open(doors.listen, port):
            raise ConfigurationError(
                f"port {port} is taken by another program",
                hint="end it, or choose other ports with --port and --enrol-port",
                code="port_taken",
            )


def _wait_until_open(process: subprocess.Popen[bytes], doors: Doors, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not all(_is_open(doors.listen, port) for port in (doors.port, doors.enrol_port)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ConfigurationError("the broker did not start", hint=f"see the end of {log}", code="broker_failed")
        time.sleep(0.02)


def _is_open(listen: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)  # noqa: S104 - where to knock, not to listen
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
