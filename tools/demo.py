"""The main job before one's eyes: enrol two members, post a photograph, announce it, receive, verify and show it.

Everything happens in a folder of its own and on ports that are free; whatever was started is ended again, in a terminal
once somebody has looked at the gallery and pressed Enter. The photograph that comes along is Chelsea the cat, by Stéfan
van der Walt (CC0), with a made-up position in it.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

PHOTOGRAPH = Path(__file__).with_name("chelsea.jpg")
PATIENCE = 30.0  # seconds


def main() -> None:
    """Show the main job; the argument, if there is one, is the picture to post."""
    photograph = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else PHOTOGRAPH
    if not photograph.is_file():
        sys.exit(f"error: there is no file {photograph}\nhint: make demo IMAGE=path/to/picture.jpg")
    kept = Path.cwd() / "demo"
    # In a folder of its own, so that commands are as short as a person would type them.
    with tempfile.TemporaryDirectory(prefix="sealcast-demo-") as folder, contextlib.chdir(folder):
        received = show(photograph)
        kept.mkdir(exist_ok=True)
        shutil.copyfile(received, kept / received.name)
    say("done:", f"the verified photograph lies in {kept / received.name}")


def show(photograph: Path) -> Path:
    """Run the whole story in this folder; return the received photograph."""
    registrar, alice, bob = Path("registrar"), Path("alice"), Path("bob")
    port, enrol_port = free_ports()
    doors = ["--port", str(port), "--enrol-port", str(enrol_port)]

    say("a registrar", "makes its certificate authority, and serves with a Mosquitto of its own")
    run("registrar", "init", "--home", registrar)
    fingerprint = output("registrar", "fingerprint", "--home", registrar)
    with Background("registrar", "serve", "--home", registrar, "--with-broker", *doors) as serving:
        serving.wait_for("ready")

        say("two accounts", "register with passwords, and get certificates")
        for user, home in (("alice", alice), ("bob", bob)):
            password = secrets.token_urlsafe(16)
            run("publisher", "register", user, "--ca-fingerprint", fingerprint, "--password-stdin",
                *doors, "--home", home, stdin=f"{password}\n")  # fmt: skip

        say("bob's terminal", "waits for images, and shows them in a browser")
        with Background("subscriber", "run", "--home", bob, "--gallery") as waiting:
            waiting.wait_for("gallery")
            say("alice", "posts a photograph")
            run("publisher", "post", photograph, "--home", alice, "--caption", "hello from the demo")
            say("bob's terminal", "says")
            waiting.wait_for("saved")
            if sys.stdin.isatty():
                say(
                    "you",
                    "open the address behind `gallery:` in your browser, and press Enter here when you have seen it",
                )
                with contextlib.suppress(KeyboardInterrupt):
                    sys.stdin.readline()
    received = next((bob / "inbox" / "alice").iterdir())
    run("sha256sum", received)
    return received


class Background:
    """One of the programs, running beside the others, its lines shown as they come."""

    def __init__(self, *command: str | Path) -> None:
        self._command = command_line(command)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def wait_for(self, word: str) -> None:
        """Show lines until one begins with ``word``; ends the demo if the program ends before."""
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            print(f"    {line}", end="", flush=True)
            if line.startswith(word):
                return
        sys.exit(f"error: {Path(self._command[0]).name} ended")


def command_line(command: tuple[str | Path, ...]) -> list[str]:
    """Print a command as a person would type it, and return it as it is run."""
    print(f"  $ {shlex.join(map(str, command))}", flush=True)
    beside = Path(sys.executable).with_name(str(command[0]))
    return [str(beside) if beside.exists() else str(command[0]), *map(str, command[1:])]


def run(*command: str | Path, stdin: str | None = None) -> None:
    """Run a command, its output indented; ends the demo where it fails."""
    done = subprocess.run(command_line(command), input=stdin, stdout=subprocess.PIPE, text=True, check=False)
    print("".join(f"    {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
    if done.returncode != 0:
        sys.exit(done.returncode)


def output(*command: str | Path) -> str:
    """Return the one line that a command prints."""
    line = subprocess.run(command_line(command), stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    print(f"    {line}", flush=True)
    return line


def say(who: str, what: str) -> None:
    """Print a heading of the story."""
    print(f"\n{who} {what}", flush=True)


def free_ports() -> tuple[int, int]:
    """Return two ports on loopback that nobody listens on."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


if __name__ == "__main__":
    main()
