"""Links that are cut, torn or slow in the middle of an image, and a reply that is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.installation import REGISTRAR, let_pass
from system import wait_until

if TYPE_CHECKING:
    from faults.conftest import Sweep
    from faults.proxy import Direction

MEGABYTE = 1_000_000
REPLY = 1_500  # bytes; less than the signed reply to `store` has
LINKS = pytest.mark.parametrize(("user", "direction"), [("alice", "up"), ("bob", "down"), ("registrar", "down")])


@pytest.mark.parametrize("sweep", range(2), indirect=True)
@LINKS
def test_a_cut_in_the_middle_of_an_image_loses_nothing(sweep: Sweep, user: str, direction: Direction) -> None:
    posting = sweep.installation.make_posting("alice", size=5 * MEGABYTE)
    link, cuts = sweep.links[user], sweep.links[user].cuts
    link.cut_after(direction, sweep.chance.randrange(5 * MEGABYTE))
    posting.program.start()
    wait_until(lambda: link.cuts > cuts, "the cut")
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(1), indirect=True)
@LINKS
def test_a_partition_in_the_middle_of_an_image_loses_nothing(sweep: Sweep, user: str, direction: Direction) -> None:
    posting = sweep.installation.make_posting("alice", size=5 * MEGABYTE)
    link = sweep.links[user]
    before, count = link.carried[direction], sweep.chance.randrange(5 * MEGABYTE)
    posting.program.start()
    wait_until(lambda: link.carried[direction] - before >= count, "a part of the image")
    link.partition()
    let_pass(sweep.chance.uniform(1, 8))
    link.heal()
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(3), indirect=True)
def test_a_lost_reply_stores_an_image_once(sweep: Sweep) -> None:
    posting = sweep.installation.make_posting("alice", size=MEGABYTE)
    sweep.upload_unseen(posting, MEGABYTE)
    link, cuts = sweep.links["alice"], sweep.links["alice"].cuts
    link.cut_after("down", sweep.chance.randrange(1, REPLY))
    sweep.links[REGISTRAR].heal()
    wait_until(lambda: link.cuts > cuts, "the cut")
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(1), indirect=True)
def test_forty_megabytes_over_a_link_that_is_cut_five_times_arrive_once(sweep: Sweep) -> None:
    posting = sweep.installation.make_posting("alice", size=40 * MEGABYTE)
    up, down = sweep.links["alice"], sweep.links["bob"]
    up_cuts, down_cuts = up.cuts, down.cuts
    up.cut_after("up", *(sweep.chance.randrange(MEGABYTE, 39 * MEGABYTE) for _ in range(5)))
    # In all less than the image: also who goes on where the link was cut meets every cut.
    down.cut_after("down", *(sweep.chance.randrange(MEGABYTE, 7 * MEGABYTE) for _ in range(5)))
    posting.program.start()
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()
    assert (up.cuts - up_cuts, down.cuts - down_cuts) == (5, 5)


@pytest.mark.parametrize("sweep", range(1), indirect=True)
def test_a_slow_reader_keeps_no_other_waiting(sweep: Sweep) -> None:
    slow, saved = sweep.links["bob"], len(sweep.oracle.posted)
    slow.delay = 1  # of each 32 KiB: minutes for all of it, had it to come that way
    sweep.installation.post("alice", count=5, size=MEGABYTE)
    wait_until(lambda: sweep.oracle.count("carol") == saved + 5, "all at the other reader")
    assert sweep.oracle.count("bob") < saved + 5
    slow.delay = 0
    sweep.oracle.wait_and_judge()
