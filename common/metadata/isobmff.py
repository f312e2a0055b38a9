"""Reads the ISO base media file format (ISO/IEC 14496-12) and its items (ISO/IEC 23008-12).

All offsets are in bytes from the start of the file. For what is damaged every function raises ImageError or
one of container.TOO_SHORT.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from common.metadata.container import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from common.metadata.container import Span

FULL_BOX = 4  # the size of a version and of flags, which come before the content proper


class Box(NamedTuple):
    """A box: its type, and where it starts, its content starts, and it ends."""

    kind: bytes
    start: int
    content: int
    end: int


class Item(NamedTuple):
    """An item's entry in ``iinf``: its number, its type, where that type is written, and the entry's end."""

    number: int
    kind: bytes
    start: int
    end: int


def box_at(data: bytes, start: int, stop: int) -> Box | None:
    """Return the box at an offset, None where none there ends in time."""
    size, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
    content = start + 8
    if size == 1:
        size, content = int.from_bytes(data[start + 8 : start + 16]), start + 16
    end = start + size if size else stop  # a last box may leave its size open
    return Box(kind, start, content, end) if content <= end <= stop else None


def boxes(data: bytes, start: int, stop: int) -> Iterator[Box]:
    """Yield the boxes that fill a span."""
    while start < stop:
        box = box_at(data, start, stop)
        if box is None:
            raise damaged(f"box at byte {start}")
        yield box
        start = box.end


def items(data: bytes, iinf: Box) -> Iterator[Item]:
    """Yield the items that ``iinf`` lists."""
    count = 2 if data[iinf.content] == 0 else 4
    for infe in boxes(data, iinf.content + FULL_BOX + count, iinf.end):
        number = {2: 2, 3: 4}.get(data[infe.content], 0)  # the size of a number, by version
        position = infe.content + FULL_BOX
        start = position + number + 2  # 2: the protection index
        if infe.kind != b"infe" or not number or start + 4 > infe.end:
            raise damaged("an item of an unknown kind")
        yield Item(int.from_bytes(data[position : position + number]), data[start : start + 4], start, infe.end)


def item_spans(data: bytes, iloc: Box, idat: Box | None) -> Iterator[tuple[int, Span]]:
    """Yield the number of each item with each of the spans that make it up."""
    position = iloc.content + FULL_BOX

    def take(size: int) -> int:
        nonlocal position
        position += size
        if position > iloc.end:
            raise damaged("the list of its items' places")
        return int.from_bytes(data[position - size : position])

    version = data[iloc.content]
    sizes = take(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    number_size = 4 if version > 1 else 2
    for _ in range(take(number_size)):
        number = take(number_size)
        method = take(2) & 15 if version else 0
        take(2)  # the data reference: 0, this file
        base = take(base_size)
        if method == 1 and idat is not None:
            base += idat.content
        elif method != 0:
            raise damaged("an item inside another one")
        for _ in range(take(2)):
            take(index_size)
            start = base + take(offset_size)
            yield number, (start, start + take(length_size))


def primary(data: bytes, pitm: Box) -> set[int]:
    """Return the number of the item that is the picture itself, in a set."""
    number = 4 if data[pitm.content] else 2
    start = pitm.content + FULL_BOX
    return {int.from_bytes(data[start : start + number])}


def thumbnails(data: bytes, iref: Box) -> set[int]:
    """Return the numbers of the items that are thumbnails of others."""
    number = 4 if data[iref.content] else 2
    return {
        int.from_bytes(data[reference.content : reference.content + number])
        for reference in boxes(data, iref.content + FULL_BOX, iref.end)
        if reference.kind == b"thmb"
    }


def chunk_spans(data: bytes, stbl: Mapping[bytes, Box]) -> Iterator[Span]:
    """Yield the spans of a track's chunks, from the boxes of its sample table."""

    def rows(kind: bytes, layout: str, skip: int = FULL_BOX) -> Iterator[tuple[int, ...]]:
        box = stbl[kind]
        (count,) = struct.unpack_from(">I", data, box.content + skip)
        start = box.content + skip + 4
        return struct.iter_unpack(layout, data[start : min(start + count * struct.calcsize(layout), box.end)])

    (uniform,) = struct.unpack_from(">I", data, stbl[b"stsz"].content + FULL_BOX)
    sizes = iter(()) if uniform else rows(b"stsz", ">I", FULL_BOX + 4)
    samples_from = {first: samples for first, samples, _ in rows(b"stsc", ">III")}
    samples = 0
    for chunk, (start,) in enumerate(rows(b"stco", ">I") if b"stco" in stbl else rows(b"co64", ">Q"), start=1):
        samples = samples_from.get(chunk, samples)
        length = uniform * samples or sum(size for (size,) in islice(sizes, samples))
        yield start, start + length
