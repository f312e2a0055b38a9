"""The one judge of every fault: each image is where it should be, once and whole; nowhere else; nowhere in clear.

It knows what was posted, and looks at what there is: every file of every inbox, hidden ones too, the readers' ledgers,
and the bytes of all that the programs have written.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from system import PASSWORD, wait_until

from common.files import INBOX_MARK

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

MARK = b"plaintext of an image of the faults"  # in every row of every picture: hardly a piece of one is without it
INBOX, LEDGER = "inbox", "ledger.sqlite3"
_WIDTH = 640
_STRIDE = 3 * _WIDTH  # bytes of a row


@dataclass(frozen=True)
class Posted:
    """An image that has been posted, and who is to have it: these people, or every member."""

    file: Path
    owner: str
    sha256: str
    readers: frozenset[str] | None


def draw(file: Path, size: int, chance: random.Random) -> str:
    """Write a new picture of about ``size`` bytes, unlike any other, and return its SHA-256."""
    rows = max(1, size // _STRIDE)
    pixels = b"".join(MARK + chance.randbytes(_STRIDE - len(MARK)) for _ in range(rows))
    # As they lie in the file: the mark can be read in it.
    Image.frombytes("RGB", (_WIDTH, rows), pixels, "raw", "BGR").save(file, "BMP")
    return sha256(file.read_bytes()).hexdigest()


@dataclass
class Oracle:
    """What was posted, the readers' folders, and the folders of everything that the programs write."""

    folders: list[Path]
    posted: list[Posted] = field(default_factory=list)
    homes: dict[str, Path] = field(default_factory=dict)

    def wait(self) -> None:
        """Wait until there is as much as there should be."""
        wait_until(self._is_complete, "every image in every inbox and ledger")

    def judge(self) -> None:
        """Fail with all that is wrong."""
        wrong = [*self.misplaced(), *self.in_clear(), *self.tracebacks()]
        assert not wrong, "\n".join(wrong)

    def wait_and_judge(self) -> None:
        try:
            self.wait()
        finally:
            self.judge()

    def count(self, reader: str) -> int:
        """Return how many files a reader has."""
        return len(_paths(self.homes[reader]))

    def partial(self, reader: str) -> list[Path]:
        """Return the files of a reader, but for hidden ones, that are no whole images."""
        known = {one.sha256 for one in self.posted}
        shown = (path for path in _paths(self.homes[reader]) if not path.name.startswith("."))
        return [path for path in shown if sha256(path.read_bytes()).hexdigest() not in known]

    def missing(self) -> int:
        return sum((self._due(reader) - _files(home)).total() for reader, home in self.homes.items())

    def duplicates(self) -> int:
        return sum((_files(home) - self._due(reader)).total() for reader, home in self.homes.items())

    def misplaced(self) -> Iterator[str]:
        """Yield what is lacking, what is there twice or should not be there, and where the ledger says otherwise."""
        names = {(one.owner, one.sha256): one.file.name for one in self.posted}
        for reader, home in self.homes.items():
            due, there, noted = self._due(reader), _files(home), _noted(home)
            for what, found in (
                ("lacks", due - there),
                ("has once too often", there - due),
                ("lacks in the ledger", due - noted),
                ("has in the ledger once too often", noted - due),
            ):
                for image in found.elements():
                    yield f"{reader} {what}: {names.get(image, 'bytes that nobody posted')} {image}"

    def in_clear(self) -> Iterator[str]:
        """Yield the files outside the inboxes in which there is something of an image, or the password."""
        for folder in self.folders:
            for file in folder.rglob("*"):
                if INBOX in file.parts or not file.is_file():
                    continue
                content = b""
                with contextlib.suppress(FileNotFoundError):  # a temporary one
                    content = file.read_bytes()
                for what, secret in (("an image", MARK), ("the password", PASSWORD.encode())):
                    if any(form in content for form in _forms(secret)):
                        yield f"{what} can be read in {file}"

    def tracebacks(self) -> Iterator[str]:
        """Yield the logs in which there is a failure that nobody has thought of."""
        for folder in self.folders:
            for log in folder.rglob("*.err"):
                if "Traceback (most recent call last)" in log.read_text(errors="replace"):
                    yield f"a traceback in {log}"

    def _due(self, reader: str) -> Counter[tuple[str, str]]:
        return Counter((one.owner, one.sha256) for one in self.posted if one.readers is None or reader in one.readers)

    def _is_complete(self) -> bool:
        # Read while it is being written to, a ledger may be nonsense.
        with contextlib.suppress(sqlite3.DatabaseError):
            return all(
                self.count(reader) == self._due(reader).total() == _noted(home).total()
                for reader, home in self.homes.items()
            )
        return False


def _paths(home: Path) -> list[Path]:
    mark = home / INBOX / INBOX_MARK  # what the inbox itself leaves in it
    return [path for path in (home / INBOX).rglob("*") if not path.is_dir() and path != mark]


def _files(home: Path) -> Counter[tuple[str, str]]:
    """Return the files of an inbox by owner and hash; a second name of one is a second file."""
    return Counter((path.parent.name, sha256(path.read_bytes()).hexdigest()) for path in _paths(home))


def _noted(home: Path) -> Counter[tuple[str, str]]:
    """Return what the ledger says is saved, by owner and hash, or by its path where there is no such file."""
    with tempfile.TemporaryDirectory() as folder:
        # A copy: by the way on which a small disk is seen from here, SQLite would come to the disk behind it.
        for part in home.glob(f"{LEDGER}*"):
            if not part.name.endswith("-shm"):
                shutil.copy(part, folder)
        with contextlib.closing(sqlite3.connect(Path(folder, LEDGER))) as ledger:
            rows = ledger.execute("SELECT owner, sha256, path FROM images WHERE outcome = 'saved'").fetchall()
    # Where the inbox is on a small disk, its path is another one from here.
    return Counter(
        (owner, sha if (home / INBOX / owner / Path(path).name).exists() else f"gone: {path}")
        for owner, sha, path in rows
    )


def _forms(secret: bytes) -> list[bytes]:
    """Return a secret as it is, and as it stands in base64 wherever it begins in a group of three bytes."""
    shifted = [base64.b64encode(bytes(shift) + secret)[4:-4] for shift in range(3)]
    return [secret, *shifted]
