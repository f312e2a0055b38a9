"""A revoked member who does not go by itself: connected with a client of its own making, publishing in a loop."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hostile_member import LONGEST, SLACK, Mallory
from raw_clients import logged
from system import CHELSEA, System, run, wait_until

from common.arrivals import Connected
from common.connection import Address, SessionOptions, verified_context
from common.device import DEVICE_SECRET
from common.session import Session
from registrar.authority import REGISTRAR, REGISTRAR_KEY, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        assert mallory.last_accepted_after(begin) < LONGEST + SLACK
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
        connected = session.receive(timeout=60)
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
    with own.subscriber(own.register("bob")) as reader:
        own.post(alice, CHELSEA)
        reader.wait_for("saved")
        lasting = [(home / DEVICE_SECRET).read_text() for home in (alice, own.home_of("bob"), own.home)]
    assert own.daemon is not None
    own.stop()
    log = (own.home / "broker" / "broker.log").read_text() + "".join(own.daemon.errors)
    assert "New client connected" in log
    assert "u'alice'" in log
    assert [secret for secret in lasting if secret in log] == []
    # Each command has digits of its own, and its client id goes on behind them.
    assert re.findall(r"\b[0-9a-f]{32}-[a-z]", log) == []
