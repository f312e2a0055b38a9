"""Notices of the kernel that something in a folder may have changed; a rescan now and then finds what they miss."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from watchfiles import Change
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What changes within this time is looked at together, and sooner where all is quiet meanwhile; milliseconds.
_TOGETHER, _QUIET = 400, 50
_log = logging.getLogger(__name__)


class Notices:
    """Notices of folders, from the beginning on; a context manager.

    ``folders`` tells which there are, each without those inside it: watchfiles would follow symbolic links. It is asked
    again when there may be another one. Where the kernel has no notices to give, there are none.
    """

    def __init__(self, folders: Callable[[], Iterable[Path]]) -> None:
        self._folders = folders
        self._is_warned = False
        self._watcher = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._watcher is not None:
            self._watcher.close()

    def wait(self, seconds: float) -> set[str] | None:
        """Return the absolute paths of what may have changed, or None for anything; waits where nothing has."""
        if self._watcher is None:
            time.sleep(seconds)
            return set()
        try:
            changed = self._watcher.watch(_TOGETHER, _QUIET, max(1, int(seconds * 1000)), None)
        except WatchfilesRustInternalError:
            # A name that is not UTF-8; from then on it says nothing else.
            self._begin_anew()
            return None
        if not isinstance(changed, set):
            return set()
        if any(change == Change.added and Path(path).is_dir() for change, path in changed):
            self._begin_anew()
            return None
        return {path for _, path in changed}

    def _begin_anew(self) -> None:
        before, self._watcher = self._watcher, self._open()
        if before is not None:
            before.close()

    def _open(self) -> RustNotify | None:
        folders = [str(folder) for folder in self._folders() if _is_utf8(folder)]
        try:
            # Its documentation: https://watchfiles.helpmanual.io/api/rust_backend/
            return RustNotify(folders, False, False, 0, False, True)  # noqa: FBT003 - its parameters have no names
        except (OSError, WatchfilesRustInternalError) as error:
            if not self._is_warned:
                self._is_warned = True
                _log.warning("the system does not tell what changes, so that it is seen at the next rescan: %s", error)
            return None


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
