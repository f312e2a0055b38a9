"""Who may write and read what: every topic of common/topics.py, at both doors of the real broker."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from system import free_ports

from common import certificates, keys, topics
from common.arrivals import Message
from common.connection import Address, verified_context
from common.errors import RefusedError, SessionError
from common.session import Session
from common.settings import Settings
from common.topics import new_image_id
from registrar import authority
from registrar.broker import Doors, run_broker
from registrar.making import create
from registrar.retained import read_retained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOW = dt.datetime.now(dt.UTC)
IMAGE_ID = new_image_id(NOW)
CLIENT_IDS = {
    "anonymous": "a" * 32 + "-enrolment",
    "alice": "b" * 32 + "-publisher",
    "bob": "c" * 32 + "-subscriber",
    "registrar": "d" * 32 + "-registrar",
}
EVERYONE = frozenset(CLIENT_IDS)
INSIDE = EVERYONE - {"anonymous"}
ALICES_IMAGE = topics.ImageTopic("alice", "site-7/gate", IMAGE_ID)

# topic, who may write it, who may read it
RULES = [
    (topics.TRUST_CA, {"registrar"}, EVERYONE),
    (topics.TRUST_REGISTRAR, {"registrar"}, EVERYONE),
    (topics.TRUST_CRL, {"registrar"}, EVERYONE),
    (topics.member("alice", "0" * 64), {"registrar"}, INSIDE),
    (topics.AUDIT_HEAD, {"registrar"}, INSIDE),
    (topics.enrolment(CLIENT_IDS["anonymous"]), {"anonymous", "registrar"}, {"registrar"}),
    (topics.enrolment("e" * 32 + "-enrolment"), {"registrar"}, {"registrar"}),
    (topics.request("members", "alice", CLIENT_IDS["alice"]), {"alice", "registrar"}, {"registrar"}),
    (topics.request("members", "alice", CLIENT_IDS["bob"]), {"registrar"}, {"registrar"}),
    (topics.request("members", "bob", CLIENT_IDS["alice"]), {"registrar"}, {"registrar"}),
    (topics.reply(CLIENT_IDS["anonymous"], "enrol"), {"registrar"}, {"anonymous", "registrar"}),
    (topics.reply(CLIENT_IDS["alice"], "store"), {"registrar"}, {"alice", "registrar"}),
    (topics.reply(CLIENT_IDS["bob"], "release"), {"registrar"}, {"bob", "registrar"}),
    (ALICES_IMAGE.image, {"alice", "registrar"}, INSIDE),
    (ALICES_IMAGE.announcement, {"registrar"}, INSIDE),
    (topics.ImageTopic("bob", "public", IMAGE_ID).image, {"bob", "registrar"}, INSIDE),
    (topics.receipt("alice", IMAGE_ID, "bob"), {"bob", "registrar"}, {"alice", "registrar"}),
    (topics.receipt("bob", IMAGE_ID, "alice"), {"alice", "registrar"}, {"bob", "registrar"}),
    (topics.presence("alice", "0" * 64), {"alice", "registrar"}, INSIDE),
    (topics.presence("bob", "0" * 64), {"bob", "registrar"}, INSIDE),
    (f"{topics.PREFIX}/elsewhere", {"registrar"}, {"registrar"}),
    ("elsewhere", set(), set()),
    ("$SYS/broker/elsewhere", set(), set()),
]


class Doorway:
    """A running broker with an authority, and the means to connect as anyone."""

    def __init__(self, home: Path, doors: Doors) -> None:
        self.home = home
        self.doors = doors
        self.authority = authority.Authority.load(home, Settings())

    def session(self, who: str, *, door: str | None = None) -> Session:
        anonymous = who == "anonymous"
        port = self.doors.enrol_port if (door or who) in {"anonymous", "enrolment"} else self.doors.port
        certificate, key = (None, None) if anonymous else self.credentials(who)
        context = verified_context(certificates.to_pem(self.authority.root), certificate, key)
        return Session(Address("localhost", port), CLIENT_IDS[who], context)

    def credentials(self, who: str) -> tuple[Path, Path]:
        if who == "registrar":
            return self.home / authority.REGISTRAR, self.home / authority.REGISTRAR_KEY
        certificate, key = self.home / f"{who}.pem", self.home / f"{who}.key"
        if not key.exists():
            made = keys.generate(2048)
            key.write_bytes(keys.to_pem(made))
            certificate.write_bytes(certificates.to_pem(self.authority.sign_member(made.public_key(), who, NOW)))
        return certificate, key


@pytest.fixture(scope="module")
def doorway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorway]:
    home = tmp_path_factory.mktemp("broker")
    create(home, hosts=[], settings=Settings(), now=NOW)
    doors = Doors("127.0.0.1", *free_ports(2))
    with run_broker(home, doors):
        yield Doorway(home, doors)


def test_the_table_names_every_kind_of_topic() -> None:
    levels = {topic.removeprefix(f"{topics.PREFIX}/").split("/")[0] for topic, _, _ in RULES}
    assert levels >= {"trust", "members", "requests", "replies", "images", "announcements", "receipts", "presence"}


@pytest.mark.parametrize("who", sorted(CLIENT_IDS))
def test_writing(doorway: Doorway, who: str) -> None:
    allowed = set()
    with doorway.session(who) as session:
        for topic, _, _ in RULES:
            with contextlib.suppress(RefusedError):
                session.publish(topic, b"x").result(60)
                allowed.add(topic)
    assert allowed == {topic for topic, writers, _ in RULES if who in writers}


def test_reading(doorway: Doorway) -> None:
    with contextlib.ExitStack() as stack:
        sessions = {who: stack.enter_context(doorway.session(who)) for who in CLIENT_IDS}
        for session in sessions.values():
            session.subscribe("#", "$SYS/broker/elsewhere")
            session.follow(topics.TRUST_CA)
        for topic, writers, _ in RULES:
            if writers and topic != topics.TRUST_CA:
                sessions["registrar"].publish(topic, b"y", correlation=b"z").result(60)
        # Everyone may read this one; what was sent before it has arrived before it.
        sessions["registrar"].publish(topics.TRUST_CA, b"end").result(60)
        for who, session in sessions.items():
            assert session.latest(topics.TRUST_CA) == b"end"
            read = {arrived.topic for arrived in drain(session)}
            # A session keeps replies to itself from its queue.
            own = topics.all_replies(session.client_id).removesuffix("#")
            own_replies = {topic for topic, _, _ in RULES if topic.startswith(own)}
            expected = {topic for topic, _, readers in RULES if who in readers} - {topics.TRUST_CA} - own_replies
            assert read == expected, who


def drain(session: Session) -> list[Message]:
    found = []
    while (arrived := session.receive(timeout=0)) is not None:
        if isinstance(arrived, Message):
            found.append(arrived)
    return found


def test_a_reply_reaches_its_client_alone(doorway: Doorway) -> None:
    with doorway.session("bob") as bob, doorway.session("alice") as alice, doorway.session("registrar") as registrar:
        for session in (bob, alice):
            session.subscribe(f"{topics.PREFIX}/replies/#")
        bob.follow(topics.reply(bob.client_id, "fetch"))
        registrar.publish(topics.reply(bob.client_id, "fetch"), b"for bob").result(60)
        assert bob.latest(topics.reply(bob.client_id, "fetch")) == b"for bob"
        alice.follow(topics.TRUST_CRL)
        registrar.publish(topics.TRUST_CRL, b"end").result(60)
        assert alice.latest(topics.TRUST_CRL) == b"end"
        assert drain(alice) == []


def test_who_connects_and_how_is_for_the_registrar_alone(doorway: Doorway) -> None:
    others = ("alice", "anonymous")
    with contextlib.ExitStack() as stack:
        sessions = {who: stack.enter_context(doorway.session(who)) for who in ("registrar", *others)}
        for session in sessions.values():
            session.subscribe(topics.BROKER_LOG, "$SYS/#")
            session.follow(topics.TRUST_CRL)
        with doorway.session("bob") as bob:
            sessions["registrar"].publish(topics.TRUST_CRL, b"end").result(60)
        for session in sessions.values():
            assert session.latest(topics.TRUST_CRL) == b"end"
        read = {who: b"".join(message.payload for message in drain(session)) for who, session in sessions.items()}
        assert bob.client_id.encode() in read["registrar"]
        assert [read[who] for who in others] == [b"", b""]


def test_the_members_door_demands_a_certificate(doorway: Doorway) -> None:
    context = verified_context(certificates.to_pem(doorway.authority.root))
    with pytest.raises(SessionError) as caught, Session(Address("localhost", doorway.doors.port), "f" * 32, context):
        pass
    assert caught.value.code in {"connection_closed", "no_tls"}


def test_a_certificate_of_another_authority_is_shut_out(doorway: Doorway, tmp_path: Path) -> None:
    create(tmp_path, hosts=[], settings=Settings(), now=NOW)
    stranger = Doorway(tmp_path, doorway.doors)
    certificate, key = stranger.credentials("alice")
    context = verified_context(certificates.to_pem(doorway.authority.root), certificate, key)
    with pytest.raises(SessionError), Session(Address("localhost", doorway.doors.port), CLIENT_IDS["alice"], context):
        pass


def test_a_revoked_certificate_is_shut_out(doorway: Doorway) -> None:
    certificate, _ = doorway.credentials("bob")
    revoked = certificates.read_certificate(certificate.read_bytes())
    with doorway.session("bob"):
        pass
    crls = doorway.authority.issue_crls([authority.Revocation(revoked, NOW)], 2, NOW)
    home = doorway.home.parent / "revoking"
    doors = Doors("127.0.0.1", *free_ports(2))
    (home / "broker").mkdir(parents=True)
    (doorway.home / "broker" / "trust").rename(home / "broker" / "trust")
    try:
        trust = replace(doorway.authority, home=home)
        trust.write_crls(crls)
        with run_broker(home, doors):
            context = verified_context(certificates.to_pem(doorway.authority.root), *doorway.credentials("bob"))
            with pytest.raises(SessionError), Session(Address("localhost", doors.port), CLIENT_IDS["bob"], context):
                pass
    finally:
        trust.write_crls(doorway.authority.issue_crls([], 3, NOW))
        (home / "broker" / "trust").rename(doorway.home / "broker" / "trust")


def test_an_older_tls_is_not_spoken(doorway: Doorway) -> None:
    context = verified_context(certificates.to_pem(doorway.authority.root))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    door = Address("localhost", doorway.doors.enrol_port)
    with pytest.raises(SessionError) as caught, Session(door, "f" * 32, context):
        pass
    assert caught.value.code == "no_tls"


def test_every_retained_message_comes_however_many_there_are(doorway: Doorway) -> None:
    announced = [topics.ImageTopic("alice", "many", new_image_id(NOW)).announcement for _ in range(3000)]
    wanted = dict.fromkeys(announced, b"NEW_IMAGE")
    with doorway.session("registrar") as registrar:
        retain_all(registrar, wanted)
    with doorway.session("registrar") as registrar:
        assert read_retained(registrar).keys() >= wanted.keys()
    with doorway.session("registrar") as registrar:
        retain_all(registrar, dict.fromkeys(wanted, b""))
        assert read_retained(registrar).keys().isdisjoint(wanted)


def retain_all(session: Session, messages: Mapping[str, bytes]) -> None:
    for outcome in [session.publish(topic, payload, retain=True) for topic, payload in messages.items()]:
        outcome.result(60)
