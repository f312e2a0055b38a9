"""The QR code that a terminal shows, read back by a reader of pictures."""

from __future__ import annotations

import re

import pytest
import zxingcpp
from PIL import Image

from common.invitation import INVITATION_BYTES, Invitation, new_token
from registrar.qr import draw

HALVES = {" ": (255, 255), "▀": (0, 255), "▄": (255, 0), "█": (0, 0)}
LINE = Invitation("broker.example.org", 8883, 8884, "ab" * 32, new_token(INVITATION_BYTES)).line()


def picture_of(drawn: str, *, background: int) -> Image.Image:
    """Return what a terminal shows: each character two pixels, one above the other, on its own colours."""
    lines = []
    for line in drawn.split("\n"):
        shown = re.fullmatch("\x1b\\[38;5;16;48;5;231m([ ▀▄█]+)\x1b\\[0m", line)
        assert shown
        lines.append([HALVES[character] for character in shown[1]])
    picture = Image.new("L", (len(lines[0]) + 40, 2 * len(lines) + 40), background)
    for y, line in enumerate(lines):
        for x, halves in enumerate(line):
            for half, colour in enumerate(halves):
                picture.putpixel((20 + x, 20 + 2 * y + half), colour)
    return picture.resize((4 * picture.width, 4 * picture.height), Image.Resampling.NEAREST)


@pytest.mark.parametrize("background", [0, 255], ids=["dark", "light"])
def test_a_camera_reads_the_invitation_from_a_terminal(background: int) -> None:
    (read,) = zxingcpp.read_barcodes(picture_of(draw(LINE), background=background))
    assert (read.format.name, read.text) == ("QRCode", LINE)


def test_it_fits_into_a_terminal() -> None:
    lines = re.sub("\x1b\\[[0-9;]*m", "", draw(LINE)).split("\n")
    assert (len(lines[0]) <= 80, len(lines) <= 30) == (True, True)


def test_another_picture_says_something_else() -> None:
    (read,) = zxingcpp.read_barcodes(picture_of(draw(LINE[:-1]), background=0))
    assert read.text != LINE
