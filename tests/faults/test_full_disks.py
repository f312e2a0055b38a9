"""A disk that is full: at a reader, at an owner's outbox, at the registrar's archive; and then has room again."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from faults.full_disk import small_disk
from faults.installation import REGISTRAR
from system import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from faults.conftest import Sweep
    from faults.full_disk import SmallDisk

SIZE = 300_000  # bytes of an image
LITTLE = 2 * SIZE
FULL = re.compile("no space left|disk is full")  # as the system, and as SQLite, has it
SWEEPS = pytest.mark.parametrize("sweep", range(3), indirect=True)


@pytest.fixture(scope="module")
def readers_disk(module_sweep: Sweep) -> SmallDisk:
    module_sweep.bob.kill()
    disk = module_sweep.installation.small_disk("bob")
    module_sweep.bob = module_sweep.installation.make_reader("bob")
    module_sweep.installation.start(module_sweep.bob)
    return disk


@pytest.fixture(scope="module")
def owners_disk(module_sweep: Sweep) -> SmallDisk:
    return module_sweep.installation.small_disk("alice")


@pytest.fixture(scope="module")
def registrars_disk(module_sweep: Sweep) -> SmallDisk:
    installation = module_sweep.installation
    installation.registrar.kill()
    disk = installation.small_disk(REGISTRAR)
    installation.registrar = installation.make_registrar()
    installation.start(installation.registrar)
    return disk


@SWEEPS
def test_a_reader_goes_on_by_itself_when_there_is_room(sweep: Sweep, readers_disk: SmallDisk) -> None:
    said = len(sweep.bob.errors)
    readers_disk.fill(but=sweep.chance.randrange(LITTLE))
    sweep.installation.post("alice", count=3, size=SIZE)
    wait_until(lambda: FULL.search(sweep.bob.errors[said:]), "the reader says what is wrong")
    wait_until(lambda: sweep.oracle.count("carol") == len(sweep.oracle.posted), "all at the other reader")
    assert sweep.oracle.partial("bob") == []
    readers_disk.make_room()
    sweep.oracle.wait_and_judge()


@SWEEPS
def test_an_owner_is_told_and_loses_nothing(sweep: Sweep, owners_disk: SmallDisk) -> None:
    owners_disk.fill(but=sweep.chance.randrange(LITTLE))
    posting = sweep.installation.make_posting("alice", count=3, size=SIZE)
    assert posting.program.run() == 1
    assert "error: " in posting.program.errors
    assert "hint: " in posting.program.errors
    assert "Traceback" not in posting.program.errors
    owners_disk.make_room()
    sweep.installation.complete(posting)
    sweep.oracle.wait_and_judge()


@SWEEPS
def test_what_the_registrar_has_no_room_for_waits_in_the_outbox(sweep: Sweep, registrars_disk: SmallDisk) -> None:
    registrars_disk.fill(but=sweep.chance.randrange(LITTLE))
    posting = sweep.installation.make_posting("alice", count=3, size=SIZE)
    assert posting.program.run() == 1
    assert "error: " in posting.program.errors
    taken_in = {image["name"]: image["event"] for image in sweep.installation.outbox("alice")}
    assert {taken_in[image.name] for image in posting.images} <= {"stored", "waiting"}
    registrars_disk.make_room()
    sweep.installation.flush("alice")
    sweep.oracle.wait_and_judge()


def test_where_no_disk_can_be_mounted_the_test_fails_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    permission = pytest.raises(AssertionError, match=r"cannot be tested here.*Operation not permitted")
    with permission, small_disk(tmp_path, 1_000_000):
        pass
