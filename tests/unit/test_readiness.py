"""A daemon tells its service manager that it is ready, and nobody that it starts speaks for it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from common.console import Printer
from common.readiness import Readiness

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("in_a_folder", [True, False])
def test_the_service_manager_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, in_a_folder: bool
) -> None:
    name = str(tmp_path / "notify") if in_a_folder else f"\0sealcast-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        readiness = Readiness()
        assert "NOTIFY_SOCKET" not in os.environ
        readiness.announce(Printer(as_json=True), "ready: now", user="bob")
        assert manager.recv(100) == b"READY=1"
    assert capsys.readouterr().out == '{"event": "ready", "user": "bob"}\n'


@pytest.mark.parametrize("address", ["", "/nowhere/notify"])
def test_without_a_service_manager_it_is_only_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Readiness().announce(Printer(as_json=False), "ready: now")
    assert capsys.readouterr().out == "ready: now\n"
