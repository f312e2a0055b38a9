"""The issuing CA is rotated while everybody goes on, with the commands that people type."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import clocks
from cryptography import x509
from e2e.test_service_certificates import brokers, of_registrar, shown
from system import CHELSEA, System, run, wait_until

from common import certificates
from common.identity import CERTIFICATE
from registrar.authority import ISSUING, REGISTRAR_FORMER, ROOT_KEY

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def issuing(system: System) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((system.home / ISSUING).read_bytes())


def certificate_of(home: Path) -> x509.Certificate:
    return certificates.read_certificate((home / CERTIFICATE).read_bytes())


def rotate(system: System, *options: str | Path, code: int = 0) -> str:
    done = run("registrar", "rotate", "--home", system.home, "--json", *options)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def wait_for(system: System, new: x509.Certificate) -> None:
    wait_until(lambda: of_registrar(system).issuer == new.subject, "a registrar that signs with the new authority")
    wait_until(lambda: shown(system).issuer == new.subject, "the broker's certificate of the new authority")


def test_members_old_and_new_read_each_other_while_nothing_restarts(own_system: System, tmp_path: Path) -> None:
    system = own_system
    system.start()
    alice, bob = system.register("alice"), system.register("bob")
    running = brokers(system)
    stick = tmp_path / "stick.key"
    (system.home / ROOT_KEY).rename(stick)
    with system.subscriber(bob) as reading:
        (stored,) = system.post(alice, CHELSEA)
        assert reading.wait_for("saved")["image_id"] == stored["image_id"]
        refused = rotate(system, code=1)
        assert refused.startswith("error: the root's key is not in ")
        assert "--root-key" in refused
        rotated = json.loads(rotate(system, "--root-key", stick))
        new, old = issuing(system)
        assert (rotated["fingerprint"], rotated["trusted"]) == (certificates.fingerprint(new), 2)
        wait_for(system, new)
        logged = run("registrar", "audit", "--home", system.home, "--event", "rotated", "--json").stdout
        assert json.loads(logged)["details"]["certificate"] == rotated["fingerprint"]
        # An old member, a new one, and a reader who has been there all the time.
        (stored,) = system.post(alice, CHELSEA, "--to", "bob")
        assert reading.wait_for("saved")["image_id"] == stored["image_id"]
        carol = system.register("carol")
        assert certificate_of(carol).issuer == new.subject
        (from_carol,) = system.post(carol, CHELSEA)
        assert reading.wait_for("saved")["image_id"] == from_carol["image_id"]
    with system.subscriber(alice) as reading:
        assert reading.wait_for("saved", owner="carol")["image_id"] == from_carol["image_id"]
    with system.subscriber(carol) as reading:
        (from_bob,) = system.post(bob, CHELSEA, "--to", "carol")
        assert reading.wait_for("saved", owner="bob")["image_id"] == from_bob["image_id"]
        assert certificate_of(bob).issuer == old.subject
    assert brokers(system) == running
    assert not (system.home / ROOT_KEY).exists()
    system.stop()


def test_who_was_certified_anew_goes_on_after_the_end_of_the_old_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    # Its settings have it live long; the first one was made with others.
    system = System.create(tmp_path_factory.mktemp("rotation"), settings={"SEALCAST_ISSUING_CERTIFICATE_DAYS": "30"})
    system.start()
    alice, bob, dora = (system.register(name) for name in ("alice", "bob", "dora"))
    with system.subscriber(bob):
        pass
    rotate(system)
    new, old = issuing(system)
    wait_for(system, new)
    system.stop()

    with clocks.ahead(tmp_path_factory.mktemp("later"), days=25):
        system.start()
        with system.subscriber(bob) as reading:
            (stored,) = system.post(alice, CHELSEA)
            assert reading.wait_for("saved")["image_id"] == stored["image_id"]
            wait_until(lambda: certificate_of(bob).issuer == new.subject, "a new certificate of the reader")
        system.stop()
    assert certificate_of(alice).issuer == new.subject
    assert certificate_of(dora).issuer == old.subject

    with clocks.ahead(tmp_path_factory.mktemp("last"), days=35):
        system.start()
        with system.subscriber(bob) as reading:
            (stored,) = system.post(alice, CHELSEA, "--to", "bob")
            assert reading.wait_for("saved")["image_id"] == stored["image_id"]
            # Who was off for all that time logs in anew.
            refused = run("publisher", "post", CHELSEA, "--home", dora)
            assert refused.returncode == 1
            assert "\nhint: " in refused.stderr
            (stored,) = system.post(system.register("dora"), CHELSEA)
            assert reading.wait_for("saved", owner="dora")["image_id"] == stored["image_id"]
        system.stop()


def test_the_end_of_an_authority_is_announced_in_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    system = System.create(tmp_path_factory.mktemp("ending"), settings={"SEALCAST_ISSUING_CERTIFICATE_DAYS": "30"})
    assert run("registrar", "fingerprint", "--home", system.home).stderr == ""
    with clocks.ahead(tmp_path_factory.mktemp("later"), days=21):
        asked = run("registrar", "fingerprint", "--home", system.home)
        assert (asked.returncode, asked.stdout) == (0, f"{system.fingerprint}\n")
        assert "registrar rotate" in asked.stderr
        system.start()
        assert system.daemon is not None
        errors = system.daemon.errors
        wait_until(lambda: any("registrar rotate" in line for line in errors), "a line in the log")
        system.stop()
        rotate(system)
        assert run("registrar", "fingerprint", "--home", system.home).stderr == ""


def test_whoever_is_revoked_is_out_whichever_authority_has_certified_him(own_system: System) -> None:
    system = own_system
    system.start()
    old, kept = system.register("old"), system.register("kept")
    rotate(system)
    wait_for(system, issuing(system)[0])
    new = system.register("new")
    for home in (old, new, kept):
        system.post(home, CHELSEA)
    for user in ("old", "new"):
        assert run("registrar", "revoke", user, "--home", system.home).returncode == 0

    def is_out(home: Path) -> bool:
        done = run("publisher", "post", CHELSEA, "--home", home, environment={"SEALCAST_REPLY_TIMEOUT": "1"})
        return "closed the connection" in done.stderr

    for home in (old, new):
        wait_until(lambda home=home: is_out(home), "a broker that has read the new lists")  # type: ignore[misc]
    system.post(kept, CHELSEA)
    system.stop()


def test_a_backup_has_every_authority_and_every_certificate_of_the_registrar(
    own_system: System, tmp_path: Path
) -> None:
    system = own_system
    system.start()
    alice, bob = system.register("alice"), system.register("bob")
    system.post(alice, CHELSEA)
    rotate(system)
    before = issuing(system)
    wait_for(system, before[0])
    former = (system.home / REGISTRAR_FORMER).read_bytes()
    assert run("registrar", "backup", tmp_path / "backup", "--home", system.home).returncode == 0
    system.stop()
    shutil.rmtree(system.home)
    restored = run("registrar", "init", "--from-backup", tmp_path / "backup", "--home", system.home)
    assert restored.returncode == 0, restored.stderr
    assert (issuing(system), (system.home / REGISTRAR_FORMER).read_bytes()) == (before, former)
    system.start()
    # Both are members of the old one still.
    system.post(alice, CHELSEA, "--to", "bob")
    with system.subscriber(bob) as reading:
        for _ in range(2):
            reading.wait_for("saved", owner="alice")
    rotate(system)
    assert issuing(system)[1:] == before
    system.stop()
