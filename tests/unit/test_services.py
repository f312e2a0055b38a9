"""The systemd units: systemd understands them, and gives each little to misuse."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from system import ROOT

from tools.install_service import SERVICES

if TYPE_CHECKING:
    from pathlib import Path

UNITS = sorted((ROOT / "services").glob("*.service"))
# How much of the machine a unit leaves open, of 100, as systemd 252 counts: a user's unit cannot shut out files, and is
# counted as if it ran as root.
MOST_EXPOSED = {"sealcast-registrar.service": 20}
MOST_EXPOSED_OF_A_USER = 65
# Of a later systemd; an earlier one passes over them.
LATER = re.compile(r".*Unknown key (name )?'(RestartSteps|RestartMaxDelaySec)' in section .*, ignoring\.\n")

pytestmark = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


def is_of_a_user(unit: Path) -> bool:
    return "WantedBy=default.target" in unit.read_text()


def verify(text: str, unit: Path, folder: Path) -> str:
    """Return what systemd has to say against a unit whose program is there."""
    program = shutil.which("true")
    copy = folder / unit.name.replace("@.", "@folder.")
    copy.write_text(re.sub(r"(?m)^ExecStart=:?(\S+)", f"ExecStart={program}", text))
    command = ["systemd-analyze", *(["--user"] if is_of_a_user(unit) else []), "verify", "--man=no", str(copy)]
    environment = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    said = LATER.sub("", done.stdout + done.stderr)
    return said or ("" if done.returncode == 0 else f"exit code {done.returncode}")


def is_little_exposed(text: str, unit: Path, folder: Path) -> bool:
    copy = folder / unit.name.replace("@.", "@folder.")
    copy.write_text(text)
    most = MOST_EXPOSED.get(unit.name, MOST_EXPOSED_OF_A_USER)
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={most}", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Overall exposure level" in done.stdout, done.stderr
    return done.returncode == 0


def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    assert verify(text, unit, tmp_path) == ""
    assert "NoNewPrivilegs" in verify(text.replace("NoNewPrivileges", "NoNewPrivilegs"), unit, tmp_path)


def test_it_leaves_little_open(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    assert is_little_exposed(text, unit, tmp_path)
    assert not is_little_exposed(text.replace("SystemCallFilter=", "#"), unit, tmp_path)


def test_it_runs_what_is_installed_and_tries_again_unless_that_is_in_vain(unit: Path) -> None:
    assert unit.name in {service.unit for service in SERVICES.values()}
    text = unit.read_text()
    command = re.search(r"(?m)^ExecStart=:?(%h/\.local|/usr/local)/bin/(\w+) (\w+)", text)
    assert command
    assert (command[1] == "%h/.local") == is_of_a_user(unit)
    assert {"Type=notify", "Restart=on-failure", "RestartPreventExitStatus=2", "UMask=0077"} <= set(text.splitlines())
