"""A clock that is a day off, at an owner, a reader or the registrar, and is put right.

All clocks here are a day ahead of the machine's. So a day behind the others, there are the certificates already that
were made when the registrar was set up, and not yet those of its members.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from faults.installation import REGISTRAR, Installation, seeded
from system import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults.conftest import Sweep

    SetClock = Callable[[str, int], None]

# Every Python runs this first: with a changed clock, and the other one unchanged, time.sleep fails (faketime 0.9.10).
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"
WRONG = pytest.mark.parametrize("days", [0, 2], ids=["behind", "ahead"])
SWEEPS = pytest.mark.parametrize("sweep", range(1), indirect=True)
TOS = pytest.mark.parametrize("to", [(), ("bob",)], ids=["members", "named"])


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


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    one = Installation(tmp_path_factory.mktemp("clocks"), seeded(0))
    first = tmp_path_factory.mktemp("first")
    (first / "sitecustomize.py").write_text(SLEEP)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(first))
        for name, value in clock(1).items():
            environment.setenv(name, value)
        yield one


@pytest.fixture
def set_clock(sweep: Sweep) -> Iterator[Callable[[str, int], None]]:
    before = sweep.installation.before

    def set_clock(user: str, days: int) -> None:
        before[user] = ("env", *(f"{name}={value}" for name, value in clock(days).items()))

    yield set_clock
    before.clear()


@SWEEPS
@WRONG
@TOS
def test_an_owner_whose_clock_is_wrong_posts_when_it_is_right(
    sweep: Sweep, set_clock: SetClock, days: int, to: tuple[str, ...]
) -> None:
    installation = sweep.installation
    set_clock("alice", days)
    posting = installation.make_posting("alice", count=2, to=to)
    assert posting.program.run() == 1
    assert "this device's clock" in posting.program.errors
    installation.before.clear()
    installation.complete(posting)
    sweep.oracle.wait_and_judge()


@SWEEPS
@WRONG
@TOS
def test_a_reader_whose_clock_is_wrong_loses_nothing(
    sweep: Sweep, set_clock: SetClock, days: int, to: tuple[str, ...]
) -> None:
    installation = sweep.installation
    sweep.bob.kill()
    set_clock("bob", days)
    wrong = installation.make_reader("bob")
    wrong.start()
    wait_until(lambda: wrong.events or not wrong.is_running, "the reader whose clock is wrong")
    posting = installation.make_posting("alice", count=2, to=to)
    assert posting.program.run() == 0, posting.program.errors
    wait_until(lambda: len(wrong.events) > 1 or wrong.errors, "what the reader makes of an image")
    wrong.kill()
    sweep.bob.start()
    sweep.oracle.wait_and_judge()
    assert wrong.errors


@SWEEPS
@WRONG
@TOS
def test_a_registrar_whose_clock_is_wrong_loses_nothing(
    sweep: Sweep, set_clock: SetClock, days: int, to: tuple[str, ...]
) -> None:
    installation = sweep.installation
    installation.registrar.kill()
    set_clock(REGISTRAR, days)
    wrong = installation.make_registrar()
    installation.start(wrong)
    posting = installation.make_posting("alice", count=2, to=to)
    assert posting.program.run() == 1
    assert "hint: " in posting.program.errors
    wrong.kill()
    installation.start(installation.registrar)
    installation.complete(posting)
    sweep.oracle.wait_and_judge()
