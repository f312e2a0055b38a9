"""A clock that is a day off, at an owner, a reader or the registrar, and is put right.

All clocks here are a day ahead of the machine's. So a day behind the others, there are the certificates already that
were made when the registrar was set up, and not yet those of its members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import clocks
import pytest
from faults.installation import REGISTRAR, Installation, seeded
from system import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults.conftest import Sweep

    SetClock = Callable[[str, int], None]

WRONG = pytest.mark.parametrize("days", [0, 2], ids=["behind", "ahead"])
SWEEPS = pytest.mark.parametrize("sweep", range(1), indirect=True)
TOS = pytest.mark.parametrize("to", [(), ("bob",)], ids=["members", "named"])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    one = Installation(tmp_path_factory.mktemp("clocks"), seeded(0))
    with clocks.ahead(tmp_path_factory.mktemp("first"), days=1):
        yield one


@pytest.fixture
def set_clock(sweep: Sweep) -> Iterator[Callable[[str, int], None]]:
    before = sweep.installation.before

    def set_clock(user: str, days: int) -> None:
        before[user] = ("env", *(f"{name}={value}" for name, value in clocks.clock(days).items()))

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
    installation.start(wrong)
    installation.post("alice", count=2, to=to)
    wrong.wait_for("NEW_IMAGE")
    wait_until(lambda: "will try again" in wrong.errors, "the reader says that its clock is wrong")
    wrong.kill()
    sweep.bob.start()
    sweep.oracle.wait_and_judge()


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
