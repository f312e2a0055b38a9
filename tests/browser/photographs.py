"""Paints what looks like photographs, the same ones every time: landscapes, and Chelsea the cat."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps
from system import CHELSEA

if TYPE_CHECKING:
    from collections.abc import Sequence

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Photograph:
    """A picture as a member would post it."""

    name: str
    caption: str | None
    picture: Image.Image

    def jpeg(self) -> bytes:
        buffer = BytesIO()
        self.picture.save(buffer, "JPEG", quality=86)
        return buffer.getvalue()


def twelve() -> list[Photograph]:
    """Return an album, the newest last."""
    mist = [(214, 196, 190), (166, 150, 165), (112, 108, 138), (66, 70, 104), (30, 38, 62)]
    pines = [(176, 200, 190), (120, 158, 150), (70, 112, 108), (34, 72, 72), (14, 38, 42)]
    dunes = [(238, 196, 140), (222, 166, 106), (196, 130, 78), (150, 90, 56)]
    night = [(28, 44, 74), (18, 30, 54), (8, 14, 28)]
    autumn = [(222, 170, 120), (196, 120, 66), (150, 76, 44), (92, 44, 34), (44, 22, 24)]
    return [
        Photograph(
            "DSC_0412.jpg",
            "Above the fog, half past six",
            land((1080, 720), ((94, 120, 168), (250, 208, 176)), mist, seed=4, sun=(0.7, 0.45)),
        ),
        Photograph(
            "camp.jpg",
            "First night at the lake",
            water((960, 720), ((12, 18, 46), (70, 70, 120)), night, seed=8, stars=True),
        ),
        Photograph("pines.jpg", None, land((720, 960), ((206, 220, 222), (236, 238, 228)), pines, seed=15)),
        Photograph("IMG_2291.jpg", "Chelsea is not amused", cat((0, 0, 451, 300), 1080)),
        Photograph(
            "dunes.jpg",
            "Sand in every sock",
            land((1200, 640), ((120, 172, 214), (240, 224, 200)), dunes, seed=23, roughness=0.35),
        ),
        Photograph(
            "harbour.jpg",
            "The harbour, last ferry",
            water((1080, 720), ((52, 44, 96), (250, 150, 110)), mist[2:], seed=31, sun=(0.35, 0.5)),
        ),
        Photograph("IMG_2304.jpg", "Those eyes", cat((95, 60, 345, 226), 960)),
        Photograph(
            "ridge.jpg",
            "Grandpa's ridge in October",
            land((1080, 720), ((150, 186, 214), (252, 226, 180)), autumn, seed=42, sun=(0.2, 0.4)),
        ),
        Photograph("window.jpg", "City lights from the kitchen", lights((720, 900), seed=51)),
        Photograph("sea.jpg", None, water((1200, 700), ((96, 158, 206), (226, 234, 230)), pines[:2], seed=60)),
        Photograph("nose.jpg", "Nose", ImageOps.mirror(cat((150, 100, 330, 250), 960))),
        Photograph(
            "evening.jpg",
            "Evening walk, and nobody else there",
            land((1080, 760), ((70, 60, 120), (255, 168, 110)), autumn[1:], seed=77, sun=(0.55, 0.55)),
        ),
    ]


def plain(number: int) -> bytes:
    """Return one of many small pictures, quickly made, each with a colour of its own."""
    hue = number * 47 % 256
    picture = Image.merge("HSV", [Image.new("L", (96, 72), value) for value in (hue, 90 + number % 90, 170)])
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def land(
    size: tuple[int, int],
    sky: tuple[Colour, Colour],
    ridges: Sequence[Colour],
    *,
    seed: int,
    sun: tuple[float, float] | None = None,
    roughness: float = 0.55,
) -> Image.Image:
    """Return hills, one behind the other, the nearest darkest."""
    picture = glow(gradient(size, *sky), sun)
    dice = random.Random(seed)
    for number, colour in enumerate(ridges):
        level = 0.42 + 0.5 * number / len(ridges)
        line = ridge(size[0], level * size[1], size[1] * 0.2 * (1 - level / 2), roughness, dice)
        picture = paste_below(picture, line, colour, haze=ridges[max(0, number - 1)])
    return grain(picture, seed)


def water(
    size: tuple[int, int],
    sky: tuple[Colour, Colour],
    shore: Sequence[Colour],
    *,
    seed: int,
    sun: tuple[float, float] | None = None,
    stars: bool = False,
) -> Image.Image:
    """Return a shore that a lake reflects."""
    width, height = size
    horizon = int(height * 0.58)
    above = glow(gradient((width, horizon), *sky), sun)
    dice = random.Random(seed)
    if stars:
        above = scatter_stars(above, dice)
    for number, colour in enumerate(shore):
        level = horizon * (0.72 + 0.22 * number / len(shore))
        above = paste_below(above, ridge(width, level, horizon * 0.16, 0.5, dice), colour, haze=colour)
    mirrored = ImageOps.flip(above).resize((width, height - horizon)).filter(ImageFilter.GaussianBlur(2))
    mirrored = ripple(mirrored, dice).point(lambda value: int(value * 0.82))
    picture = Image.new("RGB", size)
    picture.paste(above, (0, 0))
    picture.paste(mirrored, (0, horizon))
    return grain(picture, seed)


def lights(size: tuple[int, int], *, seed: int) -> Image.Image:
    """Return the lights of a town at night, out of focus."""
    picture = gradient(size, (14, 16, 34), (52, 34, 58))
    dice = random.Random(seed)
    for _ in range(90):
        radius = dice.randint(10, 46)
        x, y = dice.randint(0, size[0]), int(size[1] * dice.triangular(0.25, 1.0, 0.7))
        warm = dice.choice([(255, 190, 110), (255, 150, 90), (255, 226, 180), (150, 190, 255), (255, 110, 120)])
        spot = Image.new("RGB", size)
        disc = tuple(int(part * dice.uniform(0.2, 0.6)) for part in warm)
        ImageDraw.Draw(spot).ellipse((x - radius, y - radius, x + radius, y + radius), fill=disc)
        picture = ImageChops.screen(picture, spot)
    return grain(picture.filter(ImageFilter.GaussianBlur(2.5)), seed)


def cat(box: tuple[int, int, int, int], width: int) -> Image.Image:
    """Return a part of Chelsea's photograph, enlarged."""
    with Image.open(CHELSEA) as whole:
        part = whole.convert("RGB").crop(box)
    return part.resize((width, width * part.height // part.width), Image.Resampling.LANCZOS)


def gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    mask = Image.linear_gradient("L").resize(size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), mask)


def glow(picture: Image.Image, at: tuple[float, float] | None) -> Image.Image:
    """Return a sky with the sun in it, at these parts of its width and height."""
    if at is None:
        return picture
    width, height = picture.size
    halo = ImageOps.invert(Image.radial_gradient("L")).point(lambda value: int((value / 255) ** 3 * 220))
    for part, side in ((1.4, width), (0.16, width)):
        reach = int(side * part)
        layer = Image.new("L", picture.size)
        layer.paste(halo.resize((reach, reach)), (int(at[0] * width) - reach // 2, int(at[1] * height) - reach // 2))
        light = Image.merge(
            "RGB", [layer.point(lambda value, much=much: int(value * much)) for much in (1, 0.86, 0.62)]
        )
        picture = ImageChops.screen(picture, light)
    return picture


def ridge(width: int, level: float, height: float, roughness: float, dice: random.Random) -> list[float]:
    """Return a line of hills, a height for each column: waves upon waves, each half as long and less high."""
    waves = [
        (dice.uniform(0.7, 1.3) * 2**octave, dice.uniform(0, math.tau), roughness**octave) for octave in range(1, 8)
    ]
    return [
        level - height * sum(much * math.sin(often * math.pi * x / width + phase) for often, phase, much in waves)
        for x in range(width)
    ]


def paste_below(picture: Image.Image, line: Sequence[float], colour: Colour, *, haze: Colour) -> Image.Image:
    """Return the picture with a hill, which grows hazier downwards."""
    width, height = picture.size
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).polygon([(0, height), *enumerate(line), (width, height)], fill=255)
    top = int(max(0, min(line)))
    hill = Image.new("RGB", picture.size, colour)
    mixed = tuple((one * 2 + other) // 3 for one, other in zip(colour, haze, strict=True))
    hill.paste(gradient((width, max(1, height - top)), colour, mixed), (0, top))
    return Image.composite(hill, picture, mask.filter(ImageFilter.GaussianBlur(0.8)))


def ripple(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Return a reflection whose rows are shifted a little, more so the nearer they are."""
    width, height = picture.size
    rippled = picture.copy()
    for y in range(height):
        shift = int(dice.gauss(0, 1) * (1 + 7 * y / height))
        rippled.paste(ImageChops.offset(picture.crop((0, y, width, y + 1)), shift, 0), (0, y))
    return rippled.filter(ImageFilter.GaussianBlur(1))


def scatter_stars(picture: Image.Image, dice: random.Random) -> Image.Image:
    pen = ImageDraw.Draw(picture)
    for _ in range(260):
        x, y = dice.randrange(picture.width), int(picture.height * dice.random() ** 1.4)
        bright = dice.randint(120, 255)
        pen.point((x, y), (bright, bright, bright))
        if bright > 235:
            pen.ellipse((x - 1, y - 1, x + 1, y + 1), (bright, bright, bright))
    return picture


def grain(picture: Image.Image, seed: int) -> Image.Image:
    """Return the picture with a camera's noise."""
    noise = Image.frombytes("L", picture.size, random.Random(seed).randbytes(picture.width * picture.height))
    return Image.blend(picture, Image.merge("RGB", [noise] * 3), 0.006)
