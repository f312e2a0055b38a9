"""Changing a password with the real command, on the real broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from raw_clients import watching
from system import CHELSEA, PASSWORD, System, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

NEW, WRONG = "eleven brown kites at noon", "nine loud carts by dawn"


def change(home: Path, old: str, new: str) -> subprocess.CompletedProcess[str]:
    return run("publisher", "password", "--password-stdin", "--home", home, "--json", stdin=f"{old}\n{new}\n")


def test_the_new_password_lets_in_the_old_one_does_not_and_devices_stay(system: System) -> None:
    home = system.register("changing")
    done = change(home, PASSWORD, NEW)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["event"], answer["user"]) == ("password_changed", "changing")
    assert system.try_to_register("changing", system.home_of("changing-2")).returncode == 1
    system.register("changing", "changing-2", password=NEW)
    system.post(home, CHELSEA)


def test_without_the_old_password_or_with_a_bad_new_one_nothing_changes(system: System) -> None:
    home = system.register("unchanged")
    done = change(home, WRONG, NEW)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the password is wrong\nhint: ")
    done = change(home, PASSWORD, "too short")
    assert (done.returncode, "at least 15" in done.stderr) == (1, True)
    done = run("publisher", "password", "--password-stdin", "--home", home, stdin=f"{PASSWORD}\n")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: the new password is empty")
    system.register("unchanged", "unchanged-2")


def test_whoever_reads_everything_finds_neither_password(own_system: System) -> None:
    own_system.start()
    home = own_system.register("secretive")
    with watching(own_system) as watcher:
        assert change(home, WRONG, NEW).returncode == 1
        assert change(home, PASSWORD, NEW).returncode == 0
        seen = watcher.look()
    own_system.stop()
    assert own_system.daemon is not None
    assert sum("/requests/password/secretive/" in message.topic for message in seen) == 2
    folders = (own_system.home, own_system.members)
    kept = [file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()]
    haystack = b"\n".join([*kept, *(message.payload for message in seen), "".join(own_system.daemon.errors).encode()])
    assert b"password-changed" in haystack
    for secret in (PASSWORD, NEW, WRONG):
        assert secret.encode() not in haystack
