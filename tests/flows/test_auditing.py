"""What members do, and what strangers try, as the audit log has it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import authorities
import pytest
from authorities import NOW
from flows.world import World
from pydantic import SecretStr

from common import certificates, messages, topics
from common.errors import RefusedError
from registrar import passwords

if TYPE_CHECKING:
    from pathlib import Path

    from flows.members import Owner

PASSWORD, ANOTHER = "seven quiet boats at dusk", "nine loud carts by dawn"


def entries(world: World, event: str) -> list[tuple[str | None, dict[str, Any]]]:
    world.audit.verify()
    return [(entry.user, json.loads(entry.details)) for entry in world.audit.entries() if entry.event == event]


def execute(world: World, statement: str) -> None:
    with closing(sqlite3.connect(world.folder / "registrar" / "registrar.sqlite3", isolation_level=None)) as database:
        database.execute(statement)


def enrol(world: World, user: str, password: str) -> None:
    request = messages.EnrolRequest(
        topic="any",
        sent_at=NOW,
        user=user,
        password=SecretStr(password),
        token=None,
        csr=certificates.make_csr(authorities.new_key(), user),
    )
    world.handlers.enrol(world.handlers.examine(request, now=NOW), now=NOW)


def test_a_release_says_who_got_which_keys(world: World, alice: Owner) -> None:
    bob = world.owner("bob")
    image_id = alice.post().header.image_id
    nowhere = topics.new_image_id(NOW)
    assert bob.registrar.release([nowhere]).keys == ()
    assert len(bob.registrar.release([image_id, nowhere]).keys) == 1
    details = {
        "certificate": certificates.fingerprint(bob.identity.certificate),
        "image_ids": [str(image_id)],
    }
    assert entries(world, "released") == [("bob", details)]


def test_no_key_leaves_that_the_log_does_not_tell_of(world: World, alice: Owner) -> None:
    bob = world.owner("bob")
    image_id = alice.post().header.image_id
    execute(world, "ALTER TABLE audit_head RENAME TO moved_away")
    with pytest.raises(RefusedError) as caught:
        bob.registrar.release([image_id])
    assert caught.value.code == "unavailable"
    execute(world, "ALTER TABLE moved_away RENAME TO audit_head")
    assert len(bob.registrar.release([image_id]).keys) == 1
    assert len(entries(world, "released")) == 1


def test_login_failures_are_summed_up_and_name_accounts_only(tmp_path: Path) -> None:
    with World(tmp_path, registration="invitation") as world:
        world.accounts.create("alice", passwords.hash_password(PASSWORD), NOW)
        for user in ("alice", "alice", "a-password-typed-here"):
            with pytest.raises(RefusedError):
                enrol(world, user, ANOTHER)
        enrol(world, "alice", PASSWORD)
        world.audit.login_failures.write(NOW)
        failures = {user: details["count"] for user, details in entries(world, "login-failed")}
        assert failures == {"alice": 2, None: 1}
        assert [user for user, _ in entries(world, "certificate-signed")] == ["alice"]
