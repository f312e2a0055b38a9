"""The decoding processes that programs have: found, held up, looked after."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.decoder import Decoder


def process_of(decoder: Decoder) -> int:
    """Return the process that is asked next."""
    return decoder._idle[-1]._process.pid  # noqa: SLF001 - nobody else has to know


def children_of(parent: int) -> list[int]:
    """Return the decoding processes of a program."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = path.joinpath("stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"common.decoding" in path.joinpath("cmdline").read_bytes():
                found.append(int(path.name))
    return found


def is_running(process: int) -> bool:
    """Tell whether a process has not ended, whether or not anybody has asked how."""
    try:
        return Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def hold(process: int) -> Iterator[None]:
    """Have a process do nothing meanwhile."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)
