"""Takes each defence of docs/threats.md out of a copy of the project, and sees that the test which shows it fails.

``make defences``, or ``make defences ATTACKS="replayed-image forged-reply"``. The last line is ``N shown, N not``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree as ET  # what it reads, our own pytest has written

from defences.threats import Attack, Removal, read_attacks, read_removals
from system import ROOT

_WORKERS = 2  # each with a copy of its own
_LONGEST_SECONDS = 600
_NOT_COPIED = (".*", "__pycache__", "dist", "demo", "pictures")


class Copy:
    """A copy of the project in which one defence after the other is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._report = folder / "report.xml"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)

    def try_without(self, attack: Attack, removal: Removal) -> str:
        """Return what is wrong with the test of an attack, or nothing where it fails without the defence."""
        file = self._folder / removal.file
        whole = file.read_text()
        if whole.count(removal.old) != 1:
            return f"{removal.file} does not have {removal.old!r} once"
        file.write_text(whole.replace(removal.old, removal.new))
        try:
            wrong = [f"{outcome}: {test}" for test in attack.shown_by if (outcome := self._try(test))]
        finally:
            file.write_text(whole)
        return ", ".join(wrong)

    def _try(self, test: str) -> str:
        """Return nothing where a test fails by its own assertions, or else what it does instead."""
        self._report.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(self._folder)}
        command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", f"--junit-xml={self._report}"]
        with tempfile.TemporaryDirectory() as temporary:
            subprocess.run(
                [*command, f"--basetemp={temporary}/tests", f"tests/{test}"],
                cwd=self._folder, env=environment, capture_output=True, timeout=_LONGEST_SECONDS, check=False,
            )  # fmt: skip
        report = ET.parse(self._report) if self._report.exists() else None  # noqa: S314 - see above
        if report is not None and report.find(".//failure") is not None:
            return ""
        if report is None or report.find(".//error") is not None:
            return "cannot be set up, without its defence or on this machine"
        return "passes without its defence"


def main() -> int:
    """Try the attacks that are named, or all."""
    parser = argparse.ArgumentParser(prog="defences")
    parser.add_argument("attacks", nargs="*", metavar="ATTACK")
    names = parser.parse_args().attacks
    removals = read_removals()
    attacks = [attack for attack in read_attacks() if not names or attack.name in names]
    if unknown := set(names) - {attack.name for attack in attacks}:
        parser.error(f"docs/threats.md does not name {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="defences-") as folder, ThreadPoolExecutor(_WORKERS) as workers:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(_WORKERS):
            copies.put(Copy(Path(folder) / str(number)))

        def attempt(attack: Attack) -> bool:
            copy = copies.get()
            try:
                wrong = copy.try_without(attack, removals[attack.name])
            finally:
                copies.put(copy)
            print(f"{attack.name:32}  {wrong or 'shown'}", flush=True)
            return not wrong

        shown = sum(workers.map(attempt, attacks))
    print(f"{shown} shown, {len(attacks) - shown} not")
    return 0 if shown == len(attacks) else 1


if __name__ == "__main__":
    sys.exit(main())
