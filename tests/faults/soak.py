"""`make soak`: many images, while everything there is gets killed with -9 again and again.

Two owners post to three readers, some images to every member and some to these three alone, beside a fourth reader;
broker, registrar, owners and readers are killed at random moments and started again a little later. In the end the
oracle judges.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faults.installation import REGISTRAR, Installation, let_pass
from system import wait_until

if TYPE_CHECKING:
    from faults.installation import Posting
    from faults.programs import Program

OWNERS = ("alice", "anna")
READERS = ("bob", "carol", "dora")
STRANGER = "eve"  # a member, to whom no image for named people goes
KINDS = ("broker", REGISTRAR, "owner", "reader")
LARGEST_BATCH = 5
AHEAD = 3  # so many kills later the posts come that are made meanwhile, at most
SMALLEST, LARGEST = 2_000, 400_000  # bytes of an image
LONGEST_ABSENCE = 1.5  # seconds


@dataclass
class Soak:
    """One run of so many images and kills; ``killed`` counts the kills by kind."""

    installation: Installation
    images: int
    kills: int
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._posted: Counter[str] = Counter()
        self._owner_is_wanted = False
        self._current: dict[str, Program] = {}
        self._daemons: dict[str, Program] = {}
        self._returning: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(len(OWNERS) + len(KINDS) + len(READERS))

    def run(self) -> None:
        """Post and kill; raises AssertionError where something is wrong in the end."""
        for user in (*OWNERS, *READERS, STRANGER):
            self.installation.register(user)
        self._daemons = {user: self.installation.make_reader(user) for user in (*READERS, STRANGER)}
        self.installation.start(*self._daemons.values())
        self._daemons[REGISTRAR] = self.installation.registrar
        with self._pool:
            owners = [self._pool.submit(self._post, owner, self.images // len(OWNERS)) for owner in OWNERS]
            self._kill_all()
            for work in (*owners, *self._returning.values()):
                work.result()
        for owner in OWNERS:
            self.installation.flush(owner)
        self.installation.oracle.wait_and_judge()
        ended = [name for name, daemon in self._daemons.items() if not daemon.is_running]
        assert not ended, f"ended by themselves: {ended}"

    def _post(self, owner: str, share: int) -> None:
        while self._posted[owner] < share:
            wait_until(self._may_post, "the kills keep pace")
            largest = max(1, min(LARGEST_BATCH, self.images // self.kills))
            count = min(share - self._posted[owner], self.chance.randint(1, largest))
            size, to = self.chance.randint(SMALLEST, LARGEST), self.chance.choice([(), (), READERS])
            posting = self.installation.make_posting(owner, count=count, size=size, to=to)
            if self._run(posting) != 0:
                for again in self.installation.again(posting):
                    self._run(again)
            self._posted[owner] += count

    def _may_post(self) -> bool:
        """Tell whether the posts are not too far ahead of the kills, so that there is an owner to be killed."""
        return self._owner_is_wanted or self._share_of_posts() * self.kills < self.killed.total() + AHEAD

    def _share_of_posts(self) -> float:
        return sum(self._posted.values()) / self.images

    def _run(self, posting: Posting) -> int:
        self._current[posting.owner] = posting.program
        return posting.program.run()

    def _kill_all(self) -> None:
        """Kill, spread over all the posts, each kind as often as the others."""
        kinds = [KINDS[number % len(KINDS)] for number in range(self.kills)]
        early, last = kinds[:-AHEAD], [kind for kind in kinds[-AHEAD:] if kind != "owner"]
        early += ["owner"] * (AHEAD - len(last))  # while there are owners to be killed
        self.chance.shuffle(early)
        for number, kind in enumerate([*early, *last]):
            at = (number + self.chance.random() - 1) / self.kills
            wait_until(lambda at=at: self._share_of_posts() >= at, "posts")  # type: ignore[misc]  # a default
            let_pass(self.chance.uniform(0, 0.3))
            self._kill(kind)
            self.killed[kind] += 1

    def _kill(self, kind: str) -> None:
        if kind == "owner":
            self._owner_is_wanted = True
            wait_until(self._kill_an_owner, "an owner who is posting")
            self._owner_is_wanted = False
            return
        name = self.chance.choice(READERS) if kind == "reader" else kind
        if name in self._returning:
            self._returning[name].result()
        if kind == "broker":
            self.installation.broker.end()
        else:
            assert self._daemons[name].is_running, f"{name} has ended by itself: {self._daemons[name].errors}"
            self._daemons[name].kill()
        absence, empty = self.chance.uniform(0, LONGEST_ABSENCE), self.chance.random() < 1 / 2
        self._returning[name] = self._pool.submit(self._return, name, absence, empty=empty)

    def _kill_an_owner(self) -> bool:
        posting = [program for program in self._current.values() if program.is_running]
        if not posting:
            return False
        killed = self.chance.choice(posting)
        killed.kill()
        return killed.process.returncode == -signal.SIGKILL

    def _return(self, name: str, absence: float, *, empty: bool) -> None:
        """Start what was killed again after a while, until it stays: it ends where it finds no broker."""
        let_pass(absence)
        if name == "broker":
            self.installation.restart_broker(empty=empty)
        else:
            wait_until(self._daemons[name].start_until_ready, f"{name} once more")


def soak(folder: Path, seed: int, *, images: int, kills: int) -> str:
    """Run once in ``folder``, and return a line of figures; raises AssertionError where something is wrong."""
    began = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - moments and pictures are no secrets
    with Installation(folder, chance).running() as installation:
        one = Soak(installation, images, kills, chance)
        try:
            one.run()
        finally:
            oracle = installation.oracle
            shares = ", ".join(f"{kind} {count}" for kind, count in sorted(one.killed.items()))
            figures = (
                f"seed {seed}: {len(oracle.posted)} images, {one.killed.total()} kills ({shares}), "
                f"{sum(map(oracle.count, READERS))} saves, {oracle.missing()} missing, "
                f"{oracle.duplicates()} duplicates, {time.monotonic() - began:.0f} s"
            )
            say(figures)
    return figures


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - it is for who has started this


def main() -> int:
    """Run once for each seed, and say how many runs passed."""
    parser = argparse.ArgumentParser(description="Post while everything is killed again and again.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    options = parser.parse_args()
    failed = 0
    for seed in options.seeds:
        folder = Path(tempfile.mkdtemp(prefix=f"sealcast-soak-{seed}-"))
        try:
            soak(folder, seed, images=options.images, kills=options.kills)
        except Exception:  # noqa: BLE001 - whatever it is, the other seeds get their turn
            traceback.print_exc()
            say(f"seed {seed} failed; everything is in {folder}")
            failed += 1
        else:
            shutil.rmtree(folder)
    say(f"{len(options.seeds) - failed} passed, {failed} failed")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
