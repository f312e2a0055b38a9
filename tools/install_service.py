"""Installs the three programs and the systemd unit that runs one of them, or takes them away again.

What is installed needs nothing of this clone any more. This runs before anything is installed, with the Python that the
programs will have, and so with nothing but what that brings along.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1]
PROGRAMS = ("publisher", "registrar", "subscriber")
# Under the prefix, and where they lead: into the virtual environment, wherever that is looked at from (DESTDIR).
_LINKS = {f"bin/{name}": f"../lib/sealcast/bin/{name}" for name in PROGRAMS} | {
    f"share/man/man1/{name}.1": f"../../../lib/sealcast/share/man/man1/{name}.1" for name in PROGRAMS
}
_PRIVATE_HOMES = ("/home", "/root")  # what ProtectHome= keeps from a system service


class InstallationError(Exception):
    """It cannot be installed; the second argument is a hint what to do."""


@dataclass(frozen=True)
class Service:
    """A unit, for a user's own service manager or the machine's; ``next_steps`` are for the person who installs it.

    ``files`` are the folder under the prefix and the name in ``services/`` of each file.
    """

    unit: str
    is_system: bool
    files: dict[str, str]
    next_steps: tuple[str, ...]


SERVICES = {
    "subscriber": Service(
        "sealcast-subscriber.service",
        is_system=False,
        files={"share/systemd/user/sealcast-subscriber.service": "sealcast-subscriber.service"},
        next_steps=(
            "~/.local/bin/subscriber register USER --invite -   (unless you are a member already)",
            "systemctl --user enable --now sealcast-subscriber",
            "loginctl enable-linger   (so that it also runs while you are not logged in)",
        ),
    ),
    "watch": Service(
        "sealcast-watch@.service",
        is_system=False,
        files={"share/systemd/user/sealcast-watch@.service": "sealcast-watch@.service"},
        next_steps=(
            "~/.local/bin/publisher register USER --invite -   (unless you are a member already)",
            'systemctl --user enable --now "sealcast-watch@$(systemd-escape --path ~/Pictures)"',
            "loginctl enable-linger   (so that it also runs while you are not logged in)",
        ),
    ),
    "registrar": Service(
        "sealcast-registrar.service",
        is_system=True,
        files={
            "lib/systemd/system/sealcast-registrar.service": "sealcast-registrar.service",
            "lib/sysusers.d/sealcast.conf": "sealcast-sysusers.conf",
            "lib/tmpfiles.d/sealcast.conf": "sealcast-tmpfiles.conf",
        },
        next_steps=(
            "sudo -u sealcast registrar init --home /var/lib/sealcast --host NAME   (the machine's name for members)",
            "sudo systemctl enable --now sealcast-registrar",
        ),
    ),
}


class Installation:
    """The programs and units under one prefix; ``root`` is put before every path that is written (DESTDIR)."""

    def __init__(self, service: Service, *, root: Path | None, home: Path) -> None:
        self._service = service
        self._root = root
        self._prefix = Path("/usr/local") if service.is_system else home / ".local"
        self._program = self._prefix / "lib" / "sealcast"

    def install(self, requirements: Path) -> None:
        """Install the programs with the locked dependencies, then the unit, and say what is to be done next.

        A service that runs already goes on with what is new.
        """
        self._demand_rights()
        if self._has_other_programs():
            print(f"found      {', '.join(PROGRAMS)} in {self._prefix / 'bin'}")
        else:
            self._install_programs(requirements)
            print(f"installed  {self._program}, with {', '.join(PROGRAMS)} in {self._prefix / 'bin'}")
        for place, name in self._service.files.items():
            path = self._written(self._prefix / place)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SOURCE / "services" / name, path)
            print(f"installed  {self._prefix / place}")
        self._settle()
        self._manage("try-restart", self._instances)
        print("next:", *self._service.next_steps, sep="\n  ")

    def uninstall(self) -> None:
        """Stop the service and take its files away; the programs go with the last unit. Identities and data stay."""
        self._demand_rights()
        self._manage("stop", self._instances)
        self._manage("disable", self._service.unit)
        for place in self._service.files:
            self._written(self._prefix / place).unlink(missing_ok=True)
            print(f"removed    {self._prefix / place}")
        self._settle()
        others = {place for service in SERVICES.values() for place in service.files} - self._service.files.keys()
        if self._has_other_programs() or any(self._written(self._prefix / place).exists() for place in others):
            return
        for place in _LINKS:
            self._written(self._prefix / place).unlink(missing_ok=True)
        shutil.rmtree(self._written(self._program), ignore_errors=True)
        print(f"removed    {self._program}; identities, images and the registrar's data stay where they are")

    def _install_programs(self, requirements: Path) -> None:
        """Make a virtual environment beside the one that is there, and put it in its place when it is whole."""
        place = self._written(self._program)
        new, old = place.with_name("sealcast.new"), place.with_name("sealcast.old")
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        venv.create(new, with_pip=True, symlinks=True)
        pip_install = (str(new / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run(*pip_install, "--require-hashes", "--requirement", str(requirements))
        _run(*pip_install, "--no-deps", "--no-build-isolation", str(SOURCE))
        _move_paths(new, self._program)
        if place.exists():
            place.rename(old)
        new.rename(place)
        shutil.rmtree(old, ignore_errors=True)
        for path, target in _LINKS.items():
            link = self._written(self._prefix / path)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(target)

    @property
    def _instances(self) -> str:
        """Name the unit, or all that run of one for any folder."""
        return self._service.unit.replace("@.", "@*.")

    def _demand_rights(self) -> None:
        if not self._service.is_system or self._root is not None:
            return
        if os.geteuid() != 0:
            raise InstallationError("the registrar is a service of the machine", "run it as root: sudo make …")
        if sys.base_prefix.startswith(_PRIVATE_HOMES):
            raise InstallationError(
                f"services cannot read {sys.base_prefix}", "name another Python: make PYTHON=/usr/bin/python3 …"
            )

    def _has_other_programs(self) -> bool:
        """Tell whether pipx, uv or somebody else has put the programs where ours would be."""
        links = ((self._written(self._prefix / place), target) for place, target in _LINKS.items())
        return any(
            os.path.lexists(link) and not (link.is_symlink() and link.readlink() == Path(target))
            for link, target in links
        )

    def _settle(self) -> None:
        """Have the machine know what was installed."""
        if self._service.is_system and self._root is None:
            for tool, *options in (("systemd-sysusers",), ("systemd-tmpfiles", "--create")):
                if shutil.which(tool) and self._written(self._prefix / "lib/sysusers.d/sealcast.conf").exists():
                    _run(tool, *options, "sealcast.conf")
        self._manage("daemon-reload")

    def _manage(self, *arguments: str) -> None:
        """Tell the service manager where there is one: in a container, or a chroot, there is none."""
        if self._root is None and (systemctl := shutil.which("systemctl")):
            scope = [] if self._service.is_system else ["--user"]
            subprocess.run([systemctl, *scope, *arguments], check=False, stderr=subprocess.DEVNULL)

    def _written(self, path: Path) -> Path:
        return path if self._root is None else self._root / path.relative_to("/")


def _move_paths(environment: Path, final: Path) -> None:
    """Name the final folder where a virtual environment names its own, in the first lines of its commands."""
    for file in (environment / "pyvenv.cfg", *(environment / "bin").iterdir()):
        if file.is_file() and not file.is_symlink():
            file.write_bytes(file.read_bytes().replace(os.fsencode(environment), os.fsencode(final)))


def _run(*command: str) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise InstallationError(f"{Path(command[0]).name} has failed, see above", "mend that, and run it again")


def main() -> None:
    """Do what the Makefile asks for; exits with 1 where that cannot be done, with 2 where it makes no sense."""
    parser = argparse.ArgumentParser(prog="make install-service", description=__doc__)
    parser.add_argument("action", choices=["install", "uninstall"])
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--root", type=Path, help="put before every path that is written")
    parser.add_argument("--requirements", type=Path, default=SOURCE / "requirements" / "runtime.txt")
    options = parser.parse_args()
    # What is installed holds no secret, and the service runs as another user.
    os.umask(0o022)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # in the order of what others print
    root = options.root and options.root.absolute()
    installation = Installation(SERVICES[options.service], root=root, home=Path.home())
    try:
        installation.install(options.requirements) if options.action == "install" else installation.uninstall()
    except (InstallationError, OSError) as error:
        message, hint = error.args if isinstance(error, InstallationError) else (str(error).lower(), "mend that")
        print(f"error: {message}\nhint: {hint}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
