"""A member who is revoked is out at once, with the commands that people type, on the real broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from raw_clients import watching
from system import CHELSEA, System, run, wait_until

from common import topics

if TYPE_CHECKING:
    from pathlib import Path

IMPATIENT = {"SEALCAST_REPLY_TIMEOUT": "1"}


def revoke(system: System, user: str, *options: str) -> dict[str, Any]:
    done = run("registrar", "revoke", user, *options, "--home", system.home, "--json")
    assert done.returncode == 0, done.stderr
    event: dict[str, Any] = json.loads(done.stdout)
    return event


def try_to_post(home: Path) -> str:
    """Return what keeps an identity from posting, nothing where it does post."""
    return run("publisher", "post", CHELSEA, "--home", home, environment=IMPATIENT).stderr


def fingerprint_of(home: Path) -> str:
    return str(json.loads(run("publisher", "whoami", "--home", home, "--json").stdout)["fingerprint"])


def wait_until_locked_out(home: Path) -> None:
    wait_until(lambda: "closed the connection" in try_to_post(home), "the broker has read the new list")


def test_a_revoked_user_is_out_and_the_others_go_on(system: System) -> None:
    vera, will = system.register("vera"), system.register("will")
    topic = topics.member("vera", fingerprint_of(vera))
    with watching(system) as watcher:
        assert any(message.payload for message in watcher.on(topic))
        event = revoke(system, "vera")
        assert event == {
            "event": "revoked",
            "user": "vera",
            "device": None,
            "reason": "privilege-withdrawn",
            "certificates": [fingerprint_of(vera)],
        }
        assert try_to_post(vera)
        wait_until_locked_out(vera)
        wait_until(lambda: watcher.on(topic)[-1].payload == b"", "her certificate is withdrawn")
    system.post(will, CHELSEA)
    refused = run("publisher", "post", CHELSEA, "--to", "vera", "--home", will)
    assert refused.returncode == 1
    login = system.try_to_register("vera", system.home_of("vera-2"))
    assert login.stderr.startswith("error: Login Failed\n")


def test_a_revoked_device_is_out_and_the_user_s_other_one_goes_on(system: System) -> None:
    lost, kept = system.register("xena", "xena-1"), system.register("xena", "xena-2")
    fingerprint = fingerprint_of(lost)
    assert revoke(system, "xena", "--device", fingerprint, "--reason", "key-compromise")["device"] == fingerprint
    wait_until_locked_out(lost)
    system.post(kept, CHELSEA)
    again = system.try_to_register("xena", lost)
    assert again.stderr.startswith("error: the key of this device was revoked\nhint: ")
    system.post(system.register("xena", "xena-3"), CHELSEA)


def test_who_was_on_hold_comes_back_with_the_same_device(system: System) -> None:
    zoe = system.register("zoe")
    revoke(system, "zoe", "--reason", "certificate-hold")
    wait_until_locked_out(zoe)
    refused = system.try_to_register("zoe", zoe)
    assert refused.stderr.startswith("error: Login Failed\n")
    done = run("registrar", "restore", "zoe", "--home", system.home, "--json")
    assert json.loads(done.stdout)["certificates"] == [fingerprint_of(zoe)], done.stderr
    wait_until(lambda: not try_to_post(zoe), "the broker lets her in again")
    again = run("registrar", "restore", "zoe", "--home", system.home)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("error: zoe is not revoked\nhint: ")


def test_who_was_revoked_for_good_logs_in_anew_after_a_restoration(system: System) -> None:
    abe = system.register("abe")
    revoke(system, "abe")
    wait_until_locked_out(abe)
    assert run("registrar", "restore", "abe", "--home", system.home).returncode == 0
    assert try_to_post(abe)
    system.register("abe")
    system.post(abe, CHELSEA)


def test_a_member_shuts_out_a_lost_device_then_this_one_then_all(system: System) -> None:
    lost, kept = system.register("cleo", "cleo-1"), system.register("cleo", "cleo-2")
    options = ("--device", fingerprint_of(lost), "--reason", "key-compromise")
    unasked = run("publisher", "revoke", *options, "--home", kept)
    assert (unasked.returncode, unasked.stderr.splitlines()[1]) == (1, "hint: use --yes")
    system.post(lost, CHELSEA)
    done = run("publisher", "revoke", *options, "--yes", "--home", kept, "--json")
    assert json.loads(done.stdout)["certificates"] == [fingerprint_of(lost)], done.stderr
    wait_until_locked_out(lost)
    for every in ((), ("--every-device",)):
        wait_until(lambda: not try_to_post(kept), "the other device is in")
        done = run("publisher", "revoke", "--yes", *every, "--home", kept, "--json")
        # On a busy machine the connection may be ended before the reply has come.
        assert done.returncode == 1 or json.loads(done.stdout)["certificates"] == [fingerprint_of(kept)], done.stderr
        wait_until_locked_out(kept)
        system.register("cleo", "cleo-2")


def test_a_member_shuts_out_nobody_else_s_device(system: System) -> None:
    dina, eli = system.register("dina"), system.register("eli")
    done = run("publisher", "revoke", "--device", fingerprint_of(eli), "--yes", "--home", dina)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: dina has no device with this fingerprint\n")
    system.post(eli, CHELSEA)
    both = run("publisher", "revoke", "--device", fingerprint_of(dina), "--every-device", "--home", dina)
    assert both.returncode == 2


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("nobody-there",), 1, "error: there is no user"),
        (("yuri", "--device", "0" * 64), 1, "error: yuri has no device with this fingerprint"),
        (("yuri", "--device", "0"), 2, "error: invalid value for '--device'"),
        (("yuri", "--reason", "boredom"), 2, "error: invalid value for '--reason'"),
    ],
)
def test_what_cannot_be_revoked(system: System, options: tuple[str, ...], code: int, words: str) -> None:
    if not system.home_of("yuri").exists():
        system.register("yuri")
    done = run("registrar", "revoke", *options, "--home", system.home)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(words)
    system.post(system.home_of("yuri"), CHELSEA)
