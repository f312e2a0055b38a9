"""A registrar killed between storing and replying, or at any other moment after a post."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.installation import catch, let_pass

if TYPE_CHECKING:
    from faults.conftest import Sweep


@pytest.mark.parametrize("sweep", range(3), indirect=True)
@pytest.mark.parametrize("to", [(), ("bob",)], ids=["members", "named"])
def test_a_registrar_killed_at_any_moment_stores_each_image_once(sweep: Sweep, to: tuple[str, ...]) -> None:
    installation = sweep.installation
    posting = installation.make_posting("alice", count=4, to=to)
    posting.program.start()
    let_pass(sweep.chance.uniform(0.2, 1))
    installation.registrar.kill()
    let_pass(sweep.chance.uniform(0, 0.5))
    installation.start(installation.registrar)
    installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(3), indirect=True)
def test_a_registrar_killed_between_storing_and_replying_stores_each_image_once(sweep: Sweep) -> None:
    installation = sweep.installation
    archive = installation.system.home / "archive"

    def count() -> int:
        return sum(1 for _ in archive.rglob("*.cms"))

    before = count()
    posting = installation.make_posting("alice")
    posting.program.start()
    catch(lambda: count() > before, "an image in the archive")
    let_pass(sweep.chance.uniform(0, 0.01))
    installation.registrar.kill()
    installation.start(installation.registrar)
    installation.complete(posting)
    sweep.oracle.wait_and_judge()
