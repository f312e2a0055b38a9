"""A short run of what `make soak` does for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.soak import soak

if TYPE_CHECKING:
    from pathlib import Path


def test_a_few_images_and_kills(tmp_path: Path) -> None:
    figures = soak(tmp_path, 1, images=12, kills=8)
    assert "12 images, 8 kills (broker 2, owner 2, reader 2, registrar 2), 36 saves, 0 missing, 0 duplicates" in figures
