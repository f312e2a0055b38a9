"""A revoked member who does not go by itself: connected with a client of its own making, publishing in a loop."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from raw_clients import CHELSEA, logged, watching
from system import System, run, wait_until

from common import topics
from common.arrivals import Connected
from common.connection import Address, SessionOptions, verified_context
from common.device import DEVICE_SECRET
from common.identity import AUTHORITIES, CERTIFICATE, KEY
from common.session import Session
from registrar.authority import REGISTRAR, REGISTRAR_KEY, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from paho.mqtt.reasoncodes import ReasonCode

LONGEST = 5.0  # seconds that a revoked member may go on, as was promised
SLACK = 10.0  # of a machine that is busy with other tests


class Mallory:
    """Publishes on its own channel in a loop, and connects again whenever it is thrown out; a context manager."""

    def __init__(self, home: Path, port: int, client_id: str) -> None:
        self.accepted = 0.0
        self.connected_at: list[float] = []
        self._port = port
        self._ended = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
        self._client.tls_set_context(
            verified_context((home / AUTHORITIES).read_bytes(), home / CERTIFICATE, home / KEY)
        )
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.reconnect_delay_set(1, 1)
        self._topic = f"{topics.PREFIX}/images/mallory/loop/x"
        self._thread = threading.Thread(target=self._publish)

    def __enter__(self) -> Self:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("localhost", self._port, clean_start=False, properties=properties)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self) -> None:
        while not self._ended.wait(0.02):
            if self._client.is_connected():
                self._client.publish(self._topic, b"x", qos=1)

    def _on_connect(self, client: Client, _data: object, _flags: object, reason: ReasonCode, _more: object) -> None:
        if not reason.is_failure:
            self.connected_at.append(time.monotonic())
            client.subscribe(f"{topics.PREFIX}/images/#", qos=1)

    def _on_publish(self, _client: Client, _data: object, _packet: int, reason: ReasonCode, _more: object) -> None:
        if not reason.is_failure:
            self.accepted = time.monotonic()

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected()


@pytest.fixture
def own(own_system: System) -> Iterator[System]:
    own_system.start()
    yield own_system
    own_system.stop()


def revoke(system: System, *arguments: str) -> float:
    """Revoke and return when the command was given."""
    begin = time.monotonic()
    done = run("registrar", "revoke", *arguments, "--home", system.home)
    assert done.returncode == 0, done.stderr
    return begin


# The second pretends to be somebody else in the broker's log.
@pytest.mark.parametrize("client_id", ["mallory's own", "x (p5, c1, k60, u'alice')."])
def test_its_last_message_is_accepted_within_seconds_and_it_never_comes_back(own: System, client_id: str) -> None:
    alice, home = own.register("alice"), own.register("mallory")
    with Mallory(home, own.port, client_id) as mallory:
        wait_until(lambda: mallory.accepted, "mallory publishes")
        begin = revoke(own, "mallory")
        wait_until(lambda: time.monotonic() - max(mallory.accepted, begin) > LONGEST, "nothing is accepted any more")
        assert mallory.accepted - begin < LONGEST + SLACK
        wait_until(lambda: not mallory.is_connected, "mallory is out")
        own.post(alice, CHELSEA)
        assert not mallory.is_connected
        assert mallory.connected_at[-1] - begin < LONGEST + SLACK


def test_without_a_revocation_it_goes_on(own: System) -> None:
    home, other = own.register("mallory"), own.register("alice")
    with Mallory(home, own.port, "mallory's own") as mallory:
        wait_until(lambda: mallory.accepted, "mallory publishes")
        begin = revoke(own, "alice")
        wait_until(lambda: mallory.accepted > begin + LONGEST, "mallory goes on")
        assert len(mallory.connected_at) == 1
    assert run("publisher", "post", CHELSEA, "--home", other).returncode == 1


def test_its_session_and_what_waits_in_it_are_gone_and_nobody_else_s(own: System) -> None:
    alice, home = own.register("alice"), own.register("mallory")
    for one, client_id in ((home, "mallory's own"), (alice, "alice's own")):
        with Mallory(one, own.port, client_id) as client:
            wait_until(lambda: client.connected_at, "the client is there")
    own.post(alice, CHELSEA)
    revoke(own, "mallory")
    wait_until(lambda: logged(own, "ended 1 sessions"), "it was ended")
    assert [is_kept(own, client_id) for client_id in ("mallory's own", "alice's own")] == [False, True]


def is_kept(system: System, client_id: str) -> bool:
    """Tell whether the broker keeps the session of a client id, as the registrar finds it."""
    root, certificate, key = (system.home / name for name in (ROOT, REGISTRAR, REGISTRAR_KEY))
    context = verified_context(root.read_bytes(), certificate, key)
    with Session(Address("localhost", system.port), client_id, context, SessionOptions(expiry=60)) as session:
        connected = session.receive(timeout=10)
    assert isinstance(connected, Connected)
    return connected.resumed


def test_another_device_of_the_user_comes_back_by_itself_and_loses_nothing(own: System) -> None:
    alice, lost, kept = own.register("alice"), own.register("bob", "lost"), own.register("bob", "kept")
    fingerprint = run("publisher", "whoami", "--home", lost).stdout.split("fingerprint: ")[1].split()[0]
    with own.subscriber(kept) as reader:
        own.post(alice, CHELSEA)
        reader.wait_for("saved")
        revoke(own, "bob", "--device", fingerprint)
        posted = [own.post(alice, CHELSEA)[0]["image_id"] for _ in range(3)]
        saved = {reader.wait_for("saved")["image_id"] for _ in posted}
        assert saved == set(posted)


def test_no_client_id_is_in_any_log(own: System) -> None:
    alice = own.register("alice")
    with watching(own) as watcher, own.subscriber(own.register("bob")) as reader:
        watcher.session.subscribe("$SYS/#")
        own.post(alice, CHELSEA)
        reader.wait_for("saved")
        secrets_of = [(home / DEVICE_SECRET).read_text() for home in (alice, own.home_of("bob"), own.home)]
        wait_until(lambda: secrets_of[0].encode() in b"".join(one.payload for one in watcher.look()), "alice is seen")
    assert own.daemon is not None
    own.stop()
    log = (own.home / "broker" / "broker.log").read_text() + "".join(own.daemon.errors)
    assert "New client connected" in log
    assert "u'alice'" in log
    assert [secret for secret in secrets_of if secret in log] == []
