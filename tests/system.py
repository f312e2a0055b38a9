"""A whole Sealcast for tests: the real Mosquitto with the real configuration, a registrar, members; on free ports."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD = "seven quiet boats at dusk"
PATIENCE = 120.0  # seconds; how long a test waits for what should come at once, on a machine that is busy
ROOT = Path(__file__).parent.parent
CHELSEA = ROOT / "tools" / "chelsea.jpg"
KEY_SIZE = "2048"  # the smallest that is allowed: tests make many keys


def _ports() -> Iterator[int]:
    """Yield ports that no other worker of pytest takes, and no connection: those are given ports from 32768 on."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(10_000 + worker, 32_000, _MOST_WORKERS)
    # Who tests something else on this machine begins elsewhere.
    begin = os.getpid() % len(ports)
    return itertools.cycle([*ports[begin:], *ports[:begin]])


_MOST_WORKERS = 16
_PORTS = _ports()


def _is_free(port: int) -> bool:
    with socket.socket() as one, contextlib.suppress(OSError):
        one.bind(("127.0.0.1", port))
        return True
    return False


def free_ports(count: int) -> list[int]:
    """Return ports on loopback that nobody listens on, and that stay free until a test takes them."""
    return list(itertools.islice(filter(_is_free, _PORTS), count))


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SEALCAST_")}


def run(
    program: str, *arguments: str | Path, stdin: str | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of the three programs to its end."""
    return subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
        cwd=ROOT,
        env=clean_environment() | (environment or {}),
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what a program that has ended has printed with --json."""
    return [json.loads(line) for line in done.stdout.splitlines()]


class Daemon:
    """A program that runs beside the test; its stdout is JSON lines."""

    def __init__(self, program: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", program, *map(str, arguments), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment() | (environment or {}),
        )
        self.errors: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._readers = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def next(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next event; fails when the program ends or stays silent."""
        try:
            event = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no event; so far {self.events}; stderr: {''.join(self.errors)}") from None
        if event is None:
            self.process.wait(PATIENCE)
            raise AssertionError(f"ended with {self.process.returncode}; stderr: {''.join(self.errors)}")
        self.events.append(event)
        return event

    def wait_for(self, name: str, /, **members: object) -> dict[str, Any]:
        """Return the next event of this name with these members; others are passed over."""
        while True:
            event = self.next()
            if event["event"] == name and all(event[key] == value for key, value in members.items()):
                return event

    def stop(self) -> int:
        """Ask the program to end, as a service manager would, and return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@dataclass
class System:
    """A registrar with its broker, and what members need to reach it."""

    home: Path
    members: Path
    port: int
    enrol_port: int
    fingerprint: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    daemon: Daemon | None = None

    @classmethod
    def create(
        cls, folder: Path, environment: dict[str, str] | None = None, settings: dict[str, str] | None = None
    ) -> System:
        """Make a registrar; ``settings`` are for its authority alone, and ``environment`` is for its service."""
        port, enrol_port = free_ports(2)
        system = cls(folder / "registrar", folder / "members", port, enrol_port, environment=environment or {})
        made = run("registrar", "init", "--home", system.home, "--json", environment=settings)
        assert made.returncode == 0, made.stderr
        system.fingerprint = json.loads(made.stdout)["fingerprint"]
        return system

    def start(self) -> None:
        self.daemon = Daemon(
            "registrar", "serve", "--home", self.home, "--with-broker", "--verbose", *self.doors,
            environment=self.environment,
        )  # fmt: skip
        assert self.daemon.next() == {"event": "ready", "fingerprint": self.fingerprint}

    def stop(self) -> None:
        if self.daemon is not None:
            assert self.daemon.stop() == 0, self.daemon.errors

    @property
    def doors(self) -> tuple[str, ...]:
        return ("--broker", "localhost", "--port", str(self.port), "--enrol-port", str(self.enrol_port))

    def home_of(self, device: str) -> Path:
        return self.members / device

    def register(self, user: str, device: str | None = None, *more: str, password: str = PASSWORD) -> Path:
        """Register ``user`` and return the folder of the identity."""
        home = self.home_of(device or user)
        done = self.try_to_register(user, home, *more, password=password)
        assert done.returncode == 0, done.stderr
        return home

    def try_to_register(
        self, user: str, home: Path, *more: str, password: str = PASSWORD
    ) -> subprocess.CompletedProcess[str]:
        return run(
            "publisher", "register", user, *self.doors, "--ca-fingerprint", self.fingerprint, "--password-stdin",
            "--key-size", KEY_SIZE, "--home", home, "--json", *more, stdin=password + "\n",
        )  # fmt: skip

    def post(self, home: Path, *arguments: str | Path) -> list[dict[str, Any]]:
        """Post and return the JSON lines; fails unless everything was stored."""
        done = run("publisher", "post", *arguments, "--home", home, "--json")
        assert done.returncode == 0, done.stderr
        return lines(done)

    @contextlib.contextmanager
    def subscriber(
        self, home: Path, *arguments: str | Path, environment: dict[str, str] | None = None
    ) -> Iterator[Daemon]:
        """Run a subscriber that is ready."""
        daemon = Daemon("subscriber", "run", "--home", home, *arguments, environment=environment)
        try:
            assert daemon.next() == {"event": "ready"}
            yield daemon
        finally:
            daemon.kill()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition()`` is true; fails after a while."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.02)
