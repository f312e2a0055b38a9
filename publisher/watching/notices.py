"""Notices of the kernel that something in a folder may have changed; a rescan now and then finds what they miss."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Self

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

if TYPE_CHECKING:
    from pathlib import Path

# What changes within this time is looked at together, and sooner where all is quiet meanwhile; milliseconds.
_TOGETHER, _QUIET = 400, 50
_log = logging.getLogger(__name__)


class Notices:
    """Notices of one folder and its sub-folders, from the beginning on; a context manager.

    Where the kernel has none to give, as for network file systems, there are none.
    """

    def __init__(self, root: Path) -> None:
        try:
            # Its documentation: https://watchfiles.helpmanual.io/api/rust_backend/
            self._watcher: RustNotify | None = RustNotify([str(root)], False, False, 0, True, True)  # noqa: FBT003 - its parameters have no names
        except (OSError, WatchfilesRustInternalError) as error:
            _log.warning("the system does not tell what changes in %s, so changes take longer: %s", root, error)
            self._watcher = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._watcher is not None:
            self._watcher.close()

    def wait(self, seconds: float) -> set[str]:
        """Return the absolute paths of what may have changed; waits where nothing has."""
        if self._watcher is None:
            time.sleep(seconds)
            return set()
        changed = self._watcher.watch(_TOGETHER, _QUIET, max(1, int(seconds * 1000)), None)
        return {path for _, path in changed} if isinstance(changed, set) else set()
