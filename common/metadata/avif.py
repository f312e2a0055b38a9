"""AVIF: the ISO base media file format, its items and its tracks (isobmff.py), with AV1 in them.

The file is changed in place, since it is full of offsets into itself. Boxes, properties and items that the
picture does not need become ``free``, which readers must pass by, and the media data becomes zero wherever
neither an item nor a frame that stays refers to it. The orientation stays: it is a property of its own
(``irot``, ``imir``), and the one in Exif means nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.metadata import exif, words
from common.metadata.container import Span, blank_outside, damaged
from common.metadata.isobmff import (
    FULL_BOX,
    Box,
    Item,
    box_at,
    boxes,
    chunk_spans,
    item_spans,
    items,
    primary,
    thumbnails,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_FREE = b"free"
_FILE = b""
# The boxes that may stay, by the box around them. Those with an entry of their own are looked into.
_BOXES = {
    _FILE: {b"ftyp", b"meta", b"moov", b"mdat"},
    b"meta": {b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp", b"idat", b"dinf", b"grpl"},
    b"iprp": {b"ipco", b"ipma"},
    b"ipco": {
        *(b"ispe", b"pixi", b"av1C", b"auxC", b"a1op", b"a1lx", b"lsel", b"rrtp"),
        *(b"irot", b"imir", b"clap", b"pasp", b"iscl", b"rloc"),
        *(b"colr", b"clli", b"mdcv", b"cclv", b"amve", b"ndwt", b"reve"),
    },
    b"moov": {b"mvhd", b"trak"},
    b"trak": {b"tkhd", b"tref", b"edts", b"meta", b"mdia"},
    b"mdia": {b"mdhd", b"hdlr", b"minf"},
    b"minf": {b"vmhd", b"nmhd", b"hdlr", b"dinf", b"stbl"},
    b"stbl": {b"stsd", b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"co64", b"sgpd", b"sbgp"},
}
_DATED = {b"mvhd", b"tkhd", b"mdhd"}
_PICTURES = {b"av01", b"grid", b"iovl", b"iden", b"tmap", b"sato"}


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Free every box, property and item that the picture does not need, and blank what they referred to."""
    outermost = _outermost_boxes(data)
    end = outermost[-1].end
    file = _File(data[:end], bytearray(data[:end]))
    file.look_into(_FILE, outermost)
    file.blank()
    if end < len(data):
        file.removed.append(words.AFTER_THE_IMAGE)
    return bytes(file.picture), file.removed


def _outermost_boxes(data: bytes) -> list[Box]:
    """Return the outermost boxes up to the last that the picture needs: what follows is no part of it."""
    found: list[Box] = []
    position = 0
    while box := box_at(data, position, len(data)):
        if box.kind == b"ftyp" and found:
            break
        found.append(box)
        position = box.end
    while found and found[-1].kind not in _BOXES[_FILE]:
        found.pop()
    if not {b"ftyp", b"mdat"} <= {box.kind for box in found}:
        raise damaged("an outermost box")
    return found


@dataclass(slots=True)
class _File:
    """A file while it is changed: what it was, what it becomes, and which spans of its media data stay."""

    data: bytes
    picture: bytearray
    removed: list[str] = field(default_factory=list)
    media: list[Span] = field(default_factory=list)
    kept: list[Span] = field(default_factory=list)
    blanked: list[Span] = field(default_factory=list)

    def look_into(self, kind: bytes, contents: Iterable[Box]) -> None:
        """Free the boxes that may not stay in one of this kind, and look into those that may."""
        stay: dict[bytes, Box] = {}
        for box in contents:
            if box.kind not in _BOXES[kind]:
                self.free(box)
                continue
            stay[box.kind] = box
            if box.kind in (b"mdat", b"idat"):
                self.media.append((box.content, box.end))
            elif box.kind in _DATED:
                self.forget_times(box)
            elif box.kind in _BOXES:
                start = box.content + (FULL_BOX if box.kind == b"meta" else 0)
                self.look_into(box.kind, boxes(self.data, start, box.end))
        if kind == b"meta" and b"iinf" in stay:
            self.sort_items(stay)
        elif kind == b"stbl":
            self.kept += chunk_spans(self.data, stay)

    def free(self, box: Box) -> None:
        """Turn a box into free space full of zeros."""
        filled = blank_outside(self.picture, (box.content, box.end), ())
        if box.kind != _FREE:
            self.picture[box.start + 4 : box.start + 8] = _FREE
            self.removed.append(words.OTHER)
        elif filled:
            self.removed.append(words.UNUSED)

    def forget_times(self, box: Box) -> None:
        """Zero the times of creation and of change, which come first in a box that has them."""
        start = box.content + FULL_BOX
        size = 16 if self.data[box.content] == 1 else 8
        if blank_outside(self.picture, (start, start + size), ()):
            self.removed.append(words.TIME)

    def sort_items(self, meta: dict[bytes, Box]) -> None:
        """Free the items that are no picture, and those that are thumbnails of another."""
        spans: dict[int, list[Span]] = {}
        for number, span in item_spans(self.data, meta[b"iloc"], meta.get(b"idat")):
            spans.setdefault(number, []).append(span)
        small = thumbnails(self.data, meta[b"iref"]) if b"iref" in meta else set()
        small -= primary(self.data, meta[b"pitm"]) if b"pitm" in meta else set()
        for item in items(self.data, meta[b"iinf"]):
            own = spans.get(item.number, [])
            if item.kind in _PICTURES and item.number not in small:
                self.kept += own
                continue
            self.blanked += own
            if item.kind != _FREE:
                self.removed += self._words(item, own)
                self.picture[item.start : item.end] = _FREE + bytes(item.end - item.start - len(_FREE))

    def _words(self, item: Item, spans: list[Span]) -> list[str]:
        if item.kind in _PICTURES:
            return [words.THUMBNAIL]
        if item.kind == b"Exif":
            content = self.data[slice(*spans[0])] if spans else b""
            skip = 4 + int.from_bytes(content[:4])  # to the TIFF header
            return [words.EXIF, *exif.reduce(content[skip:])[1]]
        is_xmp = item.kind == b"mime" and b"application/rdf+xml" in self.data[item.start : item.end]
        return [words.XMP if is_xmp else words.OTHER]

    def blank(self) -> None:
        """Blank the media data to which nothing that stays refers."""
        inside = all(any(first <= start and end <= last for first, last in self.media) for start, end in self.kept)
        if not self.kept or not inside:
            raise damaged("its pictures are not where it says")
        for span in self.media:
            if blank_outside(self.picture, span, self.kept + self.blanked):
                self.removed.append(words.UNUSED)
            blank_outside(self.picture, span, self.kept)
