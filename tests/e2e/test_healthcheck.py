"""The check that the container's engine runs: a registrar that answers, one that hangs, none at all, another's."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from system import run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from system import System


def check(system: System, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    door = ("--broker", "localhost", "--enrol-port", str(system.enrol_port))
    return run("registrar.healthcheck", *door, "--home", home or system.home)


def test_a_registrar_that_serves_is_healthy(system: System) -> None:
    done = check(system)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_check_makes_no_account(own_system: System) -> None:
    own_system.start()
    assert check(own_system).returncode == 0
    assert run("registrar", "members", "--home", own_system.home).stdout == ""


def test_a_registrar_that_hangs_is_not_healthy(own_system: System) -> None:
    own_system.start()
    assert own_system.daemon is not None
    own_system.daemon.process.send_signal(signal.SIGSTOP)
    done = check(own_system)
    own_system.daemon.process.send_signal(signal.SIGCONT)
    assert done.returncode == 1
    assert "no registrar behind it" in done.stderr


def test_without_a_broker_it_is_not_healthy(own_system: System) -> None:
    done = check(own_system)
    assert done.returncode == 1
    assert "no broker answers" in done.stderr


def test_another_registrar_is_not_the_healthy_one(system: System, own_system: System) -> None:
    done = check(system, own_system.home)
    assert done.returncode == 1
    assert "another authority" in done.stderr
