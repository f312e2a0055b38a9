"""Options that several commands of the subscriber have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from common.console import option

InboxOption = Annotated[
    Path | None, option("--inbox", metavar="FOLDER", help="Where images are saved; <home>/inbox unless said.")
]
NoReceiptsOption = Annotated[bool, option("--no-receipts", help="Do not tell owners what became of their images.")]
NoPresenceOption = Annotated[bool, option("--no-presence", help="Do not tell members when this device is online.")]
GalleryPortOption = Annotated[
    int, option("--gallery-port", help="The gallery's port on this machine; 0 is any that is free.", min=0, max=65535)
]


def inbox_folder(folder: Path | None, home: Path) -> Path:
    """Return the folder of the inbox that was asked for."""
    return (folder or home / "inbox").absolute()
