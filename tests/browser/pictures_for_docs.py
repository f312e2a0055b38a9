"""The pictures of the gallery in the documents: `make screenshots` takes them, in tests that `make test` runs, too."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

LARGEST = 100_000  # bytes; what is larger makes do with fewer colours
SHOWN = {
    "empty-light": "gallery-empty",
    "album-light": "gallery",
    "album-dark": "gallery-dark",
    "opened-light": "gallery-opened",
    "refused-light": "gallery-refused",
    "album-phone": "gallery-phone",
    "opened-phone-dark": "gallery-phone-opened",
}


def take_picture(page: Page, state: str) -> None:
    """Take the picture of a state where one is shown and PICTURES names the folder for them."""
    folder = os.environ.get("PICTURES")
    if folder and state in SHOWN:
        taken = page.screenshot(animations="disabled")
        if len(taken) > LARGEST:
            picture = Image.open(BytesIO(taken)).convert("RGB")
            smaller = BytesIO()
            picture.quantize(palette=picture.quantize(140, kmeans=1)).save(smaller, "PNG", optimize=True)
            taken = smaller.getvalue()
        (Path(folder) / f"{SHOWN[state]}.png").write_bytes(taken)
