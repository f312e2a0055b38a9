"""What whoever takes the decoding process over could still do: each is tried for real, confined and not."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from system import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TRY = """
    import ctypes, mmap, os, resource, socket, subprocess, sys
    from common.decoding.limits import confine
    folder, port, confined = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "confined"
    library, own = ctypes.CDLL(None, use_errno=True), os.dup(1)
    filled = os.open(f"{folder}/filled", os.O_CREAT | os.O_WRONLY)
    other = subprocess.Popen(["/bin/sleep", "20"], stdout=subprocess.DEVNULL)

    def trace():
        if library.ptrace(16, other.pid, 0, 0) < 0:  # PTRACE_ATTACH
            raise OSError(ctypes.get_errno(), "not traced")
        library.ptrace(17, other.pid, 0, 0)

    trials = {
        "read a file": lambda: open("/etc/passwd").close(),
        "write a file": lambda: open(f"{folder}/written", "w").close(),
        "connect": lambda: socket.create_connection(("127.0.0.1", port)).close(),
        "make a socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "fill an open file": lambda: os.pwrite(filled, bytes(10), 0),
        "take memory": lambda: mmap.mmap(-1, 1 << 30).close(),
        "remove a file": lambda: os.unlink(f"{folder}/removed"),
        "rename a file": lambda: os.rename(f"{folder}/renamed", f"{folder}/anew"),
        "make a folder": lambda: os.mkdir(f"{folder}/folder"),
        "trace a process": trace,
        "signal a process": lambda: os.kill(other.pid, 0),
    }
    if confined:
        confine(512 << 20)
    done = []
    for name, attempt in trials.items():
        try:
            attempt()
        except (OSError, MemoryError):
            continue
        done.append(name)
    os.write(own, "\\n".join(done).encode())
    if not confined:
        other.kill()
    # It is what the process becomes where nothing hinders it.
    os.execv("/bin/echo", ["echo", "\\nstart a program"])
"""
ALWAYS = {"read a file", "write a file", "connect", "make a socket", "fill an open file", "take memory"}
WITH_LANDLOCK = {"remove a file", "rename a file", "make a folder", "trace a process", "start a program"}
WITH_LANDLOCK_6 = {"signal a process"}


def attempt(folder: Path, how: str) -> set[str]:
    for name in ("removed", "renamed"):
        (folder / name).touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", textwrap.dedent(TRY), str(folder), str(server.getsockname()[1]), how]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True, timeout=60)
    return set(done.stdout.split("\n")) - {""}


def landlock_version() -> int:
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def test_what_is_given_up_cannot_be_done(tmp_path: Path) -> None:
    without_landlock = (WITH_LANDLOCK if landlock_version() < 1 else set()) | (
        WITH_LANDLOCK_6 if landlock_version() < 6 else set()
    )
    (tmp_path / "free").mkdir()
    assert attempt(tmp_path / "free", "free") == ALWAYS | WITH_LANDLOCK | WITH_LANDLOCK_6
    (tmp_path / "confined").mkdir()
    assert attempt(tmp_path / "confined", "confined") == without_landlock
