"""What is built and installed is whole: it runs without this clone, and goes away again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from system import PATIENCE, ROOT, free_ports

from tools import install_service

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("broker", "common", "publisher", "registrar", "subscriber")
UNIT = ".local/share/systemd/user/sealcast-subscriber.service"


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True, timeout=PATIENCE)
    (wheel,) = tmp_path.glob("sealcast-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    files = {str(path.relative_to(ROOT)) for path in paths if path.parent.name != "__pycache__"}
    assert "broker/mosquitto.conf" in files
    assert files - names == set()
    pages = {name for name in names if name.endswith(".1")}
    assert {name.rpartition("/")[2] for name in pages} == {"registrar.1", "publisher.1", "subscriber.1"}
    assert {name.partition(".data/data/")[2].rpartition("/")[0] for name in pages} == {"share/man/man1"}
    assert {name.split("/")[0] for name in names - pages} == {*PACKAGES, f"sealcast-{version('sealcast')}.dist-info"}


class Account:
    """A user's home on a machine without systemd, whose ``systemctl`` only notes what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.home, self._tools, self._asked = folder / "home of bob", folder / "tools", folder / "asked"
        self.home.mkdir()
        self._tools.mkdir()
        systemctl = self._tools / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$@" >>"{self._asked}"\n')
        systemctl.chmod(0o755)
        no_dependencies = folder / "none.txt"
        no_dependencies.touch()
        self._requirements = str(no_dependencies)

    def make(self, action: str) -> str:
        """Do what the Makefile does, with the dependencies of the tests."""
        command = [sys.executable, "-m", "tools.install_service", action, "subscriber"]
        return self.run(*command, "--requirements", self._requirements, folder=ROOT).stdout

    def run(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
            cwd=folder or self.home,
            env=self.environment,
        )
        assert done.returncode == 0, done.stderr
        return done

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self._tools), os.environ["PATH"]])
        # Not the clone: hatch's own file leads there, and is not read in this folder.
        packages = sysconfig.get_path("purelib")
        pip = {"PIP_NO_COMPILE": "1", "PIP_NO_CACHE_DIR": "1"}
        return {"HOME": str(self.home), "PATH": path, "PYTHONPATH": packages, **pip}

    def asked(self) -> list[str]:
        """Return what systemctl was asked since the last time."""
        lines = self._asked.read_text().splitlines()
        self._asked.unlink()
        return lines


def test_the_installed_programs_run_by_themselves_and_go_away_again(tmp_path: Path) -> None:
    account = Account(tmp_path)
    earlier = account.home / ".local" / "lib" / "sealcast" / "of an earlier version"
    earlier.mkdir(parents=True)
    assert "systemctl --user enable --now sealcast-subscriber" in account.make("install")
    assert not earlier.exists()
    assert account.asked() == ["--user daemon-reload", "--user try-restart sealcast-subscriber.service"]
    assert (account.home / UNIT).read_text() == (ROOT / "services" / "sealcast-subscriber.service").read_text()
    commands = {name: account.home / ".local" / "bin" / name for name in install_service.PROGRAMS}
    for name, command in commands.items():
        assert account.run(str(command), "--version").stdout == f"{name} {version('sealcast')}\n"
        page = account.home / ".local" / "share" / "man" / "man1" / f"{name}.1"
        assert page.read_text() == (ROOT / "docs" / "man" / f"{name}.1").read_text()
    where = "import common, broker; print(common.__file__, broker.__path__)"
    assert str(ROOT) not in account.run(str(commands["registrar"].resolve().parent / "python"), "-c", where).stdout
    serve_with_broker(account, str(commands["registrar"]))

    assert account.make("uninstall").count("removed") == 2
    assert account.asked() == [
        "--user stop sealcast-subscriber.service",
        "--user disable sealcast-subscriber.service",
        "--user daemon-reload",
    ]
    assert [path for path in (account.home / ".local").rglob("*") if not path.is_dir()] == []
    assert (account.home / "registrar" / "registrar.pem").exists()


def serve_with_broker(account: Account, registrar: str) -> None:
    """Have it serve with the broker that it brings the configuration for, and end."""
    port, enrol_port = map(str, free_ports(2))
    home = account.home / "registrar"
    account.run(registrar, "init", "--home", str(home))
    serve = [registrar, "serve", "--with-broker", "--json", "--home", str(home)]
    with subprocess.Popen(
        [*serve, "--port", port, "--enrol-port", enrol_port],
        stdout=subprocess.PIPE,
        text=True,
        cwd=account.home,
        env=account.environment,
    ) as process:
        try:
            assert process.stdout
            assert json.loads(process.stdout.readline())["event"] == "ready"
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.fixture
def without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the unit is installed: what makes the programs is shown above."""
    monkeypatch.setattr(install_service.Installation, "_install_programs", lambda _self, _requirements: None)


@pytest.mark.usefixtures("without_programs")
def test_destdir_stands_before_every_path_and_nobody_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_service, "_run", lambda *_: pytest.fail("the machine is changed"))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("the machine is asked"))
    service = install_service.SERVICES["registrar"]
    installation = install_service.Installation(service, root=tmp_path / "stage", home=tmp_path / "nobody")
    installation.install(tmp_path / "none.txt")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {f"stage/usr/local/{place}" for place in service.files}
    installation.uninstall()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "sudo systemctl enable --now sealcast-registrar" in capsys.readouterr().out


def test_programs_of_pipx_or_uv_are_used_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_service.Installation, "_manage", lambda *_: None)
    theirs = tmp_path / ".local" / "bin" / "subscriber"
    theirs.parent.mkdir(parents=True)
    theirs.symlink_to(tmp_path / "pipx" / "venvs" / "sealcast" / "bin" / "subscriber")
    installation = install_service.Installation(install_service.SERVICES["subscriber"], root=None, home=tmp_path)
    installation.install(tmp_path / "none.txt")
    assert (tmp_path / UNIT).exists()
    installation.uninstall()
    assert not (tmp_path / UNIT).exists()
    assert theirs.is_symlink()
    assert not (tmp_path / ".local" / "lib").exists()


@pytest.mark.parametrize(("user", "python", "refusal"), [(1000, "/usr", "machine"), (0, "/root/.local", "cannot read")])
@pytest.mark.usefixtures("without_programs")
def test_a_service_of_the_machine_needs_root_and_a_python_for_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, python: str, refusal: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(sys, "base_prefix", python)
    installation = install_service.Installation(install_service.SERVICES["registrar"], root=None, home=tmp_path)
    for action in (lambda: installation.install(tmp_path / "none.txt"), installation.uninstall):
        with pytest.raises(install_service.InstallationError, match=refusal):
            action()
