"""A watched folder of 1,000 to 100,000 files that are left alone: its start, what it costs to wait, and the next image.

Of each size: from the command to `ready` at the first start, which notes every file, and at the next one; the share of
a processor in a minute in which nothing happens; and from an image's moving into the folder to its `stored`.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.installation import initialise, installation, make_photograph, program, read_event, running
from registrar.broker import Doors
from tools.demo import free_ports

if TYPE_CHECKING:
    import subprocess

SIZES = (1_000, 10_000, 100_000)
IMAGES = 20
_FILES_IN_A_FOLDER = 500
_IDLE_SECONDS = 60.0
_LONG_AGO = (1e9, 1e9)  # when such a file was last changed


def main() -> None:
    """Print the table."""
    print(f"{'files':>8} {'first start':>12} {'next start':>11} {'idle':>9} {'moved in to stored':>19}")
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="sealcast-bench-") as folder:
            measure(Path(folder), size)


def measure(folder: Path, size: int) -> None:
    """Print the line of one size."""
    initialise(folder)
    photos = fill(folder / "photos", size)
    with installation(folder, Doors("127.0.0.1", *free_ports())) as (owner, _):
        command = [*program("publisher"), "watch", str(photos), "--home", str(owner.home), "--json"]
        first, _, _ = watch_once(command, photos, idle_seconds=0, images=0)
        second, idle, moments = watch_once(command, photos, idle_seconds=_IDLE_SECONDS, images=IMAGES)
    latency = statistics.median(moments) * 1000
    print(f"{size:>8,} {first:>10.2f} s {second:>9.2f} s {idle:>8.2%} {latency:>16.0f} ms")


def watch_once(
    command: list[str], photos: Path, *, idle_seconds: float, images: int
) -> tuple[float, float, list[float]]:
    """Return the seconds to `ready`, the share of a processor while idle, and the seconds that each image has taken."""
    started = time.monotonic()
    with running(command) as process:
        read_event(process)
        start = time.monotonic() - started
        before = processor_time(process.pid)
        time.sleep(idle_seconds)
        idle = (processor_time(process.pid) - before) / (idle_seconds or 1)
        return start, idle, [post(process, photos / f"{number}.jpg") for number in range(images)]


def post(process: subprocess.Popen[str], path: Path) -> float:
    """Move a photograph into the folder, and return the seconds until it is stored."""
    hidden = make_photograph(path.with_name(f".{path.name}"), 100_000)
    os.utime(hidden, _LONG_AGO)
    moved = time.monotonic()
    hidden.rename(path)
    read_event(process)
    return time.monotonic() - moved


def fill(folder: Path, size: int) -> Path:
    """Make a folder with so many files."""
    for number in range(size):
        path = folder / f"{number // _FILES_IN_A_FOLDER}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"any")
    return folder


def processor_time(pid: int) -> float:
    """Return the processor time of a process and of those that it has waited for, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
