"""A command for each saved image: its arguments, its environment, its order, and what a kill or a failure changes."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import shlex
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest
from system import wait_until

from common.errors import ConfigurationError
from common.settings import Settings
from subscriber import executing as executing_module
from subscriber.executing import Command, Executor, executing
from subscriber.ledger import SAVED, Entry, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
SETTINGS = Settings(exec_seconds=30, retry_seconds=0.1)
TELLS = (
    "import json, os, sys; print(json.dumps([sys.argv[2:], dict(os.environ)]), file=open(sys.argv[1], 'a'), flush=True)"
)


def is_never_stopped() -> bool:
    return False


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path) as one:
        yield one


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """What the command that ``telling`` returns has been told, a line for each image."""
    path = tmp_path / "told"
    path.touch()
    return path


def telling(told: Path, *, then: str = "") -> Command:
    program = f"{TELLS}; {then}"
    return Command.read(shlex.join([sys.executable, "-c", program, str(told), "--quiet", "two words"]))


def save(ledger: Ledger, folder: Path, name: str = "kyle.png", *, outcome: str = SAVED) -> Entry:
    """Save a file as an image that the ledger knows."""
    entry = Entry("alice", uuid.uuid4(), "site-7/gate", outcome, NOW, folder / name, "ab" * 32, name)
    assert entry.path
    entry.path.touch()
    ledger.add(entry)
    return entry


def lines(told: Path) -> list[tuple[list[str], dict[str, str]]]:
    # The last one may be half written.
    return [tuple(json.loads(line)) for line in told.read_text().split("\n")[:-1]]


def paths(told: Path) -> list[str]:
    return [arguments[-1] for arguments, _ in lines(told)]


def test_it_is_run_for_each_image_in_turn_with_what_the_image_is(ledger: Ledger, told: Path, tmp_path: Path) -> None:
    save(ledger, tmp_path, "earlier.png")
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        first = save(ledger, tmp_path, "one.png")
        save(ledger, tmp_path, "no.png", outcome="expired")
        second = save(ledger, tmp_path, "two.png")
    (arguments, environment), _ = lines(told)
    assert arguments == ["--quiet", "two words", str(first.path)]
    assert paths(told) == [str(first.path), str(second.path)]
    assert {name: value for name, value in environment.items() if name.startswith("SEALCAST_")} == {
        "SEALCAST_IMAGE_ID": str(first.image_id),
        "SEALCAST_IMAGE_OWNER": "alice",
        "SEALCAST_IMAGE_CHANNEL": "site-7/gate",
        "SEALCAST_IMAGE_NAME": "one.png",
        "SEALCAST_IMAGE_PATH": str(first.path),
        "SEALCAST_IMAGE_SHA256": "ab" * 32,
        "SEALCAST_IMAGE_CAPTION": "",
    }


@pytest.mark.parametrize(
    "name", ["$(touch pwned).png", "`touch pwned`.png", "; touch pwned;.png", "--help.png", "a\nb.png"]
)
def test_a_hostile_name_is_one_argument_that_begins_with_a_slash(
    ledger: Ledger, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        save(ledger, tmp_path, name)
    assert [arguments for arguments, _ in lines(told)] == [["--quiet", "two words", f"{tmp_path}/{name}"]]
    assert not (tmp_path / "pwned").exists()


def test_it_gets_no_option_and_no_secret_of_ours(
    ledger: Ledger, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SEALCAST_PASSPHRASE", "SEALCAST_PASSPHRASE_FILE", "SEALCAST_CHANNEL"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("DISPLAY", ":7")
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        save(ledger, tmp_path)
    ((_, environment),) = lines(told)
    assert "secret" not in environment.values()
    assert environment["DISPLAY"] == ":7"


def test_what_a_kill_has_left_is_run_the_next_time(ledger: Ledger, told: Path, tmp_path: Path) -> None:
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        done = save(ledger, tmp_path, "done.png")
    left = save(ledger, tmp_path, "left.png")
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        pass
    assert paths(told) == [str(done.path), str(left.path)]


def test_nothing_is_left_of_a_time_without_a_command(ledger: Ledger, told: Path, tmp_path: Path) -> None:
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        pass
    save(ledger, tmp_path, "left.png")
    with executing(None, ledger, SETTINGS, is_never_stopped):
        save(ledger, tmp_path, "without.png")
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        after = save(ledger, tmp_path, "after.png")
    assert paths(told) == [str(after.path)]


def test_an_image_in_the_place_of_a_forgotten_one_is_not_passed_over(
    ledger: Ledger, told: Path, tmp_path: Path
) -> None:
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        forgotten = save(ledger, tmp_path, "forgotten.png")
        wait_until(lambda: lines(told) and ledger.next_to_execute() is None, "run")
        ledger.forget(forgotten)
        save(ledger, tmp_path, "next.png")
    assert paths(told) == [f"{tmp_path}/forgotten.png", f"{tmp_path}/next.png"]


def test_a_failure_is_said_in_a_line_and_the_next_image_has_its_turn(
    ledger: Ledger, told: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with executing(telling(told, then="sys.exit(3)"), ledger, SETTINGS, is_never_stopped):
        save(ledger, tmp_path, "one.png")
        gone = save(ledger, tmp_path, "gone.png")
        assert gone.path
        gone.path.unlink()
        save(ledger, tmp_path, "two.png")
    assert paths(told) == [f"{tmp_path}/one.png", f"{tmp_path}/two.png"]
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    failed = f"{sys.executable} has failed with exit code 3 for {tmp_path}"
    not_there = f"cannot run {sys.executable} for {gone.path}: it is not there any more"
    assert said == [f"{failed}/one.png", not_there, f"{failed}/two.png"]


def test_an_image_that_cannot_be_looked_at_holds_up_nothing(ledger: Ledger, told: Path, tmp_path: Path) -> None:
    with executing(telling(told), ledger, SETTINGS, is_never_stopped):
        # The system says neither yes nor no of such a name, as of a folder that may not be looked into.
        ledger.add(Entry("alice", uuid.uuid4(), "public", SAVED, NOW, tmp_path / ("x" * 300)))
        readable = save(ledger, tmp_path, "readable.png")
    assert paths(told) == [str(readable.path)]


def test_what_belongs_to_another_user_by_now_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_group: int, _signal: int) -> None:
        raise PermissionError

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(os, "killpg", refuse)
        monkeypatch.setattr(executing_module, "_ENDING_SECONDS", 0.01)
        executing_module._end(process)  # noqa: SLF001 - what `sudo` has started cannot be had in a test
        assert process.poll() is None


def test_what_takes_too_long_is_ended_with_all_that_it_has_started(
    ledger: Ledger, told: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sleeping = "import subprocess; subprocess.run(['sleep', '1000'])"
    settings = Settings(exec_seconds=1)
    with executing(telling(told, then=sleeping), ledger, settings, is_never_stopped):
        save(ledger, tmp_path)
    assert ["was ended after 1 s" in record.getMessage() for record in caplog.records] == [True]
    assert ledger.next_to_execute() is None


def test_a_slow_command_holds_up_nothing_and_the_rest_is_left_when_stopped(
    ledger: Ledger, told: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    stopped: list[bool] = []
    with executing(telling(told, then=f"open({str(gate)!r}).read()"), ledger, SETTINGS, lambda: bool(stopped)):
        first = save(ledger, tmp_path, "one.png")
        wait_until(lambda: lines(told), "the command runs")
        second = save(ledger, tmp_path, "two.png")
        assert ledger.next_to_execute() == first
        stopped.append(True)
        gate.write_text("on")
    assert paths(told) == [str(first.path)]
    assert ledger.next_to_execute() == second


def test_after_an_error_nothing_more_is_begun(ledger: Ledger, told: Path, tmp_path: Path) -> None:
    ledger.expect_execution(wanted=True)
    entry = save(ledger, tmp_path)
    for leaves_the_rest in (True, False):
        executor = Executor(telling(told), ledger, SETTINGS, is_never_stopped)
        executor.end()
        if leaves_the_rest:
            executor.leave_the_rest()
        executor.work()
        assert paths(told) == ([] if leaves_the_rest else [str(entry.path)])


@pytest.mark.parametrize("text", ["", "  ", "'unfinished", '"'])
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Command.read(text)


def test_a_program_that_is_not_there_is_refused_at_the_start(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "data").touch(0o600)
    for program in ("no-such-program-anywhere", str(tmp_path / "data")):
        command = Command.read(f"{program} --quiet")
        with pytest.raises(ConfigurationError) as refused, executing(command, ledger, SETTINGS, is_never_stopped):
            pytest.fail("it runs")
        assert refused.value.code == "no_program"
