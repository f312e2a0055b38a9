"""A bash on a terminal of its own, as a person has it open: what it shows is what a document may show."""

from __future__ import annotations

import os
import re
import select
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Self

from system import PASSWORD, PATIENCE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PROMPT = "\x1e"  # as PS1; no program shows this character
_ASKS_FOR_PASSWORD = re.compile(r"(Password|[Pp]assphrase.*|confirmation): \Z")


class Terminal:
    """A context manager; on leaving, what still runs in it gets a Ctrl-C and is waited for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._master, slave = os.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        self._shell = subprocess.Popen(
            # Without job control (+m) a program that is stopped and continued from outside stays in the foreground.
            ["/usr/bin/setsid", "--ctty", "/bin/bash", "--norc", "--noprofile", "--noediting", "-i", "+m"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**environment, "PS1": _PROMPT, "PS2": "", "TERM": "dumb", "LC_ALL": "C.UTF-8"},
        )
        os.close(slave)
        self._shown = b""

    def __enter__(self) -> Self:
        self._read_until(self._is_at_prompt)
        return self

    def __exit__(self, *exception: object) -> None:
        self.interrupt()
        self._shell.kill()
        self._shell.wait()
        os.close(self._master)

    def type(self, line: str) -> None:
        """Type a line; what was shown before is forgotten."""
        self._shown = b""
        os.write(self._master, f"{line}\n".encode())

    def finish(self) -> str:
        """Wait for the prompt; return what was shown before it."""
        self._read_until(self._is_at_prompt)
        return self._text()

    def expect(self, expected: re.Pattern[str]) -> str:
        """Wait until a program that goes on has shown this; return that, or after a while what there is instead."""
        self._read_until(lambda: expected.fullmatch(self._text()) is not None)
        shown, self._shown = self._text(), b""
        return shown

    def interrupt(self) -> str:
        """Press Ctrl-C; return what the program shows until it has ended."""
        os.write(self._master, b"\x03")
        return self.finish()

    def _text(self) -> str:
        return self._shown.decode(errors="replace").replace("\r\n", "\n").replace(_PROMPT, "")

    def _is_at_prompt(self) -> bool:
        return self._shown.endswith(_PROMPT.encode())

    def _read_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition() and time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.1)[0]:
                self._shown += os.read(self._master, 65536)
                if _ASKS_FOR_PASSWORD.search(self._text()):
                    os.write(self._master, f"{PASSWORD}\n".encode())
