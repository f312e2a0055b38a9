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


_ARE_DRAWN = """() => Promise.all([...document.querySelectorAll(".icon")].map((icon) => {
  const drawn = new Image();
  drawn.src = getComputedStyle(icon).maskImage.slice(5, -2);
  return drawn.decode();
})).then(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))))"""


def take_picture(page: Page, state: str) -> None:
    """Take the picture of a state where one is shown and PICTURES names the folder for them."""
    folder = os.environ.get("PICTURES")
    if folder and state in SHOWN:
        page.evaluate(_ARE_DRAWN)
        taken = page.screenshot(animations="disabled")
        (Path(folder) / f"{SHOWN[state]}.png").write_bytes(
            taken if len(taken) <= LARGEST else with_fewer_colours(taken)
        )


def with_fewer_colours(taken: bytes) -> bytes:
    """Return the picture with a palette, in which the bar with its green counts for more than it is large."""
    picture = Image.open(BytesIO(taken)).convert("RGB")
    width, height = picture.size
    weighed = Image.new("RGB", (width, height + height // 3))
    weighed.paste(picture)
    weighed.paste(picture.crop((0, 0, 160, 60)).resize((width, height // 3)), (0, height))
    palette = weighed.quantize(136, kmeans=1)
    palette.putpalette([255 if part > 249 else part for part in palette.getpalette() or []])  # white is white
    smaller = BytesIO()
    picture.quantize(palette=palette).save(smaller, "PNG", optimize=True)
    return smaller.getvalue()
