"""`registrar audit`: what it lists, that it goes on, and that a hostile administrator's changes show."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hostile_administrator import rewrite
from raw_clients import Client, member, now
from system import CHELSEA, PASSWORD, PATIENCE, Daemon, System, lines, run, wait_until

from common import certificates, messages, topics
from common.arrivals import Message
from common.signing import verify_signature
from registrar.audit_head import read_head
from registrar.authority import REGISTRAR
from registrar.authority_files import read_certificate
from registrar.database import open_current
from subscriber.witness import KEPT_HEAD

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A registrar with a member, alice, who has removed an image."""
    one = System.create(tmp_path_factory.mktemp("audit"))
    one.start()
    home = one.register("alice")
    (stored,) = one.post(home, CHELSEA)
    removed = run("publisher", "remove", stored["image_id"], "--home", home)
    assert removed.returncode == 0, removed.stderr
    yield one
    one.stop()


def audit(system: System, *options: str) -> list[dict[str, Any]]:
    done = run("registrar", "audit", "--home", system.home, "--json", *options)
    assert done.returncode == 0, done.stderr
    return lines(done)


def try_to_verify(system: System) -> subprocess.CompletedProcess[str]:
    return run("registrar", "audit", "--verify", "--home", system.home)


def change(system: System, statement: str) -> None:
    with closing(sqlite3.connect(system.home / "registrar.sqlite3", isolation_level=None)) as database:
        assert database.execute(statement).rowcount == 1


def test_what_has_happened_is_listed(system: System) -> None:
    registered, signed, removed = audit(system)[:3]
    assert [(one["ordinal"], one["user"]) for one in (registered, signed, removed)] == [
        (1, "alice"),
        (2, "alice"),
        (3, "alice"),
    ]
    assert (registered["event"], registered["details"]) == ("registered", {"invitation": None})
    assert (signed["event"], signed["details"]["occasion"]) == ("certificate-signed", "registration")
    assert (removed["event"], removed["details"]["reason"]) == ("removed", "removed")
    lines = run("registrar", "audit", "--home", system.home).stdout.splitlines()
    assert [line.split()[2:4] for line in lines[:3]] == [
        [one["event"], "alice"] for one in (registered, signed, removed)
    ]


def test_a_user_or_a_kind_can_be_asked_for(system: System) -> None:
    assert {one["event"] for one in audit(system, "--event", "removed")} == {"removed"}
    assert {one["user"] for one in audit(system, "--user", "alice")} == {"alice"}
    assert audit(system, "--user", "nobody-here") == []
    wrong = run("registrar", "audit", "--home", system.home, "--event", "nothing")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_it_goes_on_with_what_happens(system: System) -> None:
    following = Daemon("registrar", "audit", "--home", system.home, "--follow", "--user", "bob")
    try:
        system.register("bob")
        assert [following.next()["event"], following.next()["event"]] == ["registered", "certificate-signed"]
        assert following.stop() == 0
    finally:
        following.kill()


@pytest.mark.parametrize(
    ("harm", "mending", "found"),
    [
        (
            "UPDATE audit SET user_name = 'mallory' WHERE ordinal = 2",
            "UPDATE audit SET user_name = 'alice' WHERE ordinal = 2",
            "entry 2 is not the one that was written",
        ),
        (
            "UPDATE audit SET ordinal = -3 WHERE ordinal = 3",
            "UPDATE audit SET ordinal = 3 WHERE ordinal = -3",
            "entry 3 is missing",
        ),
    ],
)
def test_what_an_administrator_changes_shows(system: System, harm: str, mending: str, found: str) -> None:
    change(system, harm)
    done = try_to_verify(system)
    change(system, mending)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == f"error: the audit log was tampered with: {found}"
    assert done.stderr.splitlines()[1].startswith("hint: ")
    sound = try_to_verify(system)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert sound.stdout.startswith("verified")


@pytest.mark.parametrize("details", ["no JSON", "[]", '{"certificate":"\\u001b[2J"}'])
def test_a_listing_never_shows_what_was_not_written(system: System, details: str) -> None:
    ((before,),) = _rows(system, "SELECT details FROM audit WHERE ordinal = 2")
    change(system, f"UPDATE audit SET details = '{details}' WHERE ordinal = 2")  # noqa: S608 - made up above
    done = run("registrar", "audit", "--home", system.home)
    change(system, f"UPDATE audit SET details = '{before}' WHERE ordinal = 2")  # noqa: S608 - it was there before
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert done.stderr.startswith("error: the audit log was tampered with: entry 2 is not")


def test_failures_are_written_while_it_serves_and_at_its_end(own_system: System) -> None:
    own_system.start()
    own_system.register("alice")

    def fail() -> None:
        done = own_system.try_to_register("alice", own_system.home_of("other"), password="nine loud carts by dawn")
        assert done.returncode == 1

    def counts() -> list[int]:
        return [one["details"]["count"] for one in audit(own_system, "--event", "login-failed")]

    fail()
    wait_until(counts, "a login failure in the log")
    fail()
    assert counts() == [1]
    own_system.stop()
    assert counts() == [1, 1]


def keep_head(client: Client, system: System, file: Path) -> int:
    """Keep the head that a member sees, once it is that of the log, and return its ordinal."""
    newest = audit(system)[-1]["ordinal"]
    client.session.subscribe(topics.AUDIT_HEAD)
    while (arrived := client.session.receive(PATIENCE)) is not None:
        if isinstance(arrived, Message):
            signed = verify_signature(arrived.payload, with_image_header=False)
            certificates.check_registrar(signed.certificate, client.identity.trust, now=now())
            if messages.read(messages.AuditHead, signed.content).ordinal == newest:
                file.write_bytes(arrived.payload)
                return int(newest)
    raise AssertionError("no head of the log came")


def test_who_has_kept_a_head_sees_that_the_log_was_written_anew(own_system: System, tmp_path: Path) -> None:
    own_system.start()
    own_system.register("mallory")
    with member(own_system, "alice") as alice:
        ordinal = keep_head(alice, own_system, tmp_path / "head")
    own_system.stop()
    options = ("audit", "--home", own_system.home, "--head", tmp_path / "head")
    sound = run("registrar", *options)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert f"among them the {ordinal} of " in sound.stdout

    engine = open_current(f"sqlite:///{own_system.home / 'registrar.sqlite3'}")
    rewrite(engine, without="mallory")
    engine.dispose()
    assert try_to_verify(own_system).returncode == 0
    done = run("registrar", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the audit log was tampered with: it ends with entry 2, and the head")


def test_a_reader_says_that_the_log_was_written_anew(own_system: System, tmp_path: Path) -> None:
    own_system.start()
    home = own_system.register("alice")
    with member(own_system, "bob") as bob:
        newest = keep_head(bob, own_system, tmp_path / "head")
    with own_system.subscriber(home, environment={"SEALCAST_RETRY_SECONDS": "1"}) as subscriber:
        wait_until((home / KEPT_HEAD).exists, "a head that the reader keeps")
        own_system.stop()
        assert read_head(home / KEPT_HEAD, read_certificate(own_system.home / REGISTRAR)).ordinal == newest
        assert "written anew" not in "".join(subscriber.errors)
        engine = open_current(f"sqlite:///{own_system.home / 'registrar.sqlite3'}")
        rewrite(engine, without="nobody")
        engine.dispose()
        own_system.start()
        wait_until(lambda: "was cut or written anew" in "".join(subscriber.errors), "the reader's warning")


def test_no_password_is_in_it(system: System) -> None:
    assert audit(system)
    assert PASSWORD not in repr(_rows(system, "SELECT * FROM audit"))


def _rows(system: System, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(system.home / "registrar.sqlite3")) as database:
        return database.execute(query).fetchall()
