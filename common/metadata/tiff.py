"""TIFF 6.0 and BigTIFF.

The file is changed in place rather than saved again, which would recompress JPEG in TIFF and need a codec
for every other compression. Each page's directory is written again with only the entries that describe the
picture; then every byte to which neither a directory nor one of these entries refers becomes zero. That
takes Exif, GPS, thumbnails, maker notes and whatever lies in gaps with it, and moves no offset.

Strips and tiles are not looked into, even where they are JPEG with segments of its own. Directories behind
SubIFDs are previews or raw data that a decoder of pages passes by: they go. Old-style JPEG (compression 6),
whose tables may lie anywhere, is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from common.errors import ImageError
from common.metadata import words
from common.metadata.container import TOO_SHORT, blank_outside, damaged
from common.metadata.ifd import Tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.metadata.container import Span
    from common.metadata.ifd import Entry

_WIDTH, _HEIGHT, _BITS_PER_SAMPLE, _COMPRESSION, _ICC_PROFILE = 256, 257, 258, 259, 34675
_STRIPS, _TILES = (273, 279), (324, 325)  # the tags of their offsets and of their byte counts
_THUMBNAIL = (513, 514)
_UNCOMPRESSED, _OLD_JPEG = 1, 6
_SUB_IFDS, _EXIF, _GPS, _INTEROPERABILITY = 330, 34665, 34853, 40965
_POINTERS = {_SUB_IFDS, _EXIF, _GPS, _INTEROPERABILITY}

# What a decoder needs: TIFF 6.0 sections 3 to 7, 10 to 16 and 18 to 22, and Adobe's supplements to them.
_PICTURE = {
    *(254, 255, _WIDTH, _HEIGHT, _BITS_PER_SAMPLE, _COMPRESSION, *range(262, 267)),
    *(*_STRIPS, 274, 277, 278, *range(280, 285), *range(290, 294), 296, 297, 301),
    *(*range(317, 322), 322, 323, *_TILES, 332, 334, 336, *range(338, 343), 347, *range(529, 533)),
    _ICC_PROFILE,
}
_WORDS = {
    270: words.COMMENT,
    700: words.XMP,
    33723: words.IPTC,
    34377: words.IPTC,
    _SUB_IFDS: words.THUMBNAIL,
    _EXIF: words.EXIF,
    _GPS: words.GPS,
}


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Write every page's directory again, then blank everything to which none of them refers."""
    tiff = Tiff.open(data)
    picture = bytearray(data)
    removed: list[str] = []
    values: list[Span] = []  # and pixels: what stays where it is, as it is
    written: dict[int, Span] = {}
    known: list[Span] = []
    reached: set[int] = set()
    position = tiff.first
    while position:
        if position in written:
            raise damaged("its pages go round in a circle")
        known += _reach(tiff, position, reached)
        entries = list(tiff.entries(position))
        stay = [entry for entry in entries if entry.tag in _PICTURE]
        removed += [_WORDS.get(entry.tag, words.OTHER) for entry in entries if entry.tag not in _PICTURE]
        values += [(entry.start, entry.end) for entry in stay if not entry.is_inline]
        values += _pixels(tiff, {entry.tag: entry for entry in stay})
        directory = tiff.directory(stay, tiff.following(position))
        written[position] = position, position + len(directory)
        picture[slice(*written[position])] = directory
        position = tiff.following(position)

    if any(end > len(data) for _, end in values):
        raise damaged("a TIFF strip or tag ends after the file")
    if any(picture[start:end] != data[start:end] for start, end in values):
        raise damaged("a TIFF strip or tag lies in a directory")
    kept = [(0, tiff.header), *written.values(), *values]
    end = max(end for _, end in kept + known)
    if blank_outside(picture, (end, len(data)), ()):
        removed.append(words.AFTER_THE_IMAGE)
    if blank_outside(picture, (0, end), kept + known):
        removed.append(words.UNUSED)
    blank_outside(picture, (0, end), kept)
    return bytes(picture[: max(end for _, end in kept)]), removed


def _pixels(tiff: Tiff, page: dict[int, Entry]) -> Iterator[Span]:
    """Return the spans of a page's strips or tiles; raises ImageError where they cannot be told for sure."""
    compression = tiff.integers(page[_COMPRESSION])[0] if _COMPRESSION in page else _UNCOMPRESSED
    if compression == _OLD_JPEG:
        raise ImageError(
            "metadata cannot be removed from a TIFF with old-style JPEG in it",
            hint="save it as PNG, or as TIFF with another compression",
        )
    offsets, lengths = _TILES if _TILES[0] in page else _STRIPS
    # A decoder of uncompressed strips may well go by their offsets alone.
    if compression == _UNCOMPRESSED:
        bits = sum(tiff.integers(page[_BITS_PER_SAMPLE])) if _BITS_PER_SAMPLE in page else 1
        width, height = tiff.integers(page[_WIDTH])[0], tiff.integers(page[_HEIGHT])[0]
        if sum(tiff.integers(page[lengths])) < (width * bits + 7) // 8 * height:
            raise damaged("its strips are shorter than its picture")
    return _spans(tiff, page[offsets], page[lengths])


def _reach(tiff: Tiff, directory: int, seen: set[int]) -> Iterator[Span]:
    """Yield the spans to which a directory and those behind its pointers refer, as far as they can be read.

    Only the words depend on it: what lies in none of these spans was there for no reader of TIFF.
    """
    waiting = [directory]
    while waiting:
        directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        with suppress(ImageError, *TOO_SHORT):
            yield tiff.span(directory)
            entries = {entry.tag: entry for entry in tiff.entries(directory)}
            yield from ((entry.start, entry.end) for entry in entries.values())
            for tag in _POINTERS & entries.keys():
                waiting += tiff.integers(entries[tag])
            for offsets, lengths in (_STRIPS, _TILES, _THUMBNAIL):
                if offsets in entries and lengths in entries:
                    yield from _spans(tiff, entries[offsets], entries[lengths])


def _spans(tiff: Tiff, offsets: Entry, lengths: Entry) -> Iterator[Span]:
    for start, length in zip(tiff.integers(offsets), tiff.integers(lengths), strict=False):
        yield start, start + length
