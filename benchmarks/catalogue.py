"""The catalogue at 1,000 to 100,000 entries: what is asked of it costs the same, and a rebuild holds nobody up.

Of each size: the newest page; a page from a mark on; a reader's catch-up of 50 images that it missed, from `ready` to
the last `saved`; and how long a member waits for an answer while every announcement is published again to an empty
broker, beside the same afterwards.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import insert, update

from benchmarks.installation import initialise, installation, make_photograph, program, read_event, running
from common import console, topics
from common.connection import Address, SessionOptions
from common.member_commands import member_session
from common.settings import Settings
from common.topics import new_image_id
from registrar.archive_commands import database_url
from registrar.broker import Doors
from registrar.database import migrate, open_database
from registrar.tables import CatalogueRow, ImageRow
from subscriber.ledger import Ledger
from tools.demo import free_ports

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from common.identity import Identity
    from common.registrar_client import RegistrarClient

SIZES = (1_000, 10_000, 100_000)
MISSED = 50
ASKED = 50
_ROWS_AT_ONCE = 5_000


def main() -> None:
    """Print the table."""
    print(
        f"{'entries':>8} {'newest 100':>12} {'after a mark':>13} {'catch-up of 50':>15} {'members, rebuild / idle':>25}"
    )
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="sealcast-bench-") as folder:
            measure(Path(folder), size)


def measure(folder: Path, size: int) -> None:
    """Print the line of one size."""
    fill(initialise(folder), size)
    doors = Doors("127.0.0.1", *free_ports())
    with installation(folder, doors) as (owner, reader), asking(owner, doors) as registrar:
        began = time.monotonic()
        busy = median_of(lambda: registrar.members(None))
        # Until every announcement is out, at the rate of the settings.
        time.sleep(max(0.0, began + size / Settings().rebuild_rate + 3 - time.monotonic()))
        idle = median_of(lambda: registrar.members(None))
        newest = median_of(lambda: registrar.list("newest", None))
        mark = walk(registrar)
        since = median_of(lambda: registrar.list("oldest", mark))
        catch_up = catch_up_of_missed(folder, owner, reader, doors, mark)
    cells = f"{newest * 1000:9.1f} ms {since * 1000:10.1f} ms {catch_up:13.2f} s"
    print(f"{size:>8,} {cells} {busy * 1000:16.1f} / {idle * 1000:6.1f} ms", flush=True)


def fill(home: Path, size: int) -> None:
    """Put so many entries into the catalogue, of images that nobody will ask for."""
    engine = open_database(database_url(home, None))
    migrate(engine)
    now = console.now()
    with engine.begin() as connection:
        for first in range(0, size, _ROWS_AT_ONCE):
            ordinals = range(first + 1, min(first + _ROWS_AT_ONCE, size) + 1)
            connection.execute(insert(ImageRow), [row(ordinal, now) for ordinal in ordinals])
        connection.execute(update(CatalogueRow).values(ordinal=size))
    engine.dispose()


def row(ordinal: int, now: dt.datetime) -> dict[str, object]:
    """Return an entry for members, with what a real one has."""
    return {
        "image_id": new_image_id(now),
        "ordinal": ordinal,
        "owner": "archivist",
        "channel": topics.DEFAULT_CHANNEL,
        "name": f"photograph-{ordinal}.jpg",
        "audience": "members",
        "size": 1_000_000,
        "sealed_size": 1_002_000,
        "sha256_sealed": f"{ordinal:064x}",
        "wrapped_key": bytes(384),
        "stored_at": now,
        "expires_at": None,
    }


@contextlib.contextmanager
def asking(member: Identity, doors: Doors) -> Iterator[RegistrarClient]:
    """Open a session for requests."""
    door = Address("localhost", doors.port)
    client_id = member.device.client_id("bench", fresh=True)
    with member_session(member, door, client_id, SessionOptions()) as (_, registrar):
        yield registrar


def median_of(ask: Callable[[], object]) -> float:
    """Return the median seconds of a request and its reply."""
    taken = []
    for _ in range(ASKED):
        begin = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def walk(registrar: RegistrarClient) -> str:
    """Return the mark behind everything that is there, page by page."""
    page = registrar.list("oldest", None)
    while not page.complete:
        page = registrar.list("oldest", page.mark)
    return page.mark


def catch_up_of_missed(folder: Path, owner: Identity, reader: Identity, doors: Doors, mark: str) -> float:
    """Return the seconds from `ready` to the last `saved` of a reader that was away for some posts."""
    with Ledger(reader.home) as ledger:
        ledger.keep_mark(mark, ["#"])
    photographs = [str(make_photograph(folder / f"{number}.jpg", 100_000)) for number in range(MISSED)]
    subprocess.run(
        [*program("publisher"), "post", *photographs, "--home", str(owner.home)], check=True, stdout=subprocess.DEVNULL
    )
    command = [*program("subscriber"), "run", "--home", str(reader.home), "--port", str(doors.port), "--json"]
    with running([*command, "--count", str(MISSED)]) as process:
        read_event(process)
        begin, saved = time.perf_counter(), 0
        while (event := read_event(process)) is not None:
            saved += event["event"] == "saved"
            if saved == MISSED:
                return time.perf_counter() - begin
    sys.exit("error: an image was not saved")


if __name__ == "__main__":
    main()
