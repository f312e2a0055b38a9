"""Reads the directories of TIFF 6.0 (section 2) and BigTIFF, which Exif is made of too."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.metadata.container import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORDERS = {b"II": "<", b"MM": ">"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory; its value lies in ``data[start:end]``, inline (in the entry) where it fits."""

    tag: int
    kind: int
    count: int
    raw: bytes
    is_inline: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tiff:
    """A TIFF's bytes and the struct codes of its byte order, its counts of entries and its pointers.

    Every method raises one of container.TOO_SHORT for an offset outside of the data.
    """

    data: bytes
    order: str
    count: str
    pointer: str

    @classmethod
    def open(cls, data: bytes) -> Tiff:
        """Read the header; raises ImageError where it is none."""
        order = _ORDERS.get(data[:2], "<")
        if data[:4] == data[:2] + struct.pack(f"{order}H", 42):
            return cls(data, order, "H", "I")
        if data[:8] == data[:2] + struct.pack(f"{order}HHH", 43, 8, 0):
            return cls(data, order, "Q", "Q")
        raise damaged("no TIFF header at its start")

    @property
    def header(self) -> int:
        """The size of the header, which ends with a pointer to the first directory."""
        return 2 * struct.calcsize(self.pointer)

    @property
    def first(self) -> int:
        """The offset of the first directory."""
        return self._number(self.pointer, self.header - struct.calcsize(self.pointer))

    def entries(self, directory: int) -> Iterator[Entry]:
        """Yield the entries of the directory at an offset."""
        layout = struct.Struct(f"{self.order}HH{self.pointer}")
        room = struct.calcsize(self.pointer)
        position = directory + struct.calcsize(self.count)
        for _ in range(self._number(self.count, directory)):
            tag, kind, count = layout.unpack_from(self.data, position)
            value, end = position + layout.size, position + layout.size + room
            size = count * _SIZES.get(kind, 1)
            start = value if size <= room else self._number(self.pointer, value)
            yield Entry(tag, kind, count, self.data[position:end], size <= room, start, start + size)
            position = end

    def span(self, directory: int) -> tuple[int, int]:
        """Return where a directory begins and ends; its last bytes point to the next one."""
        entry = 4 + 2 * struct.calcsize(self.pointer)
        end = directory + struct.calcsize(self.count) + entry * self._number(self.count, directory)
        return directory, end + struct.calcsize(self.pointer)

    def following(self, directory: int) -> int:
        """Return the offset of the next directory, 0 after the last."""
        _, end = self.span(directory)
        return self._number(self.pointer, end - struct.calcsize(self.pointer))

    def directory(self, entries: list[Entry], following: int) -> bytes:
        """Write a directory; values outside of their entries stay where they are."""
        count = struct.pack(self.order + self.count, len(entries))
        raw = b"".join(entry.raw for entry in entries)
        return count + raw + struct.pack(self.order + self.pointer, following)

    def integers(self, entry: Entry) -> tuple[int, ...]:
        """Read an entry's value; raises ImageError where it is no integer or lies outside of the data."""
        code = _INTEGERS.get(entry.kind)
        if code is None or entry.end > len(self.data):
            raise damaged(f"TIFF tag {entry.tag}")
        return struct.unpack_from(f"{self.order}{entry.count}{code}", self.data, entry.start)

    def _number(self, code: str, position: int) -> int:
        return int(struct.unpack_from(self.order + code, self.data, position)[0])
