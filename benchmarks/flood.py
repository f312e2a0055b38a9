"""What members notice while strangers guess passwords, beside the same while nobody does.

Of each kind of attack 10,000 wrong logins from 50 clients at once, as fast as the broker takes them, in rounds. Before
each round, and in it, one member posts photographs and another has their keys released, so that a busy machine slows
both sides. `memory` is by how much the peak of the registrar's has grown, `log` what it has written.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import insert

from benchmarks.attackers import Orders
from benchmarks.catalogue import asking
from benchmarks.installation import enrol_members, initialise, make_photograph, serving
from benchmarks.throughput import WISHES
from common import console
from common.connection import Address
from common.decoder import Decoder
from common.errors import SealcastError
from common.identity import AUTHORITIES
from common.settings import Settings
from publisher.courier import reach
from publisher.outbox import Outbox
from publisher.post import post_all
from registrar.archive_commands import database_url
from registrar.authority import REGISTRAR
from registrar.broker import Doors
from registrar.database import migrate, open_database
from registrar.passwords import hash_password
from registrar.tables import AccountRow
from tools.demo import free_ports

if TYPE_CHECKING:
    from common.registrar_client import RegistrarClient
    from publisher.courier import Courier

ATTEMPTS, CLIENTS, ROUNDS = 10_000, 50, 5
QUIET_SECONDS, SETTLING_SECONDS = 6.0, 2.0
USERS = ATTEMPTS // ROUNDS  # with an account each, so that nobody is registered by the way
# kind, user name, attempts of a connection
ATTACKS = (("one name", "owner", 40), ("a name each", "user-{}", 40), ("a name each, connecting anew", "user-{}", 5))
MEBIBYTE_IN_KIBIBYTES = 1024


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="sealcast-bench-") as name, contextlib.ExitStack() as stack:
        folder, doors = Path(name), Doors("127.0.0.1", *free_ports())
        home = initialise(folder)
        add_accounts(home)
        log = stack.enter_context((folder / "registrar.log").open("w"))
        registrar = stack.enter_context(serving(folder, doors, log))
        owner, reader = enrol_members(folder, doors)
        outbox = stack.enter_context(Outbox(owner.home))
        courier = stack.enter_context(reach(outbox, owner, Address("localhost", doors.port), Settings()))
        asked = stack.enter_context(asking(reader, doors))
        decoder = stack.enter_context(Decoder(Settings()))
        members = Members(make_photograph(folder / "photograph.jpg", 100_000), courier, decoder, asked)
        members.work(QUIET_SECONDS)
        print(f"{ATTEMPTS:,} wrong logins from {CLIENTS} clients in {ROUNDS} rounds; medians, quiet / attacked")
        print(f"{'':30}{'post':>27}{'release':>27}{'sent':>8}{'answered':>10}{'memory':>10}{'log':>11}")
        for kind, user, attempts in ATTACKS:
            orders = Orders(
                port=doors.enrol_port,
                authorities=str(owner.home / AUTHORITIES),
                registrar=str(home / REGISTRAR),
                user=user,
                attempts=ATTEMPTS // ROUNDS,
                clients=CLIENTS,
                attempts_of_a_connection=attempts,
            )
            before, lines = peak_memory(registrar), count_lines(log.name)
            cells = attack(orders, members)
            grown, written = peak_memory(registrar) - before, count_lines(log.name) - lines
            print(f"{kind:30}{cells}{grown:>+7.1f} MB{written:>5} lines", flush=True)


@dataclass(slots=True)
class Waits:
    """Seconds that each post and each release took."""

    posts: list[float] = field(default_factory=list)
    releases: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Members:
    """One member posts a photograph on and on, and another asks for the key of each."""

    photograph: Path
    courier: Courier
    decoder: Decoder
    registrar: RegistrarClient

    def work(self, seconds: float, waits: Waits | None = None) -> None:
        """Post and ask for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(waits or Waits())

    def turn(self, waits: Waits) -> None:
        """Post a photograph and have its key released."""
        begin = time.perf_counter()
        ((_, outcome),) = post_all(
            [self.photograph], WISHES, self.courier, inspect=self.decoder.inspect, settings=Settings()
        )
        posted = time.perf_counter()
        error = outcome if isinstance(outcome, SealcastError) else outcome.error
        if error is not None or isinstance(outcome, SealcastError):
            sys.exit(f"error: a post failed: {error.message if error else ''}")
        self.registrar.release([outcome.item.topic.image_id])
        waits.posts.append(posted - begin)
        waits.releases.append(time.perf_counter() - posted)


def attack(orders: Orders, members: Members) -> str:
    """Attack in rounds, and return the cells of the waits and the answers."""
    quiet, attacked, seconds, answered = Waits(), Waits(), 0.0, 0
    for _ in range(ROUNDS):
        command = [sys.executable, "-m", "benchmarks.attackers", json.dumps(asdict(orders))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attackers:
            if attackers.stdin is None or attackers.stdout is None or attackers.stdout.readline() != "ready\n":
                sys.exit("error: the attackers did not get ready")
            members.work(QUIET_SECONDS, quiet)
            attackers.stdin.write("begin\n")
            attackers.stdin.flush()
            while attackers.poll() is None:
                members.turn(attacked)
            outcome = json.loads(attackers.stdout.readline())
        seconds += outcome["seconds"]
        answered += sum(outcome["answers"].values())
        time.sleep(SETTLING_SECONDS)
    sent = f"{ATTEMPTS / seconds:6.0f}/s"
    return f"{ratio(quiet.posts, attacked.posts)}{ratio(quiet.releases, attacked.releases)}{sent}{answered:>10,}"


def ratio(quiet: list[float], attacked: list[float]) -> str:
    """Return both medians, and how many times longer the second is."""
    usual, longer = statistics.median(quiet), statistics.median(attacked)
    return f"{usual * 1000:7.1f} /{longer * 1000:6.1f} ms {longer / usual:4.2f}x "


def add_accounts(home: Path) -> None:
    """Register so many users whose password nobody knows."""
    engine = open_database(database_url(home, None))
    migrate(engine)
    password_hash, now = hash_password(secrets.token_hex()), console.now()
    rows = [
        {"user_name": f"user-{number}", "password_hash": password_hash, "created_at": now} for number in range(USERS)
    ]
    with engine.begin() as connection:
        connection.execute(insert(AccountRow), rows)
    engine.dispose()


def peak_memory(process: subprocess.Popen[str]) -> float:
    """Return the most mebibytes that a process has had in memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / MEBIBYTE_IN_KIBIBYTES


def count_lines(log: str) -> int:
    """Return how many lines the registrar has logged."""
    return len(Path(log).read_text().splitlines())


if __name__ == "__main__":
    main()
