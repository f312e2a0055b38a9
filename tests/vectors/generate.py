"""Makes the test vectors anew: see README.md."""

from __future__ import annotations

import base64
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from vectors import opening_cases, profile_cases
from vectors.world import IMAGE, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vectors.world import Case

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Vector:
    """One file: its lines, and the sealed image."""

    name: str
    lines: Mapping[str, str]
    sealed: bytes

    @classmethod
    def of(cls, case: Case, sealed: bytes) -> Vector:
        lines = {
            "expect": "refused" if case.reason else "opened",
            "code": case.code if case.reason else "-",
            "reason": case.reason or "-",
            "suite": case.suite,
            "topic": case.topic,
            "reader": case.reader,
            "released": case.released.hex() or "-",
            "at": case.at.isoformat(),
            "now": case.now.isoformat(),
            "seen": case.seen,
        }
        return cls(case.name, lines, sealed)

    @classmethod
    def read(cls, path: Path) -> Vector:
        head, _, body = path.read_text().partition("\n\n")
        return cls(path.stem, dict(line.split(": ", 1) for line in head.splitlines()), base64.b64decode(body))

    def write(self, folder: Path) -> None:
        head = "".join(f"{name}: {value}\n" for name, value in self.lines.items())
        (folder / f"{self.name}.txt").write_text(f"{head}\n{base64.encodebytes(self.sealed).decode()}")


def main() -> None:
    for name in ("sealed", "readers", "trust"):
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        (FOLDER / name).mkdir()
    world = World()
    (FOLDER / "image.png").write_bytes(IMAGE)
    (FOLDER / "trust/root.pem").write_bytes(world.authorities.root.certificate_pem)
    (FOLDER / "trust/issuing.pem").write_bytes(world.authorities.issuing.certificate_pem)
    (FOLDER / "trust/crl.pem").write_bytes(world.crl.public_bytes(serialization.Encoding.PEM))
    for name, holders in world.readers.items():
        certificates = b"".join(holder.certificate_pem for holder in holders)
        (FOLDER / f"readers/{name}.pem").write_bytes(holders[0].key_pem + certificates)
    for case in (*opening_cases.cases(world), *profile_cases.cases(world)):
        Vector.of(case, world.sealed(case)).write(FOLDER / "sealed")


if __name__ == "__main__":
    main()
