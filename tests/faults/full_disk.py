"""A small disk that a program can fill: a tmpfs in namespaces of its own, for root and for an ordinary user alike."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from system import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

# The shell keeps the namespaces until its stdin ends, so with the test at the latest.
_MOUNT_AND_WAIT = 'mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$0" && echo mounted && exec cat'


_BLOCK = 4096


@dataclass(frozen=True)
class SmallDisk:
    """A disk that programs started with ``enter`` see where it is mounted, and the test at ``folder``."""

    folder: Path
    enter: tuple[str, ...]

    def fill(self, *, but: int = 0) -> None:
        """Leave no room, but for so many bytes."""
        with self._ballast.open("wb", buffering=0) as ballast:
            with contextlib.suppress(OSError):
                while ballast.write(bytes(_BLOCK)):
                    pass
            ballast.truncate(max(0, ballast.tell() - but))

    def make_room(self) -> None:
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount ``size`` bytes over ``folder``; fails, with the reason, where the machine does not let us."""
    program = shutil.which("unshare")
    assert program, "a full disk cannot be tested here: there is no unshare (apt-get install util-linux)"
    keeper = subprocess.Popen(
        [program, "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT_AND_WAIT, folder, str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdin
    assert keeper.stdout
    assert keeper.stderr
    try:
        mounted = keeper.stdout.readline() == "mounted\n"
        assert mounted, (
            "a full disk cannot be tested here: no tmpfs in a user namespace of our own "
            f"(sysctl kernel.unprivileged_userns_clone=1, or a container with --cap-add SYS_ADMIN, lets one): "
            f"{keeper.stderr.read().strip()}"
        )
        enter = (
            "nsenter", "--target", str(keeper.pid), "--user", "--mount", "--preserve-credentials", f"--wd={ROOT}", "--",
        )  # fmt: skip
        inside = Path(f"/proc/{keeper.pid}/root{folder}")
        yield SmallDisk(inside, enter)
    finally:
        keeper.stdin.close()
        keeper.wait(60)
        keeper.stdout.close()
        keeper.stderr.close()
