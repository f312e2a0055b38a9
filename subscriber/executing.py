"""Runs a command of the reader's for each image that is saved: one after the other, in the order of the ledger.

The ledger notes after each up to which image that was done. So none is passed over where this program is killed; the
command that ran just then, alone, may run twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from common.errors import ConfigurationError, SealcastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from common.settings import Settings
    from subscriber.ledger import Entry, Ledger

# Not the names of options, which a program of ours that the command starts would take for its own.
VARIABLE = "SEALCAST_IMAGE_"
_STDERR = 2  # stdout is for what this program says
_LOOK_SECONDS = 0.5
_ENDING_SECONDS = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """A program and the arguments that come before the path of an image."""

    words: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the command that ``text`` is, split as a shell would; raises ConfigurationError."""
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ConfigurationError(
                f"{text!r} cannot be a command: {str(error).lower()}", hint="quote it as in a shell"
            ) from error
        if not words:
            raise ConfigurationError("the command is empty", hint="name a program, and what comes before the image")
        return cls(tuple(words))

    def find(self) -> Self:
        """Return it with the full path of its program; raises ConfigurationError, code ``no_program``."""
        program = shutil.which(os.path.expanduser(self.words[0]))  # noqa: PTH111 - a name without a folder is no path
        if program is None:
            raise ConfigurationError(
                f"there is no program {self.words[0]!r} to run for each image",
                hint="give the path of one that you may run; for more than one command, write a script",
                code="no_program",
            )
        return type(self)((str(Path(program).absolute()), *self.words[1:]))


@contextlib.contextmanager
def executing(
    command: Command | None, ledger: Ledger, settings: Settings, is_stopped: Callable[[], bool]
) -> Iterator[None]:
    """Run ``command`` beside what happens inside, for every image that is saved meanwhile, or was left by a kill.

    On leaving, what is due is run first; once ``is_stopped``, or where an error is raised inside, only the command that
    runs already is waited for, and the rest is left for the next time. Without a command nothing is due any more.
    Raises ConfigurationError where there is no such program.
    """
    found = command.find() if command else None
    ledger.expect_execution(wanted=found is not None)
    if found is None:
        yield
        return
    executor = Executor(found, ledger, settings, is_stopped)
    thread = threading.Thread(target=executor.work, name="exec", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        executor.leave_the_rest()
        raise
    finally:
        executor.end()
        thread.join()


class Executor:
    """Runs the command for what the ledger says is due; the ledger is the queue, so this keeps nothing in memory."""

    def __init__(self, command: Command, ledger: Ledger, settings: Settings, is_stopped: Callable[[], bool]) -> None:
        self._command = command
        self._ledger = ledger
        self._seconds = settings.exec_seconds
        self._retry_seconds = settings.retry_seconds
        self._is_stopped = is_stopped
        self._ended = threading.Event()
        self._is_left = False

    def end(self) -> None:
        """Have ``work`` return once nothing is due."""
        self._ended.set()

    def leave_the_rest(self) -> None:
        """Have ``work`` begin nothing any more."""
        self._is_left = True

    def work(self) -> None:
        """Run the command for each image that is due, until that is over."""
        while not self._is_over:
            # Asked first: what is saved before the end is found by then.
            has_ended = self._ended.is_set()
            try:
                entry = self._ledger.next_to_execute()
            except SealcastError as error:
                _log.warning("cannot see what is saved, will try again: %s", error.message)
                entry = None
            if entry is not None:
                self._run(entry)
                self._note(entry)
            elif has_ended:
                return
            else:
                self._ended.wait(_LOOK_SECONDS)

    @property
    def _is_over(self) -> bool:
        return self._is_left or self._is_stopped()

    def _run(self, entry: Entry) -> None:
        """Run the command for one image, and say where it fails: that is the command's affair, and not tried again."""
        if not entry.is_here:
            _log.warning("cannot run %s for %s: it is not there any more", self._command.words[0], entry.path)
            return
        try:
            process = subprocess.Popen(  # noqa: S603 - what the user wants to be run, never through a shell
                [*self._command.words, str(entry.path)],
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                env=_environment(entry),
                start_new_session=True,  # a Ctrl-C in the terminal is for this program
            )
        except (OSError, ValueError) as error:
            _log.warning("cannot run %s for %s: %s", self._command.words[0], entry.path, str(error).lower())
            return
        try:
            code = process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            _log.warning("%s was ended after %d s for %s", self._command.words[0], self._seconds, entry.path)
            return
        if code != 0:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            _log.warning("%s has failed with %s for %s", self._command.words[0], how, entry.path)

    def _note(self, entry: Entry) -> None:
        """Note that an image is done; until that succeeds nothing else is begun, or this would be done again."""
        while True:
            try:
                self._ledger.note_executed(entry)
            except SealcastError as error:
                _log.warning("cannot note what was run, will try again: %s", error.message)
                if self._is_over or self._ended.wait(self._retry_seconds):
                    self._is_left = True
                    return
            else:
                return


def _environment(entry: Entry) -> dict[str, str]:
    """Return what the command may know: nothing of this program's options and secrets, and what the image is."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SEALCAST_")}
    image = {
        "ID": str(entry.image_id),
        "OWNER": entry.owner,
        "CHANNEL": entry.channel,
        "NAME": entry.name or "",
        "PATH": str(entry.path),
        "SHA256": entry.sha256 or "",
        "CAPTION": (entry.header and entry.header.caption) or "",
    }
    return ours | {VARIABLE + name: value for name, value in image.items()}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started in its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        # What has become another user's cannot be ended, such as what sudo has started.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING_SECONDS)
