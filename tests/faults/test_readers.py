"""A reader killed between saving and its ledger, before its acknowledgement, or at any other moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.installation import catch, let_pass
from faults.oracle import INBOX

if TYPE_CHECKING:
    from faults.conftest import Sweep


@pytest.mark.parametrize("sweep", range(2), indirect=True)
@pytest.mark.parametrize("to", [(), ("bob",)], ids=["members", "named"])
def test_a_reader_killed_at_any_moment_has_each_image_once(sweep: Sweep, to: tuple[str, ...]) -> None:
    posting = sweep.installation.make_posting("alice", count=6, to=to)
    posting.program.start()
    for _ in range(4):
        let_pass(sweep.chance.uniform(0, 1))
        sweep.bob.kill()
        sweep.bob.start()
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(2), indirect=True)
def test_a_reader_killed_between_saving_and_its_ledger_has_each_image_once(sweep: Sweep) -> None:
    inbox = sweep.oracle.homes["bob"] / INBOX

    def count() -> int:
        return sum(1 for _ in inbox.rglob("*.bmp*"))  # final names, and none of what is being written

    for _ in range(2):
        before = count()
        posting = sweep.installation.make_posting("alice")
        posting.program.start()
        catch(lambda before=before: count() > before, "a file in the inbox")  # type: ignore[misc]  # a default
        let_pass(sweep.chance.uniform(0, 0.005))
        sweep.bob.kill()
        sweep.bob.start()
        sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()
