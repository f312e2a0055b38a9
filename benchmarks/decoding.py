"""What decoding in a process of its own costs: here, in one that is warm, and in one that is started for it."""

from __future__ import annotations

import functools
import io
import os
import time
from typing import TYPE_CHECKING

from PIL import Image

from common.decoder import Decoder
from common.decoding.inspection import inspect
from common.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.images import ImageFacts

SIZES = ((100_000, 100), (1_000_000, 50), (5_000_000, 25), (40_000_000, 8))  # bytes, rounds
SETTINGS = Settings()


def main() -> None:
    """Print the table."""
    print(f"{os.cpu_count()} cores, the least of the rounds")
    print(f"{'size':>9} {'rounds':>7} {'in process':>12} {'warm':>12} {'cold':>12} {'warm costs':>12}")
    with Decoder(SETTINGS) as decoder:
        in_process = functools.partial(inspect, maximum_pixels=SETTINGS.maximum_pixels)
        for size, rounds in SIZES:
            data = make_photograph(size)
            ways = (in_process, decoder.inspect, cold)
            # In turns, so that a busy machine slows all of them.
            taken = [[seconds(way, data) for way in ways] for _ in range(rounds)]
            # The least, since a process more is what a busy machine makes wait.
            here, warm, fresh = (1000 * min(column) for column in zip(*taken, strict=True))
            cells = f"{here:>9.1f} ms {warm:>9.1f} ms {fresh:>9.1f} ms {warm - here:>9.1f} ms"
            print(f"{len(data) // 1000:>6} kB {rounds:>7} {cells}", flush=True)


def make_photograph(size: int) -> bytes:
    """Return a JPEG of about ``size`` bytes, noise with four bits a pixel; 40 MB are as many pixels as may be."""
    width = int((size * 2 * 4 / 3) ** 0.5)
    content = io.BytesIO()
    Image.effect_noise((width, width * 3 // 4), 60).convert("RGB").save(content, "JPEG", quality=77)
    return content.getvalue()


def cold(data: bytes) -> ImageFacts:
    """Start a process for one image, and end it."""
    with Decoder(SETTINGS) as decoder:
        return decoder.inspect(data)


def seconds(way: Callable[[bytes], ImageFacts], data: bytes) -> float:
    """Return the seconds that an image takes."""
    begin = time.perf_counter()
    way(data)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
