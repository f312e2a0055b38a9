"""What a thief has with the registrar's database and archive, and without its keys."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from system import CHELSEA, PASSWORD, System

from common import keys
from common.enveloping import unwrap_key
from common.sealing import read_sealed
from common.signing import verify_signature
from registrar.authority import REGISTRAR_KEY

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = "registrar.sqlite3"
WINDOW = 16  # bytes


@dataclass(frozen=True)
class Theft:
    """Where the stolen files are, the registrar's key that stayed behind, and the ids of two images."""

    folder: Path
    registrar_key: Path
    for_members: str
    for_named: str

    @property
    def files(self) -> list[Path]:
        return [file for file in self.folder.rglob("*") if file.is_file()]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.folder / DATABASE)) as database:
            return list(database.execute(query))

    def wrapped_key(self, image_id: str) -> bytes | None:
        found = {uuid.UUID(str(one)): key for one, key in self.ask("SELECT image_id, wrapped_key FROM images")}
        key: bytes | None = found[uuid.UUID(image_id)]
        return key

    def content_key(self, image_id: str) -> bytes:
        wrapped = self.wrapped_key(image_id)
        assert wrapped is not None
        return unwrap_key(wrapped, keys.read(self.registrar_key.read_bytes()))


@pytest.fixture(scope="module")
def theft(tmp_path_factory: pytest.TempPathFactory) -> Theft:
    system = System.create(tmp_path_factory.mktemp("stolen"))
    system.start()
    owner, _ = system.register("owner"), system.register("reader")
    (for_members,) = system.post(owner, CHELSEA, "--keep-metadata")
    (for_named,) = system.post(owner, CHELSEA, "--keep-metadata", "--to", "reader")
    system.stop()
    folder = tmp_path_factory.mktemp("thief")
    shutil.copytree(system.home / "archive", folder / "archive")
    shutil.copy(system.home / DATABASE, folder)
    return Theft(folder, system.home / REGISTRAR_KEY, for_members["image_id"], for_named["image_id"])


def test_no_image_and_no_key_to_one_is_in_it(theft: Theft) -> None:
    content, content_key = CHELSEA.read_bytes(), theft.content_key(theft.for_members)
    windows = {content[start : start + WINDOW] for start in range(len(content) - WINDOW + 1)}
    assert len(theft.files) == 3
    for file in theft.files:
        stolen = file.read_bytes()
        assert content_key not in stolen, file
        assert b"PRIVATE KEY" not in stolen, file
        assert not any(stolen[start : start + WINDOW] in windows for start in range(len(stolen))), file


def test_each_guess_at_a_password_costs_argon2id(theft: Theft) -> None:
    hashes = [one for (one,) in theft.ask("SELECT password_hash FROM accounts")]
    assert len(hashes) == 2
    assert all(one.startswith("$argon2id$v=19$m=65536,t=3,p=4$") for one in hashes)
    assert len({one.split("$")[4] for one in hashes}) == len(hashes)  # each with a salt of its own
    assert not any(PASSWORD.encode() in file.read_bytes() for file in theft.files)


def test_with_the_registrars_key_what_is_for_members_opens_and_what_is_for_named_people_does_not(theft: Theft) -> None:
    assert theft.wrapped_key(theft.for_named) is None
    (file,) = theft.folder.rglob(f"*{theft.for_members}*")
    signed = read_sealed(file.read_bytes(), maximum_size=1 << 20).decrypt(theft.content_key(theft.for_members))
    assert verify_signature(signed, with_image_header=True).content == CHELSEA.read_bytes()
