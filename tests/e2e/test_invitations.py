"""Joining by invitation, and a password that is set anew: the real programs on the real broker."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from raw_clients import watching
from system import CHELSEA, KEY_SIZE, PASSWORD, System, run

from common.invitation import Invitation, read_code

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest.tmpdir import TempPathFactory

ANOTHER = "nine loud carts by dawn"


@pytest.fixture(scope="module")
def system(tmp_path_factory: TempPathFactory) -> Iterator[System]:
    """A registrar that takes only who is invited, with one member: alice."""
    one = System.create(tmp_path_factory.mktemp("inviting"), {"SEALCAST_REGISTRATION": "invitation"})
    one.start()
    join(one, "alice", invite(one))
    yield one
    one.stop()


def invite(system: System, *options: str) -> str:
    done = run("registrar", "invite", *system.doors, "--home", system.home, "--json", *options)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["invitation"])


def reset(system: System, user: str, *options: str) -> str:
    done = run("registrar", "reset", user, "--home", system.home, "--json", *options)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["code"])


def try_to_join(
    system: System, user: str, *options: str, device: str | None = None, stdin: str = f"{PASSWORD}\n"
) -> subprocess.CompletedProcess[str]:
    home = system.home_of(device or user)
    return run(
        "publisher", "register", user, "--password-stdin", "--key-size", KEY_SIZE, "--home", home, *options,
        stdin=stdin,
    )  # fmt: skip


def join(system: System, user: str, line: str) -> Path:
    done = try_to_join(system, user, "--invite", line)
    assert done.returncode == 0, done.stderr
    assert "Registration Successful" in done.stdout
    return system.home_of(user)


def assert_failed(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: Login Failed\nhint: ")


def test_a_newcomer_needs_the_line_and_nothing_else(system: System) -> None:
    line = invite(system)
    home = join(system, "dora", line)
    (stored,) = system.post(home, CHELSEA)
    assert stored["owner"] == "dora"
    assert_failed(try_to_join(system, "dan", "--invite", line))
    assert not (system.home_of("dan") / "certificate.pem").exists()


def test_a_line_that_nobody_can_join_with_is_doubted(system: System) -> None:
    done = run("registrar", "invite", "--home", system.home, "--broker", "images.example.org")
    assert (done.returncode, done.stdout.startswith("sealcast-invite:")) == (0, True)
    assert done.stderr.startswith("warning: nobody can join with this: ")
    doubtless = run("registrar", "invite", *system.doors, "--home", system.home)
    assert (doubtless.returncode, doubtless.stderr) == (0, "")


def test_who_is_not_invited_learns_no_more_than_from_a_wrong_password(system: System) -> None:
    guessed = Invitation.read(invite(system))
    strangers = Invitation(guessed.broker, guessed.port, guessed.enrol_port, guessed.pin, "0" * len(guessed.token))
    doors = (*system.doors, "--ca-fingerprint", system.fingerprint)
    answers = [
        try_to_join(system, "erin", *doors),
        try_to_join(system, "erin", "--invite", strangers.line()),
        try_to_join(system, "erin", "--invite", invite(system, "--user", "emma")),
        try_to_join(system, "alice", *doors, device="alice-2", stdin=f"{ANOTHER}\n"),
        try_to_join(system, "alice", "--invite", invite(system), device="alice-2", stdin=f"{ANOTHER}\n"),
    ]
    for answer in answers:
        assert_failed(answer)
    assert len({answer.stderr for answer in answers}) == 1


def test_of_two_devices_that_use_one_invitation_at_once_one_gets_in(system: System) -> None:
    line = invite(system)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda user: try_to_join(system, user, "--invite", line), ("gina", "gary")))
    assert sorted(one.returncode for one in done) == [0, 1]
    assert_failed(max(done, key=lambda one: one.returncode))


def test_a_bad_password_or_a_withdrawal_and_what_becomes_of_the_invitation(system: System) -> None:
    line = invite(system, "--user", "hugo")
    short = try_to_join(system, "hugo", "--invite", line, stdin="too short\n")
    assert (short.returncode, "at least 15" in short.stderr) == (1, True)
    join(system, "hugo", line)
    withdrawn = invite(system, "--user", "ines", "--expires", "1h")
    listed = run("registrar", "invitations", "--home", system.home, "--json")
    (hers,) = [one for one in map(json.loads, listed.stdout.splitlines()) if one["user"] == "ines"]
    assert Invitation.read(withdrawn).token not in listed.stdout
    for expected in (0, 1):
        done = run("registrar", "invitations", "--withdraw", hers["id"], "--home", system.home)
        assert done.returncode == expected
    assert_failed(try_to_join(system, "ines", "--invite", withdrawn))


def test_an_invitation_from_stdin_or_the_environment_is_in_no_list_of_processes(system: System) -> None:
    done = try_to_join(system, "jack", "--invite", "-", stdin=f"{invite(system)}\n{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    done = run(
        "publisher", "register", "jane", "--password-stdin", "--key-size", KEY_SIZE, "--home", system.home_of("jane"),
        stdin=f"{PASSWORD}\n", environment={"SEALCAST_INVITE": invite(system)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_does_not_agree_with_the_invitation_is_wrong_usage(system: System) -> None:
    line = invite(system)
    for more in (("--port", "1"), ("--broker", "elsewhere"), ("--code", "0" * 24)):
        done = try_to_join(system, "kate", "--invite", line, *more)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.startswith("error: invalid value: --")
    done = try_to_join(system, "kate", "--invite", line, "--ca-fingerprint", "00" * 32)
    assert (done.returncode, "certificate authority" in done.stderr) == (1, True)
    done = try_to_join(system, "kate", "--invite", line[:60])
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: this is no invitation")
    done = try_to_join(system, "kate", "--invite", line, *system.doors, "--ca-fingerprint", system.fingerprint)
    assert done.returncode == 0, done.stderr


def test_a_code_sets_a_new_password_once_and_the_old_one_holds_until_then(system: System) -> None:
    join(system, "liam", invite(system))
    doors = (*system.doors, "--ca-fingerprint", system.fingerprint)
    first, code = reset(system, "liam"), reset(system, "liam")
    assert try_to_join(system, "liam", *doors, device="liam-2").returncode == 0
    for wrong in (first, reset(system, "alice"), "0" * 24):
        done = try_to_join(system, "liam", *doors, "--code", wrong, device="liam-3", stdin=f"{ANOTHER}\n")
        assert_failed(done)
    done = try_to_join(system, "liam", *doors, "--code", "-", device="liam-3", stdin=f"{code.upper()}\n{ANOTHER}\n")
    assert (done.returncode, "Connection Successful" in done.stdout) == (0, True), done.stderr
    assert_failed(try_to_join(system, "liam", *doors, device="liam-4"))
    assert_failed(try_to_join(system, "liam", *doors, "--code", code, device="liam-4"))
    assert run("registrar", "reset", "nobody-here", "--home", system.home).returncode == 1


def test_a_locked_password_lets_nobody_in(system: System) -> None:
    join(system, "mary", invite(system))
    reset(system, "mary", "--lock")
    assert_failed(try_to_join(system, "mary", *system.doors, "--ca-fingerprint", system.fingerprint, device="mary-2"))


def test_nobody_who_reads_everything_finds_a_token(own_system: System) -> None:
    own_system.start()
    with watching(own_system) as watcher:
        line, code = invite(own_system), ""
        join(own_system, "nora", line)
        code = reset(own_system, "nora")
        done = try_to_join(own_system, "nora", "--code", code, stdin=f"{ANOTHER}\n")
        assert done.returncode == 0, done.stderr
        unused = invite(own_system)
        seen = watcher.look()
    own_system.stop()
    assert own_system.daemon is not None
    folders = (own_system.home, own_system.members)
    kept = [file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()]
    haystack = b"\n".join([*kept, *(message.payload for message in seen), "".join(own_system.daemon.errors).encode()])
    assert any("requests/enrol" in message.topic for message in seen)
    assert b"tokens" in haystack
    for secret in (Invitation.read(line).token, Invitation.read(unused).token, read_code(code), PASSWORD, ANOTHER):
        assert secret.encode() not in haystack
    assert code.encode() not in haystack


def test_the_picture_is_for_eyes_only(system: System) -> None:
    arguments = ("invite", *system.doors, "--home", system.home)
    plain, drawn = run("registrar", *arguments), run("registrar", *arguments, "--qr")
    assert plain.stdout.count("\n") == 1
    assert Invitation.read(plain.stdout).enrol_port == system.enrol_port
    assert "█" in drawn.stdout
    assert "█" not in run("registrar", *arguments, "--qr", "--json").stdout


def test_a_registrar_that_is_closed_invites_nobody(system: System) -> None:
    done = run(
        "registrar", "invite", *system.doors, "--home", system.home, environment={"SEALCAST_REGISTRATION": "closed"}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "closed" in done.stderr
