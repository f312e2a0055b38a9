"""A backup of a registrar that serves, and a registrar made from it."""

from __future__ import annotations

import json
import shutil
import tomllib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from system import CHELSEA, System, run

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("databases",)


def images(home: Path, **options: str) -> int:
    verified = run(
        "registrar", "verify", "--home", home, "--json", *(f"--{key}={value}" for key, value in options.items())
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    return int(json.loads(verified.stdout.splitlines()[-1])["images"])


def test_a_registrar_from_a_backup_serves_the_same_members_and_images(own_system: System, tmp_path: Path) -> None:
    system = own_system
    system.start()
    alice, bob = system.register("alice"), system.register("bob")
    system.post(alice, CHELSEA)
    system.post(alice, CHELSEA, "--to", "bob")
    with system.subscriber(bob) as reader:
        for _ in range(2):
            reader.wait_for("saved")
    made = run("registrar", "backup", tmp_path / "backup", "--home", system.home, "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {"event": "backed_up", "folder": str(tmp_path / "backup"), "left_out": 0}
    later = system.post(alice, CHELSEA)[0]
    system.stop()
    shutil.rmtree(system.home)

    restored = run("registrar", "init", "--from-backup", tmp_path / "backup", "--home", system.home, "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["fingerprint"] == system.fingerprint
    assert images(system.home) == 2
    system.start()
    # Bob has a mark of the lost catalogue, and misses nothing all the same.
    new = system.post(alice, CHELSEA, "--caption", "after the fire")[0]
    with system.subscriber(bob) as reader:
        saved = reader.wait_for("saved")
    assert saved["image_id"] == new["image_id"] != later["image_id"]
    carol = system.register("carol")
    with system.subscriber(carol) as reader:
        assert {reader.wait_for("saved")["image_id"] for _ in range(2)} > {new["image_id"]}


def test_a_backup_goes_into_any_kind_of_database(own_system: System, tmp_path: Path, url: str) -> None:
    system = own_system
    system.start()
    system.post(system.register("alice"), CHELSEA)
    system.stop()
    made = run("registrar", "backup", tmp_path / "backup", "--home", system.home)
    assert made.returncode == 0, made.stderr
    options = ("--home", tmp_path / "new", "--database", url)
    restored = run("registrar", "init", "--from-backup", tmp_path / "backup", *options)
    assert restored.returncode == 0, restored.stderr
    assert images(tmp_path / "new", database=url) == 1
    whole = run("registrar", "audit", "--verify", *options)
    assert whole.returncode == 0, whole.stderr
    listed = run("registrar", "audit", "--json", *options).stdout.splitlines()
    events = [json.loads(line)["event"] for line in listed]
    assert (events[:2], events[-1]) == (["registered", "certificate-signed"], "restored-from-backup")
    # And from there once more; a number that the database gives is one that none has.
    again = run("registrar", "backup", tmp_path / "again", *options)
    assert again.returncode == 0, again.stderr
    once_more = run("registrar", "init", "--from-backup", tmp_path / "again", "--home", tmp_path / "third")
    assert once_more.returncode == 0, once_more.stderr
    assert images(tmp_path / "third") == 1
    # The database is in use now.
    fourth = ("--home", tmp_path / "fourth", "--database", url)
    for _ in range(2):
        full = run("registrar", "init", "--from-backup", tmp_path / "again", *fourth)
        assert (full.returncode, images(tmp_path / "new", database=url)) == (1, 1)
    assert (full.returncode, "error: the database is not empty" in full.stderr) == (1, True)


def test_a_restored_registrar_has_its_own_places_and_new_names(own_system: System, tmp_path: Path) -> None:
    system = own_system
    system.start()
    system.post(system.register("alice"), CHELSEA)
    system.stop()
    # The old one keeps its images elsewhere than the new one will.
    (system.home / "archive").rename(tmp_path / "old-archive")
    for command in (("verify",), ("backup", tmp_path / "backup")):
        lost = run("registrar", *command, "--home", system.home)
        assert (lost.returncode, "there is no archive in" in lost.stderr) == (1, True), lost.stderr
    (system.home / "settings.toml").write_text(f"archive = '{tmp_path / 'old-archive'}'\nreply_timeout = 60\n")
    made = run("registrar", "backup", tmp_path / "backup", "--home", system.home)
    assert made.returncode == 0, made.stderr
    new = ("--home", tmp_path / "new", "--archive", tmp_path / "new-archive", "--host", "images.example.org")
    restored = run("registrar", "init", "--from-backup", tmp_path / "backup", *new)
    assert restored.returncode == 0, restored.stderr
    settings = tomllib.loads((tmp_path / "new" / "settings.toml").read_text())
    assert settings == {"archive": str(tmp_path / "new-archive"), "reply_timeout": 60}
    assert images(tmp_path / "new") == 1
    certificate = x509.load_pem_x509_certificates((tmp_path / "new" / "broker" / "trust" / "broker.pem").read_bytes())[
        0
    ]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["images.example.org", "localhost"]


def test_who_has_stored_nothing_yet_has_nothing_to_miss(tmp_path: Path) -> None:
    home, made = tmp_path / "home", tmp_path / "made"
    assert run("registrar", "init", "--home", home).returncode == 0
    backup = run("registrar", "backup", tmp_path / "backup", "--home", home)
    assert backup.returncode == 0, backup.stderr
    assert run("registrar", "init", "--from-backup", tmp_path / "backup", "--home", made).returncode == 0
    assert (images(home), images(made)) == (0, 0)


def test_a_damaged_image_is_left_out_and_told(own_system: System, tmp_path: Path) -> None:
    system = own_system
    system.start()
    alice = system.register("alice")
    damaged, sound = (system.post(alice, CHELSEA)[0]["image_id"] for _ in range(2))
    next(system.home.glob(f"archive/*/{damaged}.cms")).write_bytes(b"damaged")
    made = run("registrar", "backup", tmp_path / "backup", "--home", system.home, "--json")
    assert made.returncode == 1
    assert [json.loads(line)["event"] for line in made.stdout.splitlines()] == ["left_out", "backed_up"]
    restored = run("registrar", "init", "--from-backup", tmp_path / "backup", "--home", tmp_path / "new", "--json")
    assert restored.returncode == 0, restored.stderr
    assert images(tmp_path / "new") == 1
    assert list((tmp_path / "new").glob(f"archive/*/{sound}.cms"))
    verified = run("registrar", "verify", "--home", system.home, "--json")
    assert verified.returncode == 1
    fault = json.loads(verified.stdout.splitlines()[0])
    assert fault == {"event": "fault", "kind": "damaged", "image_id": damaged, "owner": "alice", "mended": None}
    repaired = run("registrar", "verify", "--home", system.home, "--repair", "--json")
    assert (repaired.returncode, json.loads(repaired.stdout.splitlines()[-1])["lost"]) == (1, 1)
    assert images(system.home) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("backup", "{home}"), "is there already"),
        (("backup", "{home}/registrar.pem/x"), "cannot make the folder"),
        (("init", "--from-backup", "{home}", "--home", "{home}/new"), "holds no complete backup"),
        (("init", "--from-backup", "{home}/none", "--home", "{home}/new"), "holds no complete backup"),
        (("verify", "--backup", "{home}"), "holds no complete backup"),
        (("verify", "--archive", "{home}/unmounted"), "there is no archive in"),
        (("backup", "{home}/new", "--archive", "{home}/unmounted"), "there is no archive in"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(system: System, arguments: tuple[str, ...], words: str) -> None:
    given = [argument.format(home=system.home) for argument in arguments]
    home = () if "--home" in given else ("--home", system.home)
    refused = run("registrar", *given, *home)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "hint:" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (system.home / "new" / "authority").exists()
