"""When a file is complete: it has not changed for a while, and nobody has it open to write."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.watching.folder import Stamp

_OPEN_TO_WRITE = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True, slots=True)
class Sight:
    """A file as it was seen first: ``since`` then, by the monotonic clock, it has not changed."""

    stamp: Stamp
    since: float

    def quiet_seconds(self, now: float, wall: float, *, is_written: bool | None) -> float:
        """Return for how long it has been complete, as far as can be told.

        Its own time tells that only where nobody can be writing: some programs set it before they have finished, and a
        network file system has another clock.
        """
        if is_written:
            return 0.0
        observed = now - self.since
        return observed if is_written is None else max(observed, wall - self.stamp.mtime_ns / 1e9)


def ignore_writers() -> None:
    """Let the process live on where a writer comes during the instant of a lease: the kernel says so with a signal."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def is_written(descriptor: int) -> bool | None:
    """Tell whether anybody has the open file open to write, or None where that cannot be told.

    The kernel gives a read lease (fcntl(2)) only while nobody writes, whoever that is; not for other people's files,
    and not on network file systems. There, /proc shows who on this machine does, as far as it may be looked at.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        return True if _is_in_writers_hands(os.fstat(descriptor)) else None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _is_in_writers_hands(status: os.stat_result) -> bool:
    return any(
        (opened.st_dev, opened.st_ino) == (status.st_dev, status.st_ino) and _flags(link) & _OPEN_TO_WRITE
        for link, opened in _open_files()
    )


def _open_files() -> Iterator[tuple[Path, os.stat_result]]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for link in (process / "fd").iterdir():
                with suppress(OSError):
                    yield link, link.stat()


def _flags(link: Path) -> int:
    """Return how a file was opened, from the octal number that /proc/PID/fdinfo/FD has (proc(5))."""
    with suppress(OSError):
        for line in (link.parent.with_name("fdinfo") / link.name).read_text().splitlines():
            if line.startswith("flags:"):
                return int(line.split()[1], 8)
    return 0
