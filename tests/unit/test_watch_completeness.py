"""When a file counts as complete: what the kernel tells of its writers, and for how long it has not changed."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from publisher.watching.completeness import Sight, is_written
from publisher.watching.folder import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEN, CHANGED = 50.0, 1_000.0  # by the monotonic clock, and by the file's own time
SIGHT = Sight(Stamp(10, int(CHANGED * 1e9), 1), SEEN)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"begun")
    return path


@pytest.fixture
def descriptor(path: Path) -> Iterator[int]:
    one = os.open(path, os.O_RDONLY)
    yield one
    os.close(one)


@pytest.mark.parametrize(
    ("is_written", "quiet"),
    [
        (True, 0.0),
        (False, 100.0),  # as its own time says
        (None, 3.0),  # since it was seen
    ],
)
def test_for_how_long_a_file_has_been_complete(is_written: bool | None, quiet: float) -> None:  # noqa: FBT001 - one of the cases
    assert SIGHT.quiet_seconds(SEEN + 3, CHANGED + 100, is_written=is_written) == quiet


def test_a_file_from_the_future_has_to_be_seen_unchanged() -> None:
    assert SIGHT.quiet_seconds(SEEN + 3, CHANGED - 3600, is_written=False) == 3.0


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND])
def test_who_writes_is_noticed_until_the_file_is_closed(path: Path, descriptor: int, flags: int) -> None:
    writer = os.open(path, flags)
    assert is_written(descriptor) is True
    os.close(writer)
    assert is_written(descriptor) is not True


def test_who_only_reads_is_nobody_who_writes(path: Path, descriptor: int) -> None:
    with path.open("rb"):
        assert is_written(descriptor) is not True


@pytest.fixture
def without_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", refuse)


@pytest.mark.usefixtures("without_leases")
def test_without_leases_proc_tells_who_writes_and_otherwise_nobody_can_tell(path: Path, descriptor: int) -> None:
    with path.open("ab"):
        assert is_written(descriptor) is True
    with path.open("rb"):
        assert is_written(descriptor) is None
