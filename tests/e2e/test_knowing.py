"""Knowing each other with the commands that people type: verify, and who is told of a new device."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from refusals import assert_refused
from system import CHELSEA, System, run

if TYPE_CHECKING:
    from pathlib import Path

HERE = ("--channel", "knowing")  # a new member gets what other tests have posted, too


def test_a_friend_is_verified_and_a_new_device_is_told(system: System, tmp_path: Path) -> None:
    friend, home = system.register("known-friend"), system.register("known-reader")
    words = json.loads(run("subscriber", "whoami", "--home", friend, "--json").stdout)["words"].split()
    verify = ("verify", "known-friend", "--home", home)
    wrong = ["zoo"] * 11 + ["wrong"]
    assert_refused(run("subscriber", *verify, *wrong), "known-friend has no device with these words", "whoami")
    assert_refused(run("subscriber", *verify), "no terminal", "give the words that known-friend reads to you")
    assert_refused(run("subscriber", *verify, "--forget"), "is not verified", "--list")
    done = run("subscriber", *verify, *words)
    assert (done.returncode, done.stdout) == (0, f"verified   known-friend: {' '.join(words)}\n")
    listed = run("publisher", "verify", "--list", "--home", home, "--json").stdout
    assert json.loads(listed)["words"] == " ".join(words)

    system.post(friend, CHELSEA, "--to", "known-reader", *HERE)
    other = json.loads(system.try_to_register("known-friend", tmp_path / "other").stdout)
    system.post(tmp_path / "other", CHELSEA, "--to", "known-reader", *HERE)
    with system.subscriber(home, "--count", "2", *HERE) as receiving:
        assert receiving.wait_for("saved")["verified_owner"] == "verified"
        assert receiving.wait_for("device_changed")["words"] == other["words"]
        assert receiving.wait_for("saved")["verified_owner"] == "changed"
    warned = run("publisher", "post", CHELSEA, "--to", "known-friend", "--home", home)
    assert warned.returncode == 0
    assert warned.stderr.splitlines()[0].endswith(f"has a device that you have not verified: {other['words']}")

    by_fingerprint = run("subscriber", *verify, "--fingerprint", other["fingerprint"], "--json")
    assert json.loads(by_fingerprint.stdout)["words"] == [other["words"]]
    assert run("publisher", "post", CHELSEA, "--to", "known-friend", "--home", home).stderr == ""
    known = [json.loads(line) for line in run("subscriber", *verify, "--json").stdout.splitlines()]
    assert [event.get("known") for event in known] == [True, True, None]
    assert run("subscriber", *verify, "--forget").stdout == "forgotten  known-friend\n"


def test_what_is_no_way_to_verify(tmp_path: Path) -> None:
    assert_refused(run("subscriber", "verify", "--home", tmp_path), "name a user", "--help", exit_code=2)
    assert_refused(run("subscriber", "verify", "Bob", "--home", tmp_path), "'Bob'", "--help", exit_code=2)
    assert_refused(run("subscriber", "verify", "bob", "--home", tmp_path), "no identity", "register")
    assert_refused(run("subscriber", "verify", "--list", "--home", tmp_path), "no identity", "register")
