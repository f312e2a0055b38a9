"""Draws QR codes in a terminal."""

from __future__ import annotations

from itertools import zip_longest

import segno

# Black and white of the palette that no theme of a terminal changes: a reader needs dark on light.
_DARK_ON_LIGHT, _RESET = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def draw(text: str) -> str:
    """Return ``text`` as a QR code (ISO/IEC 18004) with its margin; a line of characters shows two rows of modules."""
    rows = [list(map(bool, row)) for row in segno.make(text, error="l", micro=False).matrix_iter(border=4)]
    pairs = zip_longest(rows[::2], rows[1::2], fillvalue=[False] * len(rows[0]))
    lines = ("".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs)
    return "\n".join(f"{_DARK_ON_LIGHT}{line}{_RESET}" for line in lines)
