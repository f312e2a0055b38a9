"""One of the three programs as a process that can be killed at any moment and started again; its output is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from system import PATIENCE, ROOT, clean_environment, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Program:
    """A command, and the runs that it has had; stdout and stderr of each are files in ``logs``.

    ``before`` is what the command is started with, such as what enters a namespace.
    """

    def __init__(
        self,
        name: str,
        *command: str | Path,
        logs: Path,
        environment: dict[str, str],
        before: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._command = [*before, sys.executable, "-m", *map(str, command), "--json"]
        self._logs = logs
        self._environment = clean_environment() | environment
        self._runs = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} has not been started"
        return self._process

    def start(self, stdin: str = "") -> None:
        assert not self.is_running
        self._runs += 1
        with self._output("out").open("wb") as out, self._output("err").open("wb") as err:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=out, stderr=err, cwd=ROOT, env=self._environment
            )
        assert self.process.stdin
        self.process.stdin.write(stdin.encode())
        self.process.stdin.close()

    def run(self, stdin: str = "") -> int:
        """Run to the end, and return the exit code."""
        self.start(stdin)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(PATIENCE * 2)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it with -9: nothing of it can tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end, as a service manager would."""
        self.process.terminate()
        assert self.wait() == 0, self.errors

    @property
    def events(self) -> list[dict[str, Any]]:
        """What this run has said so far, without a line that is not finished."""
        finished, _, _ = self._output("out").read_text().rpartition("\n")
        return [json.loads(line) for line in finished.splitlines()]

    @property
    def errors(self) -> str:
        """What this run has written to stderr."""
        return self._output("err").read_text(errors="replace")

    def start_until_ready(self) -> bool:
        """Start a daemon, and return whether it came to be ready and did not end before."""
        self.start()
        wait_until(lambda: not self.is_running or self.events, f"the beginning or end of {self.name}")
        return self.is_running

    def wait_for(self, name: str, count: int = 1, /, **members: object) -> None:
        """Wait until this run has said an event of this name and with these members so many times."""

        def has_said() -> bool:
            found = [event for event in self.events if event["event"] == name and members.items() <= event.items()]
            assert len(found) >= count or self.is_running, f"{self.name} has ended: {self.errors}"
            return len(found) >= count

        wait_until(has_said, f"{self.name} says {name} {count} times")

    def _output(self, kind: str) -> Path:
        return self._logs / f"{self.name}-{self._runs}.{kind}"
