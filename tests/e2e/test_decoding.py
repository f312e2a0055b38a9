"""A hostile image, and what happens to the process that decodes it, costs a reader nothing."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pictures
import pytest
from decoding_processes import children_of, is_running
from system import CHELSEA, run, wait_until

from common.settings import MEBIBYTE

if TYPE_CHECKING:
    from pathlib import Path

    from system import System


@pytest.fixture(scope="module")
def owner(system: System) -> Path:
    return system.register("decoding-1")


@pytest.fixture(scope="module")
def reader(system: System) -> Path:
    return system.register("decoding-2")


def test_a_reader_refuses_what_exhausts_it_and_saves_the_next(
    system: System, owner: Path, reader: Path, tmp_path: Path
) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(pictures.plain("image/png", pictures.Image.new("RGB", (5_000, 5_000))))
    with system.subscriber(reader, environment={"SEALCAST_DECODING_MEMORY": str(100 * MEBIBYTE)}) as receiving:
        (large,) = system.post(owner, bomb)
        refused = receiving.wait_for("refused", image_id=large["image_id"])
        assert (refused["code"], refused["message"]) == ("not_verified", "the image could not be verified")
        (stored,) = system.post(owner, CHELSEA)
        receiving.wait_for("saved", image_id=stored["image_id"])
        assert receiving.stop() == 0
        assert "the image took more than 100 MiB" in "".join(receiving.errors)
        assert "Traceback" not in "".join(receiving.errors)
    run("subscriber", "fetch", large["image_id"], "--home", reader).check_returncode()


def test_a_reader_whose_decoding_process_is_killed_saves_what_comes(system: System, owner: Path, reader: Path) -> None:
    with system.subscriber(reader) as receiving:
        for _ in range(2):
            (stored,) = system.post(owner, CHELSEA)
            receiving.wait_for("saved", image_id=stored["image_id"])
            (process,) = children_of(receiving.process.pid)
            os.kill(process, signal.SIGKILL)
            wait_until(lambda: not children_of(receiving.process.pid), "it has ended")
        (stored,) = system.post(owner, CHELSEA)
        receiving.wait_for("saved", image_id=stored["image_id"])
        (process,) = children_of(receiving.process.pid)
        assert receiving.stop() == 0
    assert not is_running(process)
