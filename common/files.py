"""Files that a crash cannot leave half written, and that others cannot read.

Written under a temporary name, flushed, renamed into place, the folder flushed (facts measured for the inbox and the
archive hold here too: without the last step the name itself may be lost).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from typing import TYPE_CHECKING

from common.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# In each folder that images of others are saved in, so that nobody posts them again by accident.
INBOX_MARK = ".sealcast-inbox"
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
_OTHERS = 0o077


def make_private_folder(folder: Path) -> Path:
    """Return ``folder``, made (0700) with its parents where it is missing; raises ConfigurationError."""
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the folder {folder}: {reason(error)}",
            hint="choose another folder, or mend its permissions",
            code="unwritable",
        ) from error
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write ``content`` durably to ``path`` (0600), replacing what was there as a whole; raises ConfigurationError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            write_new(temporary, content)
            temporary.replace(path)
            flush_folder(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {reason(error)}",
            hint="make room, or mend the folder's permissions",
            code="unwritable",
        ) from error


def write_new(path: Path, content: bytes) -> None:
    """Write ``content`` to a file that must not exist yet (0600), and flush it; raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private(path: Path) -> bytes:
    """Return the content of a file that only its owner may read; raises ConfigurationError."""
    try:
        if path.stat().st_mode & _OTHERS:
            raise ConfigurationError(
                f"others on this machine can read {path}", hint=f"run: chmod 600 {path}", code="exposed_key"
            )
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {reason(error)}",
            hint="restore it from a backup, or register again",
            code="unreadable",
        ) from error


@contextlib.contextmanager
def only_one(lock: Path, busy: ConfigurationError) -> Iterator[None]:
    """Hold the file ``lock`` for this process, until its end at the latest; raises ``busy`` where another holds it."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(lock.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise busy from error
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to {lock.parent}: {reason(error)}", hint="mend its permissions", code="unwritable"
            ) from error
        yield


def reason(error: OSError) -> str:
    """Return the cause of an OSError in small letters, without the path."""
    return (error.strerror or str(error)).lower()
