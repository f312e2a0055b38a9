"""An account is deleted with the commands that people type, on the real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raw_clients import watching
from system import CHELSEA, PASSWORD, System, run, wait_until

from common import topics

if TYPE_CHECKING:
    import subprocess

IMPATIENT = {"SEALCAST_REPLY_TIMEOUT": "1"}
NAME = "a name that nobody else gives.jpg"


def delete(system: System, user: str) -> dict[str, Any]:
    done = run("registrar", "delete", user, "--yes", "--home", system.home, "--json")
    assert done.returncode == 0, done.stderr
    event: dict[str, Any] = json.loads(done.stdout)
    return event


def stored_files(system: System) -> set[str]:
    return {path.stem for path in (system.home / "archive").rglob("*.cms")}


def hash_of(system: System, user: str) -> bytes:
    """Return the digits of the password's hash, as they stand in the database's file."""
    files = [path for path in system.home.glob("registrar.sqlite3*") if path.suffix != ".sqlite3-shm"]
    content = b"".join(path.read_bytes() for path in files)
    return content.partition(user.encode() + b"$argon2id$v=19$m=65536,t=3,p=4$")[2][:22]


def picture(folder: Path) -> Path:
    path = folder / NAME
    path.write_bytes(CHELSEA.read_bytes())
    return path


def test_a_deleted_account_is_gone_with_its_images_and_nobody_gets_the_name(system: System, tmp_path: Path) -> None:
    leaving, staying = system.register("leaving"), system.register("staying")
    mine = [line["image_id"] for line in system.post(leaving, picture(tmp_path), CHELSEA)]
    (others,) = system.post(staying, CHELSEA)
    event = delete(system, "leaving")
    assert (event["event"], event["user"], event["images"]) == ("deleted", "leaving", 2)
    wait_until(lambda: stored_files(system).isdisjoint(mine), "its images are removed")
    assert others["image_id"] in stored_files(system)

    def announced() -> set[str]:
        with watching(system) as watcher:
            found = map(topics.parse_announcement, (one.topic for one in watcher.look() if one.payload))
            return {str(topic.image_id) for topic in found if topic}

    wait_until(lambda: announced().isdisjoint(mine), "its images are not announced any more")
    assert others["image_id"] in announced()
    refused = run("publisher", "post", CHELSEA, "--home", leaving, environment=IMPATIENT)
    assert refused.returncode == 1
    login = system.try_to_register("leaving", system.home_of("leaving-2"))
    wrong = system.try_to_register("staying", system.home_of("staying-2"), password=PASSWORD[::-1])
    assert login.stderr == wrong.stderr
    assert login.stderr.startswith("error: Login Failed\n")
    assert run("publisher", "post", CHELSEA, "--to", "leaving", "--home", staying).returncode == 1
    members = run("registrar", "members", "--home", system.home).stdout
    assert ("leaving" in members, "staying" in members) == (False, True)
    assert delete(system, "leaving") == event | {"images": 0}


def test_what_was_begun_while_nobody_served_is_done_then_and_the_database_keeps_the_name_only(
    own_system: System, tmp_path: Path
) -> None:
    own_system.start()
    (own,) = own_system.post(own_system.register("leaver"), picture(tmp_path))
    (others,) = own_system.post(own_system.register("stayer"), CHELSEA)
    own_system.stop()
    left, kept = hash_of(own_system, "leaver"), hash_of(own_system, "stayer")
    assert len(left) == len(kept) == 22
    assert delete(own_system, "leaver")["images"] == 1
    assert own["image_id"] in stored_files(own_system)
    own_system.start()
    wait_until(lambda: stored_files(own_system) == {others["image_id"]}, "its image is removed")
    own_system.stop()
    assert hash_of(own_system, "stayer") == kept
    database = (own_system.home / "registrar.sqlite3").read_bytes()
    assert [text in database for text in (kept, CHELSEA.name.encode(), b"leaver")] == [True, True, True]
    assert [text in database for text in (left, NAME.encode(), own["sha256"].encode())] == [False, False, False]


def delete_own(
    home: Path, password: str, *options: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    arguments = ("--password-stdin", "--home", home, *options)
    return run("publisher", "delete-account", *arguments, stdin=password + "\n", environment=environment)


def test_a_member_deletes_the_account_and_keeps_what_is_on_this_device(own_system: System) -> None:
    own_system.start()
    home, reader = own_system.register("going"), own_system.register("reading")
    (own,) = own_system.post(home, CHELSEA)
    with own_system.subscriber(reader, "--count", "1") as daemon:
        saved = daemon.wait_for("saved")["path"]
    before = sorted(path.name for path in home.iterdir())
    with watching(own_system) as watcher:
        wrong = delete_own(home, PASSWORD[::-1], "--yes")
        done = delete_own(home, PASSWORD, "--yes", "--json")
        seen = watcher.look()
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (1, "error: the password is wrong")
    # On a busy machine the connection may be ended before the reply has come.
    if done.returncode == 0:
        answer = json.loads(done.stdout)
        assert (answer["event"], answer["user"], answer["images"]) == ("deleted", "going", 1)
    wait_until(lambda: own["image_id"] not in stored_files(own_system), "its image is removed")

    def again() -> str:
        return delete_own(home, PASSWORD, "--yes", environment=IMPATIENT).stderr

    wait_until(lambda: "closed the connection" in again(), "it is out")
    assert sorted(path.name for path in home.iterdir()) == before
    assert Path(saved).exists()
    assert own_system.try_to_register("going", own_system.home_of("going-2")).returncode == 1
    own_system.stop()
    assert own_system.daemon is not None
    assert sum("/requests/delete/going/" in message.topic for message in seen) == 2
    log = "".join(own_system.daemon.errors).encode()
    files = [path for path in own_system.home.rglob("*") if path.is_file()]
    haystack = b"\n".join([log, *(path.read_bytes() for path in files), *(message.payload for message in seen)])
    assert b"going" in haystack
    for secret in (PASSWORD, PASSWORD[::-1]):
        assert secret.encode() not in haystack


def test_it_has_to_be_meant(system: System) -> None:
    system.register("unsure")
    done = run("registrar", "delete", "unsure", "--home", system.home)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no terminal to ask whether it is meant\nhint: use --yes\n"
    done = run("registrar", "delete", "nobody-there", "--yes", "--home", system.home)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: there is no user 'nobody-there'")
    done = delete_own(system.home_of("unsure"), PASSWORD)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no terminal to ask whether it is meant\nhint: use --yes\n"
    system.register("unsure", "unsure-2")
