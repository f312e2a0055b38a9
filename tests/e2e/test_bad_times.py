"""Daemons that are stopped, doubled, or lose their broker; ports that are taken; commands that are mistyped."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from refusals import assert_refused
from system import CHELSEA, PATIENCE, free_ports, run, wait_until

from common.errors import ConfigurationError
from registrar.broker import Doors, run_broker

if TYPE_CHECKING:
    from system import Daemon, System


@pytest.fixture(scope="module")
def reader(system: System) -> Path:
    return system.register("reader-at-bad-times")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_subscriber_ends_in_peace(system: System, reader: Path, number: signal.Signals) -> None:
    with system.subscriber(reader) as receiving:
        receiving.process.send_signal(number)
        assert receiving.process.wait(PATIENCE) == 0
    assert receiving.errors == []


def test_a_registrar_ends_in_peace_and_its_broker_with_it(own_system: System) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        own_system.start()
        assert own_system.daemon is not None
        own_system.daemon.process.send_signal(number)
        assert own_system.daemon.process.wait(PATIENCE) == 0
        own_system.daemon.kill()
        assert not [line for line in own_system.daemon.errors if "error" in line.lower()]
        for port in (own_system.port, own_system.enrol_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


def test_a_second_subscriber_for_one_folder_is_refused(system: System, reader: Path) -> None:
    with system.subscriber(reader):
        done = run("subscriber", "run", "--home", reader)
        assert_refused(done, f"a subscriber is running for {reader} already", "register a second device")
    with system.subscriber(reader):
        pass


@pytest.mark.parametrize("channel", ["", "a//b", "#/a", "a#", "+a", "Site", "a/b/c/d/e", "a/b/c/d/e/#", "../a"])
def test_what_cannot_be_a_channel_filter_is_refused(reader: Path, channel: str) -> None:
    done = run("subscriber", "run", "--home", reader, "--channel", "public", "--channel", channel)
    assert_refused(
        done, f"{channel!r} cannot be a channel filter", "in small letters, with + for any one word and #", exit_code=2
    )


@pytest.mark.parametrize("channel", ["+", "a/+/c", "a/b/c/d", "a/b/c/d/#", "#"])
def test_channel_filters_are_taken(system: System, reader: Path, channel: str) -> None:
    with system.subscriber(reader, "--channel", channel):
        pass


def test_a_port_that_is_taken_is_explained(system: System) -> None:
    (free,) = free_ports(1)
    for taken, ports in ((system.port, (system.port, free)), (system.enrol_port, (free, system.enrol_port))):
        doors = ("--port", str(ports[0]), "--enrol-port", str(ports[1]))
        done = run("registrar", "serve", "--with-broker", "--home", system.home, *doors)
        assert_refused(done, f"port {taken} is taken by another program", "--port and --enrol-port")


def test_a_broker_that_ends_is_started_again_but_not_for_ever(own_system: System) -> None:
    own_system.start()
    alice, bob = own_system.register("alice"), own_system.register("bob")
    registrar = own_system.daemon
    assert registrar is not None
    log = own_system.home / "broker" / "broker.log"
    with own_system.subscriber(bob) as reading:
        for number in (1, 2, 3):
            kill_broker(registrar)
            wait_until(lambda: count(registrar, "is started again") == number, "another broker")  # noqa: B023
        assert count(registrar, f"the broker has ended (SIGKILL): see {log}") == 3
        own_system.post(alice, CHELSEA)
        assert reading.wait_for("saved")["name"] == "chelsea.jpg"
    kill_broker(registrar)
    assert registrar.process.wait(PATIENCE) == 1
    registrar.kill()
    ended = [line for line in registrar.errors if line.startswith(("error: ", "hint: "))]
    assert ended == ["error: the broker has ended again and again\n", f"hint: see {log}\n"]
    assert not any("Traceback" in line for line in registrar.errors)
    own_system.start()
    own_system.stop()


def kill_broker(registrar: Daemon) -> None:
    def found() -> list[str]:
        children = Path(f"/proc/{registrar.process.pid}/task/{registrar.process.pid}/children").read_text().split()
        # The other one masks the broker's log, and ends with it.
        return [child for child in children if Path(f"/proc/{child}/comm").read_text() == "mosquitto\n"]

    wait_until(found, "a broker")
    (broker,) = found()
    os.kill(int(broker), signal.SIGKILL)


def count(daemon: Daemon, text: str) -> int:
    return sum(text in line for line in daemon.errors)


def test_without_mosquitto_the_registrar_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("registrar.broker._SYSTEM_FOLDERS", ())
    with pytest.raises(ConfigurationError) as raised, run_broker(tmp_path, Doors("127.0.0.1", 1, 2)):
        pytest.fail("there is a broker")
    assert raised.value.message == "there is no mosquitto on PATH"
    assert raised.value.hint == "install it: apt-get install mosquitto"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "error", "hint"),
    [
        ([], "missing command", "see subscriber --help"),
        (["receive"], "no such command 'receive'", "see subscriber --help"),
        (["run", "--frobnicate"], "no such option: --frobnicate", "see subscriber run --help"),
        (["run", "--count", "0"], "invalid value for '--count'", "see subscriber run --help"),
        (["run", "--home"], "option '--home' requires an argument", "see subscriber run --help"),
    ],
)
def test_what_is_mistyped_is_wrong_usage(command: list[str], error: str, hint: str) -> None:
    assert_refused(run("subscriber", *command), error, hint, exit_code=2)
