"""Messages that once shut a session out for good: the registrar and the readers go on."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from raw_clients import now
from system import CHELSEA

from common import topics
from common.connection import Address, SessionOptions, verified_context
from common.session import Session
from common.topics import new_image_id
from registrar.authority import REGISTRAR, REGISTRAR_KEY
from registrar.authority import ROOT as ROOT_CERTIFICATE

if TYPE_CHECKING:
    from pathlib import Path

    from system import System

ALLOWED_BY_MQTT = {"a": "x\ufeff"}
JUNK = {0: {}, 1: ALLOWED_BY_MQTT}  # properties by QoS


def session_of(system: System, home: Path | None, client_id: str) -> Session:
    """Return a member's session at the members' door, or a stranger's at the enrolment door."""
    root = (system.home / ROOT_CERTIFICATE).read_bytes()
    if home is None:
        return Session(Address("localhost", system.enrol_port), client_id, verified_context(root))
    context = verified_context(root, home / "certificate.pem", home / "key.pem")
    return Session(Address("localhost", system.port), client_id, context)


def throw(session: Session, topic: str, qos: int, payload: bytes = b"junk") -> None:
    if qos:
        session.publish(topic, payload, user_properties=JUNK[qos]).result(60)
    else:
        session._client.publish(topic, payload, 0).wait_for_publish(60)  # noqa: SLF001 - the session itself sends no QoS 0


@pytest.mark.parametrize("qos", JUNK)
def test_a_members_junk_keeps_nobody_from_posting_or_receiving(system: System, qos: int) -> None:
    owner, reader = system.register(f"poison-{qos}-owner"), system.register(f"poison-{qos}-reader")
    with system.subscriber(reader) as receiving, session_of(system, owner, secrets.token_hex(16)) as member:
        for _ in range(5):
            throw(member, topics.ImageTopic(f"poison-{qos}-owner", "public", new_image_id(now())).image, qos)
            throw(member, f"{topics.PREFIX}/images/poison-{qos}-owner/raw/x", qos)
        (stored,) = system.post(owner, CHELSEA)
        receiving.wait_for("saved", image_id=stored["image_id"])
        assert not [line for line in receiving.errors if "lost the connection" in line]


@pytest.mark.parametrize("qos", JUNK)
def test_a_strangers_junk_keeps_nobody_from_enrolling(system: System, qos: int) -> None:
    client_id = secrets.token_hex(16)
    assert system.daemon is not None
    before = sum("lost the connection" in line for line in system.daemon.errors)
    with session_of(system, None, client_id) as stranger:
        for _ in range(5):
            throw(stranger, topics.enrolment(client_id), qos)
        system.register(f"honest-{qos}")
    assert sum("lost the connection" in line for line in system.daemon.errors) == before


def test_nothing_comes_from_the_enrolment_door_to_the_members_session(system: System) -> None:
    """A client id with a slash in it makes a topic that looks like a member's request."""
    root = (system.home / ROOT_CERTIFICATE).read_bytes()
    context = verified_context(root, system.home / REGISTRAR, system.home / REGISTRAR_KEY)
    door = Address("localhost", system.port)
    client_id = f"alice/{secrets.token_hex(16)}"
    with (
        Session(door, secrets.token_hex(16), context, SessionOptions()) as registrar,
        session_of(system, None, client_id) as stranger,
    ):
        registrar.subscribe(*map(topics.all_requests, ("members", "release", "fetch", "renew")))
        stranger.publish(topics.enrolment(client_id), b"junk").result(60)
        expected = topics.request("members", "alice", secrets.token_hex(16))
        registrar.publish(expected, b"twin").result(60)
        arrived = registrar.receive(60)
        while arrived is not None and not hasattr(arrived, "topic"):
            arrived = registrar.receive(60)
        assert getattr(arrived, "topic", None) == expected


def test_a_newcomer_gets_more_images_than_a_broker_sends_unacknowledged(system: System) -> None:
    owner = system.register("many-owner")
    stored = system.post(owner, *[CHELSEA] * 80, "--channel", "many")
    newcomer = system.register("many-newcomer")
    with system.subscriber(newcomer, "--channel", "many", "--count", "80") as receiving:
        saved = {receiving.wait_for("saved")["image_id"] for _ in range(80)}
        assert receiving.process.wait(60) == 0
    assert saved == {one["image_id"] for one in stored}
