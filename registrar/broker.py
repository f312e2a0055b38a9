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
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import ConfigurationError, SessionError
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
_MOST_RESTARTS, _RESTARTS_SECONDS = 3, 60.0  # more often than this it does not help
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
    broker = Broker(program, _prepare(home, doors), doors)
    try:
        broker.wait_until_open()
        yield broker
    finally:
        broker.stop()


class Broker:
    """A mosquitto that runs with the configuration in ``folder``, and is started again where it ends by itself."""

    def __init__(self, program: str, folder: Path, doors: Doors) -> None:
        self._command = [*_until_parent_ends(), program, "-c", f"config/{CONFIGURATION}"]
        self._folder = folder
        self._doors = doors
        self._log = folder / "broker.log"
        self._restarts: deque[float] = deque(maxlen=_MOST_RESTARTS)
        self._start()

    def reread(self) -> None:
        """Make the broker reread its CRL, access rules and certificates (measured: SIGHUP does)."""
        self._process.send_signal(signal.SIGHUP)

    def look_after(self) -> None:
        """Start the broker again where it has ended; raises SessionError where that has been done too often.

        Mosquitto 2.0 crashes now and then (measured: docs/reliability.md). What it had not yet written is rebuilt, as
        after each reconnection. By a thread that stays: the broker ends with the one that has started it.
        """
        if self._process.poll() is None:
            return
        now, hint = time.monotonic(), f"see {self._log}"
        if len(self._restarts) == _MOST_RESTARTS and now - self._restarts[0] < _RESTARTS_SECONDS:
            raise SessionError("the broker has ended again and again", hint=hint, code="broker_failed")
        self._restarts.append(now)
        _log.warning("the broker has ended (%s): %s", _ending(self._process.returncode), hint)
        self._masking.wait()
        self._start()
        self.wait_until_open()
        _log.warning("the broker is started again")

    def wait_until_open(self) -> None:
        """Wait until both doors are open; raises ConfigurationError where they stay closed."""
        deadline = time.monotonic() + _START_SECONDS
        while not all(_is_open(self._doors.listen, port) for port in (self._doors.port, self._doors.enrol_port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ConfigurationError(
                    "the broker did not start", hint=f"see the end of {self._log}", code="broker_failed"
                )
            time.sleep(0.02)

    def _start(self) -> None:
        with self._log.open("ab") as output:
            self._masking = _start_masking(output)
        masked = self._masking.stdin
        self._process = subprocess.Popen(  # noqa: S603 - the program that was found, with our own configuration
            self._command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=masked,
            stderr=masked,
            # A Ctrl-C in the terminal is for the registrar, which ends the broker after its own work.
            start_new_session=True,
        )
        if masked is not None:
            masked.close()  # the broker has it

    def stop(self) -> None:
        """End the process, with force if it does not go by itself."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._masking.wait()


def _ending(returncode: int) -> str:
    return signal.Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"


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


def _is_open(listen: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)  # noqa: S104 - where to knock, not to listen
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
