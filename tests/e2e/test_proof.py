"""Proofs with the commands that people type: one is made, handed over, and explained."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from refusals import assert_refused
from system import CHELSEA, System, run

from subscriber.ledger import LEDGER

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def reader(system: System) -> Path:
    """Return the folder of a reader who has saved an image."""
    owner, home = system.register("proof-owner"), system.register("proof-reader")
    # On a channel of their own: a new member gets what other tests have posted, too.
    system.post(owner, CHELSEA, "--to", "proof-reader", "--caption", "a cat", "--channel", "proofs")
    with system.subscriber(home, "--channel", "proofs", "--count", "1") as receiving:
        receiving.wait_for("saved", owner="proof-owner")
        assert receiving.process.wait(60) == 0
    return home


def test_a_proof_is_fetched_handed_over_and_explained(system: System, reader: Path, tmp_path: Path) -> None:
    saved = reader / "inbox" / "proof-owner" / "chelsea.jpg"
    with sqlite3.connect(reader / LEDGER) as ledger:
        ledger.execute("DELETE FROM signatures")  # as an earlier version would have saved it
    ledger.close()
    unreachable = run("subscriber", "proof", saved, "--home", reader, "--port", "1")
    assert_refused(unreachable, "", "the archive is needed")
    made = run("subscriber", "proof", saved, "--home", reader, "--output", tmp_path / "given", "--json")
    assert made.returncode == 0, made.stderr
    # Now it is kept, and nobody is asked.
    again = run("subscriber", "proof", json.loads(made.stdout)["image_id"], "--home", reader, "--port", "1", "--json")
    assert json.loads(again.stdout)["signature"] == f"{saved}.p7s"

    given = tmp_path / "given" / "chelsea.jpg"
    pin = ("--ca-fingerprint", system.fingerprint)
    for whose in ((*pin, "--home", tmp_path), ("--home", reader)):
        explained = run("subscriber", "verify-proof", given, *whose, "--json")
        assert explained.returncode == 0, explained.stderr
        said = json.loads(explained.stdout)
        assert (said["valid"], said["owner"], said["header"]["caption"]) == (True, "proof-owner", "a cat")
    assert_refused(run("subscriber", "verify-proof", given, "--home", tmp_path), "anybody can make", "--ca-fingerprint")
    other = run("subscriber", "verify-proof", given, "--ca-fingerprint", "ab" * 32, "--home", tmp_path)
    assert_refused(other, "is not the pinned one", "registrar fingerprint")
    given.write_bytes(CHELSEA.read_bytes())
    assert_refused(
        run("subscriber", "verify-proof", given, *pin, "--home", tmp_path), "not the signature of this file", ""
    )


def test_what_cannot_be_proved(reader: Path, tmp_path: Path) -> None:
    home = ("--home", reader)
    assert_refused(run("subscriber", "proof", CHELSEA, *home), "no image was saved here", "subscriber list")
    assert_refused(run("subscriber", "verify-proof", CHELSEA, *home), "chelsea.jpg.p7s", "subscriber proof")
    assert_refused(
        run("subscriber", "verify-proof", tmp_path, *home), "is a directory", "the image that the proof is for"
    )
    assert_refused(run("subscriber", "proof", CHELSEA, "--home", tmp_path), "no identity", "register")
