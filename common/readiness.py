"""A daemon says that it is ready: to whoever reads its output, and to the service manager that waits for it."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.console import Printer


class Readiness:
    """Tells systemd, where it has started this program with ``Type=notify`` (sd_notify(3)).

    Made before any other program is started from here: none of them is to speak for this one, as mosquitto would.
    """

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")

    def announce(self, printer: Printer, line: str, **members: object) -> None:
        """Print the event ``ready``, and tell the service manager."""
        printer.event(line, event="ready", **members)
        if not self._address:
            return
        # What nobody hears any more keeps no daemon from its work.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            # The kernel's names without a file begin with a zero byte, for which systemd writes @.
            manager.connect(f"\0{self._address[1:]}" if self._address.startswith("@") else self._address)
            manager.sendall(b"READY=1")
