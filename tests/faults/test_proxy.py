"""The link does what the sweeps ask of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from faults.proxy import Proxy
from system import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

AMOUNT = 200_000  # bytes


def _echo(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_echo_one, args=[connection], daemon=True).start()


def _echo_one(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            connection.sendall(piece)


@pytest.fixture
def link() -> Iterator[Proxy]:
    """A link to somebody who sends back whatever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_echo, args=[listener])
        thread.start()
        with Proxy(listener.getsockname()[1]).carrying() as proxy:
            yield proxy
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def send(connection: socket.socket, count: int = AMOUNT) -> int:
    """Send so many bytes and return how many came back until the connection ended or all were there."""
    sender = threading.Thread(target=lambda: _send(connection, count))
    sender.start()
    received = 0
    with contextlib.suppress(ConnectionError):
        while received < count and (piece := connection.recv(65536)):
            received += len(piece)
    sender.join()
    return received


def _send(connection: socket.socket, count: int) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(bytes(count))


def connect(link: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=60)


def test_a_whole_link_carries_everything(link: Proxy) -> None:
    with connect(link) as connection:
        assert send(connection) == AMOUNT
    assert link.carried == {"up": AMOUNT, "down": AMOUNT}
    assert link.cuts == 0


@pytest.mark.parametrize("count", [1, 70_001, AMOUNT - 1])
def test_a_link_is_cut_after_so_many_bytes(link: Proxy, count: int) -> None:
    link.cut_after("down", count, 10)
    with connect(link) as connection:
        assert send(connection) <= count  # what is on its way is lost with the link
    with connect(link) as connection:
        assert send(connection) <= 10
    with connect(link) as connection:
        assert send(connection) == AMOUNT
    assert link.cuts == 2
    assert link.carried["down"] == count + 10 + AMOUNT


def test_a_link_can_be_cut_at_once(link: Proxy) -> None:
    with connect(link) as connection:
        assert send(connection, 10) == 10
        link.cut()
        assert connection.recv(1) == b""


def test_nothing_comes_through_a_partition_until_it_is_healed(link: Proxy) -> None:
    with connect(link) as connection:
        assert send(connection, 10) == 10
        link.partition()
        connection.sendall(b"later")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(10)
        link.heal()
        connection.settimeout(60)
        assert connection.recv(10) == b"later"


def test_nobody_there_ends_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Proxy(port).carrying() as link, connect(link) as connection, contextlib.suppress(ConnectionError):
        assert connection.recv(1) == b""
    wait_until(lambda: not any(thread.name == "proxy" for thread in threading.enumerate()), "the end of the proxy")
