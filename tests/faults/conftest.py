"""An installation of its own for the sweeps of each module, and chance for each sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from faults.installation import REGISTRAR, Installation, seeded
from system import wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from faults.installation import Posting
    from faults.oracle import Oracle
    from faults.programs import Program
    from faults.proxy import Proxy


@dataclass
class Sweep:
    """An installation in which alice posts, and bob and carol read all that is posted; and this sweep's chance."""

    installation: Installation
    bob: Program
    carol: Program

    @property
    def chance(self) -> random.Random:
        return self.installation.chance

    @property
    def oracle(self) -> Oracle:
        return self.installation.oracle

    def upload_unseen(self, posting: Posting, size: int) -> None:
        """Start a command, and return when its image is at the broker, which cannot hand it to the registrar."""
        link = self.links[posting.owner]
        before = link.carried["up"]
        link.delay = 0.01  # so that there is time
        posting.program.start()
        wait_until(lambda: link.carried["up"] - before > size / 10, "the beginning of the upload")
        self.links[REGISTRAR].partition()
        wait_until(lambda: link.carried["up"] - before > size, "the upload")
        link.delay = 0

    @property
    def links(self) -> dict[str, Proxy]:
        return self.installation.links


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What the module's sweeps have in common, not running yet."""
    return Installation(tmp_path_factory.mktemp("faults"), seeded(0))


@pytest.fixture(scope="module")
def module_sweep(installation: Installation) -> Iterator[Sweep]:
    with installation.running():
        for user in ("alice", "bob", "carol"):
            installation.register(user)
        sweep = Sweep(installation, installation.make_reader("bob"), installation.make_reader("carol"))
        installation.start(sweep.bob, sweep.carol)
        yield sweep


@pytest.fixture
def sweep(module_sweep: Sweep, request: pytest.FixtureRequest) -> Sweep:
    """The sweep, with the seed that the test was given as its parameter."""
    module_sweep.installation.chance = seeded(request.param)
    return module_sweep
