"""Post-to-saved throughput, sealed, beside plain paho over the same kind of TLS listener, in one run.

Sealed: one owner posts photographs through the members' door, as one `publisher post` with many files does; a
`subscriber run` beside it verifies and saves each. The time is that from the first post to the last `saved`.
Plain: paho publishes the same bytes to paho at QoS 1, through a broker with the same configuration and mutual TLS,
and no registrar. Both take turns, so that a busy machine slows both; the ratio is what counts.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.installation import PATIENCE, initialise, installation, make_photograph, program, read_event, running
from common import console, topics
from common.connection import Address, verified_context
from common.decoder import Decoder
from common.device import KEY
from common.enveloping import Cipher
from common.errors import SealcastError
from common.identity import AUTHORITIES, CERTIFICATE, Identity
from common.session import Session
from common.settings import Settings
from common.topics import new_image_id
from publisher.courier import reach
from publisher.outbox import Outbox
from publisher.post import Wishes, post_all
from registrar.authority import BROKER_AUTHORITIES
from registrar.broker import Doors, run_broker
from tools.demo import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KILOBYTE, MEGABYTE = 1_000, 1_000_000
# size, images in a round
SIZES = [(10 * KILOBYTE, 40), (100 * KILOBYTE, 40), (MEGABYTE, 20), (5 * MEGABYTE, 8)]
ROUNDS = 3
COMMANDS = 9
WISHES = Wishes((), topics.DEFAULT_CHANNEL, None, keep_metadata=False, cipher=Cipher.AES_256_GCM)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="sealcast-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        doors = Doors("127.0.0.1", *free_ports())
        initialise(folder)
        owner, reader = stack.enter_context(installation(folder, doors))
        saved = stack.enter_context(subscriber(folder / "reader", doors))
        plain_door = stack.enter_context(plain_broker(folder))
        print(f"{os.cpu_count()} cores, {ROUNDS} rounds of each, medians")
        print(f"{'size':>8} {'images':>7} {'sealed':>22} {'plain paho':>22} {'ratio':>7}")
        for size, count in SIZES:
            photographs = [make_photograph(folder / f"{size}-{number}.jpg", size) for number in range(count)]
            sealed, plain = [], []
            for _ in range(ROUNDS):
                sealed.append(post_to_saved(photographs, owner, doors, saved))
                plain.append(publish_to_received(photographs, owner, reader, plain_door))
            print_row(size, count, statistics.median(sealed), statistics.median(plain))
            if size == MEGABYTE:
                command = wall_times(owner, photographs[0])
        print(command)


def print_row(size: int, count: int, sealed: float, plain: float) -> None:
    """Print one size: images a second and megabytes a second of both, and how many times plain is faster."""
    cells = [f"{count / seconds:8.1f}/s {count * size / MEGABYTE / seconds:6.1f} MB/s" for seconds in (sealed, plain)]
    print(f"{size // KILOBYTE:>5} kB {count:>7} {cells[0]:>22} {cells[1]:>22} {sealed / plain:>6.1f}x", flush=True)


def wall_times(owner: Identity, photograph: Path) -> str:
    """Return a line on one `publisher post` from start to end, beside a command that only imports the same."""
    posting, starting = [], []
    for _ in range(COMMANDS):
        posting.append(wall_time([*program("publisher"), "post", str(photograph), "--home", str(owner.home)]))
        starting.append(wall_time([*program("publisher"), "--version"]))
    post_seconds, start_seconds = statistics.median(posting), statistics.median(starting)
    return (
        f"publisher post of one 1 MB image: {post_seconds:.2f} s; publisher --version: {start_seconds:.2f} s; medians"
    )


def wall_time(command: Sequence[str]) -> float:
    """Return the seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def post_to_saved(files: Sequence[Path], owner: Identity, doors: Doors, saved: threading.Semaphore) -> float:
    """Return the seconds from the first post to the last `saved`."""
    door = Address("localhost", doors.port)
    while saved.acquire(blocking=False):
        pass
    with (
        Decoder(Settings()) as decoder,
        Outbox(owner.home) as outbox,
        reach(outbox, owner, door, Settings()) as courier,
    ):
        begin = time.perf_counter()
        for file, outcome in post_all(files, WISHES, courier, inspect=decoder.inspect, settings=Settings()):
            if (error := outcome if isinstance(outcome, SealcastError) else outcome.error) is not None:
                sys.exit(f"error: {file}: {error.message}")
        for _ in files:
            if not saved.acquire(timeout=PATIENCE):
                sys.exit("error: an image was not saved")
        return time.perf_counter() - begin


def publish_to_received(files: Sequence[Path], owner: Identity, reader: Identity, door: Address) -> float:
    """Return the seconds from the first publish to the last message received, one after the other as in a post."""
    with plain_session(owner, door) as sender, plain_session(reader, door) as receiver:
        receiver.subscribe(topics.images("#"))
        receiver.receive(timeout=0)
        begin = time.perf_counter()
        for file in files:
            topic = topics.ImageTopic(owner.user, topics.DEFAULT_CHANNEL, new_image_id(console.now()))
            sender.publish(topic.image, file.read_bytes()).result(PATIENCE)
        for _ in files:
            if receiver.receive(PATIENCE) is None:
                sys.exit("error: a message was not received")
        return time.perf_counter() - begin


def plain_session(identity: Identity, door: Address) -> Session:
    """Return a session of paho over mutual TLS and nothing else."""
    home = identity.home
    context = verified_context((home / AUTHORITIES).read_bytes(), home / CERTIFICATE, home / KEY)
    return Session(door, identity.device.client_id("bench", fresh=True), context)


@contextlib.contextmanager
def subscriber(home: Path, doors: Doors) -> Iterator[threading.Semaphore]:
    """Run a subscriber; yields a semaphore that counts what it has saved."""
    command = [*program("subscriber"), "run", "--home", str(home), "--port", str(doors.port), "--json"]
    saved = threading.Semaphore(0)
    with running(command) as process:
        read_event(process)

        def count() -> None:
            while (event := read_event(process)) is not None:
                if event["event"] == "saved":
                    saved.release()

        threading.Thread(target=count, daemon=True).start()
        yield saved


@contextlib.contextmanager
def plain_broker(folder: Path) -> Iterator[Address]:
    """Run a second broker with the same configuration and certificates, and no registrar behind it."""
    home = folder / "plain"
    trust = (folder / "registrar" / BROKER_AUTHORITIES).parent
    (home / "broker").mkdir(parents=True)
    (home / "broker" / "trust").symlink_to(trust)
    doors = Doors("127.0.0.1", *free_ports())
    with run_broker(home, doors):
        yield Address("localhost", doors.port)


if __name__ == "__main__":
    main()
