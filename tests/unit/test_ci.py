"""What `.ci/run` makes of the tests: those that failed get one more chance, alone, and nothing else does."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from system import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ONE_FAILED = "FAILED tests/e2e/test_x.py::test_y[a b] - assert 0\n=== 1 failed, 3000 passed in 700.00s (0:11:40) ==="
SET_UP = "ERROR tests/e2e/test_x.py::test_y - assert 0\n=== 3000 passed, 1 warning, 1 error in 700.00s (0:11:40) ==="
HOPELESS = {
    "no tests": "=== no tests ran in 0.10s ===",
    "nothing passed": "FAILED tests/unit/test_x.py::test_y - assert 0\n=== 1 failed in 1.00s ===",
    "a module that cannot be read": "ERROR tests/unit/test_x.py - SyntaxError\n=== 3000 passed, 1 error in 1.00s ===",
    "interrupted": f"{ONE_FAILED}\n!!! Interrupted: stopping after 1 failures !!!",
    "a worker that died": f"worker 'gw0' crashed while running 'tests/unit/test_x.py::test_y'\n{ONE_FAILED}",
    "an error of pytest's": f"INTERNALERROR> Traceback\n{ONE_FAILED}",
    "nothing said": "",
    "only passed": "=== 3000 passed in 700.00s (0:11:40) ===",
    "far too many": "".join(f"FAILED tests/unit/test_x.py::test_{one}\n" for one in range(401)) + ONE_FAILED,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout in which `make check` passes, and the tests do as they are told; what was made is noted."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(
        '#!/bin/sh\necho "$1" >> made\n[ ! -e "$1.shown" ] || cat "$1.shown"\nexit "$(cat "$1.code" || echo 0)"\n'
    )
    make.chmod(0o755)
    for target in ("check", "test", "test-again"):
        tell(tmp_path, target, 0)
    return tmp_path


def tell(folder: Path, target: str, code: int, shown: str = "") -> None:
    """Have a target show this and end with this code."""
    (folder / f"{target}.code").write_text(str(code))
    (folder / f"{target}.shown").write_text(shown + "\n")


def run(folder: Path) -> tuple[int, str, list[str]]:
    """Return the exit code, all that was shown, and what was made."""
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run(
        [folder / ".ci" / "run"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr, (folder / "made").read_text().split()


def test_what_passes_passes(folder: Path) -> None:
    tell(folder, "test", 0, "=== 3000 passed in 700.00s (0:11:40) ===")
    code, shown, made = run(folder)
    assert (code, made) == (0, ["check", "test"])
    assert "RACE" not in shown


@pytest.mark.parametrize("first", [ONE_FAILED, SET_UP])
def test_what_fails_at_first_and_passes_alone_is_named(folder: Path, first: str) -> None:
    tell(folder, "test", 2, first)
    code, shown, made = run(folder)
    assert (code, made) == (0, ["check", "test", "test-again"])
    assert "A RACE TO MEND" in shown.splitlines()[-2]
    assert shown.splitlines()[-1] == first.partition(" - ")[0]


def test_what_fails_alone_too_fails(folder: Path) -> None:
    tell(folder, "test", 2, ONE_FAILED)
    tell(folder, "test-again", 2, ONE_FAILED)
    code, shown, made = run(folder)
    assert (code, made) == (1, ["check", "test", "test-again"])
    assert shown.endswith("error: the tests have failed, alone too\n")


@pytest.mark.parametrize("why", HOPELESS)
def test_what_has_not_run_gets_no_second_chance(folder: Path, why: str) -> None:
    tell(folder, "test", 2, HOPELESS[why])
    code, shown, made = run(folder)
    assert (code, made) == (1, ["check", "test"])
    assert shown.endswith("error: the tests have failed\n")


def test_what_is_not_clean_is_not_tested(folder: Path) -> None:
    tell(folder, "check", 2)
    code, _, made = run(folder)
    assert (code != 0, made) == (True, ["check"])
