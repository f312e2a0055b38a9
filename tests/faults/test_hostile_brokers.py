"""A broker that loses, repeats, shuffles and alters what it carries, all at once; tests/e2e has each by itself."""

from __future__ import annotations

import contextlib
import shutil
import threading
from typing import TYPE_CHECKING

import pytest
from faults.proxy import Proxy
from hostile_broker import ANNOUNCEMENTS, IMAGES, HostileBroker, carry_honestly, flip
from system import free_ports

from registrar.broker import Doors, run_broker

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from faults.conftest import Sweep

    from common.arrivals import Message

SHUFFLED = 4  # messages


class Havoc:
    """What such a broker makes of messages; what it holds back is in ``held``."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self.held: list[Message] = []

    def change(self, message: Message) -> list[Message]:
        if not message.topic.startswith((IMAGES, ANNOUNCEMENTS)):
            return [message]
        with self._lock:
            self.held.append(message)
            if len(self.held) < SHUFFLED:
                return []
            return self._spoil()

    def rest(self) -> list[Message]:
        with self._lock:
            return self._spoil()

    def _spoil(self) -> list[Message]:
        spoiled = [self._alter(message) for message in self.held for _ in range(self._chance.randint(0, 3))]
        self.held = []
        self._chance.shuffle(spoiled)
        return spoiled

    def _alter(self, message: Message) -> Message:
        return flip(message) if self._chance.random() < 1 / 4 else message


@pytest.fixture
def hostile(sweep: Sweep, tmp_path: Path) -> Iterator[HostileBroker]:
    """A broker of an attacker's between bob and everybody else."""
    home, honest = tmp_path / "attacker", sweep.links["bob"]
    shutil.copytree(sweep.installation.system.home / "broker" / "trust", home / "broker" / "trust")
    doors = Doors("127.0.0.1", *free_ports(2))
    with contextlib.ExitStack() as stack:
        stack.enter_context(run_broker(home, doors))
        attacker = stack.enter_context(HostileBroker(sweep.installation.system, doors).carrying())
        sweep.bob.kill()
        sweep.links["bob"] = stack.enter_context(Proxy(doors.port).carrying())
        reading = sweep.installation.make_reader("bob")
        sweep.installation.start(reading)
        yield attacker
        reading.kill()
        sweep.links["bob"] = honest
        sweep.bob.start()


@pytest.mark.parametrize("sweep", range(2), indirect=True)
def test_whatever_a_broker_does_each_image_is_saved_once(sweep: Sweep, hostile: HostileBroker) -> None:
    havoc = Havoc(sweep.chance)
    hostile.change = havoc.change
    for to in ((), ("bob",)):
        sweep.installation.post("alice", count=5, to=to)
    sweep.oracle.wait_and_judge()
    for message in havoc.rest() + sweep.chance.sample(hostile.seen, len(hostile.seen)):
        if message.topic.startswith((IMAGES, ANNOUNCEMENTS)):
            hostile.say(message)
    carry_honestly(hostile)
    sweep.installation.post("alice")
    sweep.oracle.wait_and_judge()
