"""The inputs that are kept: for each target an archive of those that fuzzing found, and those that once broke it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent
CRASHES = FOLDER / "crashes"


def kept(target: str) -> list[bytes]:
    """Return the inputs of a target's archive, and those that broke it."""
    broke = [path.read_bytes() for path in sorted(CRASHES.glob(f"{target}-*"))]
    archive = _archive(target)
    if not archive.exists():
        return broke
    with zipfile.ZipFile(archive) as opened:
        return [*map(opened.read, opened.namelist()), *broke]


def keep(target: str, folder: Path, *, without: Iterable[bytes]) -> None:
    """Make a target's archive anew, of the files in ``folder`` but for those that are made each time.

    The same inputs give the same bytes.
    """
    inputs = {path.read_bytes() for path in folder.iterdir()} - set(without)
    with zipfile.ZipFile(_archive(target), "w") as archive:
        for name, data in sorted((hashlib.sha256(data).hexdigest(), data) for data in inputs):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_LZMA)


def unpack(inputs: Iterable[bytes], folder: Path) -> None:
    folder.mkdir()
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)


def _archive(target: str) -> Path:
    return FOLDER / "corpus" / f"{target}.zip"
