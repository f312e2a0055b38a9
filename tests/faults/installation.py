"""A whole Sealcast whose broker, registrar, owners and readers are processes of their own, to be killed apart.

Everybody reaches the broker over a link of their own, which can be slow, cut or torn.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faults.full_disk import small_disk
from faults.oracle import Oracle, Posted, draw
from faults.programs import Program
from faults.proxy import Proxy
from real_broker import RealBroker
from system import KEY_SIZE, PASSWORD, PATIENCE, System, wait_until

from registrar.broker import Doors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from faults.full_disk import SmallDisk

# Faults are over soon in a test: so are the waits.
QUICK = {
    "SEALCAST_CATCH_UP_SECONDS": "2",
    "SEALCAST_RETRY_SECONDS": "0.5",
    "SEALCAST_RECONNECT_LONGEST_WAIT": "1",
    "SEALCAST_CONNECT_TIMEOUT": "5",
    "SEALCAST_REPLY_TIMEOUT": "5",
}
SEED = "SEALCAST_FAULTS_SEED"
REGISTRAR = "registrar"
TRIES = 10
DISK = 32_000_000  # bytes of a small disk


def seeded(seed: int) -> random.Random:
    """Return the chance of a sweep; the seed can come from the environment, and is printed with a failure."""
    chosen = int(os.environ.get(SEED, seed))
    print(f"seed {chosen} (again with {SEED}={chosen})")  # noqa: T201 - pytest shows it where the test fails
    return random.Random(chosen)  # noqa: S311 - moments and pictures are no secrets


def let_pass(seconds: float) -> None:
    """Let a moment come at which to kill something; nothing is waited for."""
    threading.Event().wait(seconds)


def catch(condition: Callable[[], object], what: str) -> None:
    """Return at the very moment at which ``condition()`` has become true, as nearly as can be; fails after a while."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"


@dataclass(frozen=True)
class Posting:
    """A command that posts images, which may be killed in the middle."""

    program: Program
    owner: str
    images: tuple[Path, ...]
    to: tuple[str, ...]


class Installation:
    """Everything in ``folder``: what the programs write in ``site``, and what is posted in ``pictures``."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self._site, self._pictures = folder / "site", folder / "pictures"
        self._logs, self._temporary = self._site / "logs", self._site / "temporary"
        for made in (self._pictures, self._logs, self._temporary):
            made.mkdir(parents=True)
        self.system = System.create(self._site)
        self.broker = RealBroker(self.system.home, Doors("127.0.0.1", self.system.port, self.system.enrol_port))
        self.broker_data = self.system.home / "broker" / "data"
        self.oracle = Oracle([self._site])
        self.links: dict[str, Proxy] = {}
        # What each user's programs are started with, such as another clock.
        self.before: dict[str, Sequence[str]] = {}
        self._programs: list[Program] = []
        self._resources = contextlib.ExitStack()
        self._images = itertools.count(1)

    @contextlib.contextmanager
    def running(self) -> Iterator[Installation]:
        with self._resources, self.broker.running():
            try:
                self.registrar = self.make_registrar()
                self.start(self.registrar)
                yield self
            finally:
                for program in self._programs:
                    program.kill()

    def _program(self, user: str, *command: str | Path, patient: bool = False) -> Program:
        """Return a program of a user's, or the registrar, not started yet; a ``patient`` one waits as long as usual."""
        name = f"{user}-{command[1]}-{len(self._programs)}"
        environment = ({} if patient else QUICK) | {"TMPDIR": str(self._temporary)}
        before = self.before.get(user, ())
        command = (*command, "--verbose")  # the more is written, the more there is to judge
        program = Program(name, *command, logs=self._logs, environment=environment, before=before)
        self._programs.append(program)
        return program

    def start(self, *daemons: Program) -> None:
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            daemon.wait_for("ready")

    def make_registrar(self) -> Program:
        return self._program(REGISTRAR, "registrar", "serve", "--home", self.system.home, *self._door(REGISTRAR))

    def restart_broker(self, *, empty: bool) -> None:
        """Start the broker that was killed once more, with the data that it had saved, or with none."""
        if empty:
            shutil.rmtree(self.broker_data)
            self.broker_data.mkdir(mode=0o700)
        self.broker.start()

    def save_broker(self) -> None:
        """Have the broker write down all that it holds."""
        assert self.broker.process
        saved = self.broker_data / "mosquitto.db"
        saved.unlink(missing_ok=True)
        self.broker.process.send_signal(signal.SIGUSR1)
        wait_until(saved.exists, "what the broker saves")  # renamed into place when it is whole

    def register(self, user: str) -> Path:
        home = self.system.home_of(user)
        registering = self._program(
            user, "publisher", "register", user, *self.system.doors, "--ca-fingerprint",
            self.system.fingerprint, "--password-stdin", "--key-size", KEY_SIZE, *self._home(user), patient=True,
        )  # fmt: skip
        assert registering.run(PASSWORD + "\n") == 0, registering.errors
        return home

    def make_reader(self, user: str) -> Program:
        """Return the daemon of a user, whose inbox is judged from now on; not started yet."""
        home = self.system.home_of(user)
        self.oracle.homes.setdefault(user, home)
        return self._program(user, "subscriber", "run", "--home", home, *self._door(user))

    def _draw(self, owner: str, size: int, to: Sequence[str]) -> Path:
        """Draw an image and tell the judge who is to have it."""
        file = self._pictures / f"{owner}-{next(self._images)}.bmp"
        sha256 = draw(file, size, self.chance)
        self.oracle.posted.append(Posted(file, owner, sha256, frozenset(to) or None))
        return file

    def make_posting(self, owner: str, *, count: int = 1, size: int = 100_000, to: Sequence[str] = ()) -> Posting:
        """Draw images, and return the command that posts them, not started yet."""
        return self._make_posting(owner, [self._draw(owner, size, to) for _ in range(count)], to)

    def _make_posting(self, owner: str, images: Sequence[Path], to: Sequence[str]) -> Posting:
        named = [word for user in to for word in ("--to", user)]
        program = self._program(
            owner, "publisher", "post", *images, *named, "--keep-metadata", *self._home(owner), *self._door(owner)
        )
        return Posting(program, owner, tuple(images), tuple(to))

    def post(self, owner: str, *, count: int = 1, size: int = 100_000, to: Sequence[str] = ()) -> None:
        """Post images, where nothing keeps the owner from it."""
        posting = self.make_posting(owner, count=count, size=size, to=to)
        posting.program.start()
        self.complete(posting)

    def complete(self, posting: Posting) -> None:
        """Post what a command that has ended did not take in, and send what waits."""
        posting.program.wait()
        for again in self.again(posting):
            again.program.run()
        self.flush(posting.owner)

    def again(self, posting: Posting) -> Iterator[Posting]:
        """Yield the command for what the outbox has not taken in, a few times where there is something still."""
        for _ in range(TRIES):
            taken_in = {image["name"] for image in self.outbox(posting.owner) if image["event"] != "failed"}
            left = [image for image in posting.images if image.name not in taken_in]
            if not left:
                return
            yield self._make_posting(posting.owner, left, posting.to)
        raise AssertionError(f"{posting.owner} cannot post {left}")

    def flush(self, owner: str) -> None:
        """Send what waits in an outbox, until nothing does."""
        flushing = self._program(owner, "publisher", "flush", *self._home(owner), *self._door(owner))
        wait_until(lambda: flushing.run() == 0, f"an empty outbox of {owner}")

    def outbox(self, owner: str) -> list[dict[str, Any]]:
        """Return what has become of everything that was posted."""
        listing = self._program(owner, "publisher", "outbox", "--all", *self._home(owner))
        assert listing.run() == 0, listing.errors
        return listing.events

    def small_disk(self, user: str) -> SmallDisk:
        """Move the folder of a user, or of the registrar, to a disk of its own for good; nothing of it may run."""
        home = self.system.home if user == REGISTRAR else self.system.home_of(user)
        disk = self._resources.enter_context(small_disk(home, DISK))
        shutil.copytree(home, disk.folder, dirs_exist_ok=True)
        self.before[user] = disk.enter
        self.oracle.folders.append(disk.folder)
        if user in self.oracle.homes:
            self.oracle.homes[user] = disk.folder
        return disk

    def _home(self, user: str) -> tuple[str, Path]:
        return ("--home", self.system.home_of(user))

    def _door(self, user: str) -> tuple[str, ...]:
        if user not in self.links:
            self.links[user] = self._resources.enter_context(Proxy(self.system.port).carrying())
        return ("--broker", "localhost", "--port", str(self.links[user].port))
