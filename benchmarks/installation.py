"""What the benchmarks share: a registrar with its broker and two members, programs beside this one, photographs."""

from __future__ import annotations

import contextlib
import io
import json
import random
import secrets
import subprocess
import sys
from typing import IO, TYPE_CHECKING

from PIL import Image

from common import console
from common.certificates import fingerprint
from common.connection import Address, SessionOptions
from common.enrolment import Contact, enrol
from common.settings import load_settings
from registrar.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from common.identity import Identity
    from registrar.broker import Doors

PATIENCE = 120.0


def initialise(folder: Path) -> Path:
    """Make a registrar in ``folder`` and return its home."""
    home = folder / "registrar"
    subprocess.run([*program("registrar"), "init", "--home", home], check=True, stdout=subprocess.DEVNULL)
    return home


@contextlib.contextmanager
def installation(folder: Path, doors: Doors) -> Iterator[tuple[Identity, Identity]]:
    """Run a registrar with its broker in ``folder``, which `initialise` has prepared; yields two enrolled members."""
    with serving(folder, doors):
        yield enrol_members(folder, doors)


@contextlib.contextmanager
def serving(folder: Path, doors: Doors, log: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a registrar with its broker; yields its process. It logs to stderr, or to ``log``."""
    ports = ["--port", str(doors.port), "--enrol-port", str(doors.enrol_port)]
    home = str(folder / "registrar")
    with running([*program("registrar"), "serve", "--home", home, "--with-broker", *ports, "--json"], log) as process:
        read_event(process)
        yield process


def enrol_members(folder: Path, doors: Doors) -> tuple[Identity, Identity]:
    """Enrol two members, the owner and the reader."""
    home = folder / "registrar"
    root = Authority.load(home, load_settings(home)).root
    contact = Contact(Address("localhost", doors.enrol_port), fingerprint(root), root)
    owner, reader = (
        enrol(folder / user, user, secrets.token_hex(16), contact,
              key_size=3072, options=SessionOptions(), clock=console.now).identity
        for user in ("owner", "reader")
    )  # fmt: skip
    for identity in (owner, reader):
        console.remember(identity.home, broker="localhost", port=doors.port)
    return owner, reader


@contextlib.contextmanager
def running(command: Sequence[str], log: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a program beside this one, and end it on leaving; what it writes to stderr goes there, or to ``log``."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def read_event(process: subprocess.Popen[str]) -> dict[str, str] | None:
    """Return the next JSON line of a program, or None at its end."""
    line = process.stdout.readline() if process.stdout else ""
    return json.loads(line) if line else None


def program(name: str) -> list[str]:
    """Return how one of the three programs is started."""
    return [sys.executable, "-m", name]


def make_photograph(path: Path, size: int) -> Path:
    """Write a JPEG of about ``size`` bytes: noise over a gradient, about three bits a pixel as a camera has them."""
    width = max(64, int((size * 8 / 3 * 4 / 3) ** 0.5))
    shape = (width, width * 3 // 4)
    noise = Image.frombytes("RGB", shape, random.Random(str(path)).randbytes(shape[0] * shape[1] * 3))
    gradient = Image.linear_gradient("L").resize(shape).convert("RGB")
    for quality in range(95, 5, -5):
        content = io.BytesIO()
        Image.blend(gradient, noise, 0.25).save(content, "JPEG", quality=quality)
        if content.tell() <= size:
            break
    path.write_bytes(content.getvalue())
    return path
