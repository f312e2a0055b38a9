"""Clocks of programs that are days ahead of the machine's."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Every Python runs this first: with a changed clock, and the other one unchanged, time.sleep fails (faketime 0.9.10).
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"


@functools.cache
def faketime() -> str:
    """Return what has to be preloaded to change a program's clock."""
    program = shutil.which("faketime")
    assert program, "a clock that is off cannot be tested here: there is no faketime (apt-get install faketime)"
    command = [program, "-m", "-f", "+0d", "printenv", "LD_PRELOAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def clock(days: int) -> dict[str, str]:
    """Return the environment of a program whose clock is so many days ahead of the machine's."""
    # How long to wait is measured with another clock, which nobody sets.
    return {"LD_PRELOAD": faketime(), "FAKETIME": f"+{days}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@contextlib.contextmanager
def ahead(folder: Path, days: int) -> Iterator[None]:
    """Let the clocks of all programs that are started meanwhile be so many days ahead; ``folder`` is an empty one."""
    (folder / "sitecustomize.py").write_text(SLEEP)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(folder))
        for name, value in clock(days).items():
            environment.setenv(name, value)
        yield
