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
from common.errors import ConfigurationError, RefusedError, SessionError
from common.signing import sign, verify_signature
from registrar import passwords
from registrar.audit_head import read_head
from registrar.auditing import Auditing

if TYPE_CHECKING:
    from pathlib import Path

    from flows.members import Owner

    from registrar.handlers import Publication

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


def published(world: World) -> messages.AuditHead:
    signed = verify_signature(world.broker.retained[topics.AUDIT_HEAD].payload, with_image_header=False)
    assert signed.certificate == world.handlers.certificate
    return messages.read(messages.AuditHead, signed.content)


@pytest.fixture
def auditing(world: World) -> Auditing:
    return Auditing(world.handlers, world.clock)


def test_the_head_is_published_signed_as_it_grows_and_once_an_hour(world: World, auditing: Auditing) -> None:
    def publish() -> messages.AuditHead:
        auditing.look(world.service.retain)
        return published(world)

    assert publish().ordinal == 0
    world.accounts.create("alice", "hash", NOW)
    grown = publish()
    assert grown == messages.AuditHead(ordinal=1, hash=world.audit.verify().hash, signed_at=NOW)
    world.clock.advance(minutes=59)
    assert publish() == grown
    world.clock.advance(minutes=1)
    assert publish() == grown.model_copy(update={"signed_at": world.clock()})


def test_a_broker_that_has_lost_the_head_gets_it_again(world: World, auditing: Auditing) -> None:
    for _ in range(2):
        auditing.look(world.service.retain)
        assert world.broker.retained.pop(topics.AUDIT_HEAD)
        auditing.look(world.service.retain)
        assert topics.AUDIT_HEAD not in world.broker.retained
        auditing.publish_again()


def test_a_head_that_could_not_be_published_is_published_later(world: World, auditing: Auditing) -> None:
    def fail(_publication: Publication) -> None:
        raise SessionError("the broker is away")

    auditing.look(fail)
    assert topics.AUDIT_HEAD not in world.broker.retained
    auditing.look(world.service.retain)
    assert published(world).ordinal == 0


def test_a_kept_head_counts_by_the_key_that_signed_it(world: World, auditing: Auditing, tmp_path: Path) -> None:
    auditing.look(world.service.retain)
    kept = tmp_path / "head"
    kept.write_bytes(world.broker.retained[topics.AUDIT_HEAD].payload)
    assert read_head(kept, world.authority.registrar[0]) == published(world)
    mallory = authorities.default().member("mallory")
    head = published(world).to_json()
    reply = messages.ListResult(images=(), mark="", complete=True).to_json()
    key, certificate = world.handlers.key, world.handlers.certificate
    for forged in (sign(head, mallory.key, mallory.certificate), sign(reply, key, certificate), head, b""):
        kept.write_bytes(forged)
        with pytest.raises(ConfigurationError) as caught:
            read_head(kept, world.authority.registrar[0])
        assert caught.value.code == "invalid_head"
    with pytest.raises(ConfigurationError) as caught:
        read_head(tmp_path / "nothing", world.authority.registrar[0])
    assert caught.value.code == "unreadable"


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
