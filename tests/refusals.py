"""How a command refuses what a person gets wrong, and a registration in which anything can be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from system import PASSWORD, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from system import System

# For what does not answer, to be waited for; what does answer meanwhile, such as a broker, has time enough.
SHORT = {"SEALCAST_REPLY_TIMEOUT": "3"}


def assert_refused(done: subprocess.CompletedProcess[str], error: str, hint: str, *, exit_code: int = 1) -> None:
    """Check that a command has said what is wrong and what to do, and nothing else."""
    said = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in said] == ["error", "hint"], done.stderr
    assert error in said[0]
    assert hint in said[1]
    assert done.returncode == exit_code


def register(
    system: System, home: Path, *arguments: str | Path, user: str = "newcomer", password: str = PASSWORD, **more: str
) -> subprocess.CompletedProcess[str]:
    """Register with the right doors; ``arguments`` come after them."""
    options = ("--password-stdin", "--key-size", "2048", "--home", home)
    return run(
        "publisher", "register", user, *system.doors, *options, *arguments, stdin=password + "\n", environment=more
    )
