"""An owner killed before the broker's acknowledgement, after it, or at any other moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.installation import let_pass
from system import wait_until

if TYPE_CHECKING:
    from faults.conftest import Sweep

SIZE = 1_000_000  # bytes; an upload that one can be killed in


@pytest.mark.parametrize("sweep", range(3), indirect=True)
@pytest.mark.parametrize("to", [(), ("bob",)], ids=["members", "named"])
def test_an_owner_killed_at_any_moment_posts_each_image_once(sweep: Sweep, to: tuple[str, ...]) -> None:
    posting = sweep.installation.make_posting("alice", count=4, to=to)
    posting.program.start()
    let_pass(sweep.chance.uniform(0.2, 1.2))
    posting.program.kill()
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(2), indirect=True)
def test_an_owner_killed_in_an_upload_posts_each_image_once(sweep: Sweep) -> None:
    posting = sweep.installation.make_posting("alice", size=SIZE)
    link = sweep.links["alice"]
    link.delay = 0.002
    sent, moment = link.carried["up"], sweep.chance.randrange(20_000, SIZE)
    posting.program.start()
    wait_until(lambda: link.carried["up"] - sent >= moment, "a part of the upload")
    posting.program.kill()
    link.delay = 0
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(2), indirect=True)
def test_an_owner_killed_before_its_acknowledgement_posts_each_image_once(sweep: Sweep) -> None:
    posting = sweep.installation.make_posting("alice", size=SIZE)
    link = sweep.links["alice"]
    cuts = link.cuts
    link.cut_after("up", SIZE + 10_000)  # all of it, and the handshakes before it
    posting.program.start()
    wait_until(lambda: link.cuts > cuts, "the cut")
    posting.program.kill()
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()
