"""The judge finds what is wrong, each thing that it looks for; and what is right is right."""

from __future__ import annotations

import base64
import contextlib
import random
import sqlite3
from typing import TYPE_CHECKING

import pytest
from faults.oracle import INBOX, LEDGER, MARK, Oracle, Posted, draw
from system import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEDGER_TABLE = "CREATE TABLE images (owner TEXT, sha256 TEXT, path TEXT, outcome TEXT)"


@pytest.fixture
def oracle(tmp_path: Path) -> Oracle:
    """One image for bob alone, which is in its place; carol has nothing."""
    picture = tmp_path / "cat.bmp"
    posted = Posted(picture, "alice", draw(picture, 10_000, random.Random(0)), frozenset({"bob"}))  # noqa: S311 - a picture
    homes = {reader: tmp_path / "site" / reader for reader in ("bob", "carol")}
    for home in homes.values():
        (home / INBOX / "alice").mkdir(parents=True)
        write(home, LEDGER_TABLE)
    (homes["bob"] / INBOX / "alice" / "cat.bmp").write_bytes(picture.read_bytes())
    write(homes["bob"], "INSERT INTO images VALUES (?, ?, ?, ?)", "alice", posted.sha256, "/else/cat.bmp", "saved")
    return Oracle([tmp_path / "site"], [posted], homes)


def write(home: Path, statement: str, *values: str) -> None:
    with contextlib.closing(sqlite3.connect(home / LEDGER, isolation_level=None)) as ledger:
        ledger.execute(statement, values)


def inbox(oracle: Oracle, reader: str = "bob") -> Path:
    return oracle.homes[reader] / INBOX / "alice"


def content(oracle: Oracle) -> bytes:
    return oracle.posted[0].file.read_bytes()


def site(oracle: Oracle) -> Path:
    return oracle.folders[0]


def test_what_is_right_is_right(oracle: Oracle) -> None:
    oracle.wait_and_judge()
    assert (oracle.count("bob"), oracle.missing(), oracle.duplicates()) == (1, 0, 0)


WRONG: dict[str, tuple[Callable[[Oracle], object], str]] = {
    "missing": (lambda one: (inbox(one) / "cat.bmp").unlink(), "bob lacks: cat.bmp"),
    "twice": (lambda one: (inbox(one) / "cat-2.bmp").write_bytes(content(one)), "bob has once too often: cat.bmp"),
    "hidden": (
        lambda one: (inbox(one) / ".part").hardlink_to(inbox(one) / "cat.bmp"),
        "bob has once too often: cat.bmp",
    ),
    "altered": (
        lambda one: (inbox(one) / "cat.bmp").write_bytes(content(one)[:-1]),
        "bob has once too often: bytes that nobody posted",
    ),
    "somebody else's": (
        lambda one: (inbox(one, "carol") / "cat.bmp").write_bytes(content(one)),
        "carol has once too often: cat.bmp",
    ),
    "not noted": (lambda one: write(one.homes["bob"], "DELETE FROM images"), "bob lacks in the ledger: cat.bmp"),
    "noted twice": (
        lambda one: write(one.homes["bob"], "INSERT INTO images SELECT * FROM images"),
        "bob has in the ledger once too often: cat.bmp",
    ),
    "noted elsewhere": (
        lambda one: write(one.homes["bob"], "UPDATE images SET path = '/else/dog.bmp'"),
        "bob has in the ledger once too often: bytes that nobody posted ('alice', 'gone: /else/dog.bmp')",
    ),
    "image in clear": (
        lambda one: (site(one) / "log").write_bytes(b"noise" + MARK),
        "an image can be read in",
    ),
    "image in base64": (
        lambda one: (site(one) / ".hidden").write_bytes(base64.b64encode(content(one)[100:9_000])),
        "an image can be read in",
    ),
    "traceback": (
        lambda one: (site(one) / "reader.err").write_text("Traceback (most recent call last):\n"),
        "a traceback in",
    ),
    "password in clear": (
        lambda one: (site(one) / "log").write_text(f"--password {PASSWORD}\n"),
        "the password can be read in",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_found(oracle: Oracle, wrong: str) -> None:
    do_wrong, said = WRONG[wrong]
    do_wrong(oracle)
    with pytest.raises(AssertionError) as caught:
        oracle.judge()
    assert said in str(caught.value)
