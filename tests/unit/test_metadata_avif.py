"""Removing private metadata from AVIF, of files built here around what Pillow encodes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pictures
import pytest
from pictures import box

from common.errors import ImageError
from common.metadata import strip_metadata
from common.metadata.isobmff import boxes

AVIF = "image/avif"
FTYP = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")


def full_box(kind: bytes, *contents: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *contents)


def infe(number: int, kind: bytes, name: bytes = b"\0") -> bytes:
    return full_box(b"infe", struct.pack(">HH", number, 0), kind, name, version=2)


def find(data: bytes, *path: bytes) -> bytes:
    """Return the content of a box in boxes."""
    start, stop = 0, len(data)
    for kind in path:
        found = next(found for found in boxes(data, start, stop) if found.kind == kind)
        start, stop = found.content + (4 if kind == b"meta" else 0), found.end
    return data[start:stop]


_PLAIN = pictures.plain(AVIF)
PIXELS = find(_PLAIN, b"mdat")
PROPERTIES = find(_PLAIN, b"meta", b"iprp", b"ipco")
ASSOCIATIONS = find(_PLAIN, b"meta", b"iprp", b"ipma")


@dataclass
class Avif:
    """A file with the picture as item 1, and what a test adds to it."""

    items: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)  # types, names, and contents in mdat
    stored: list[tuple[bytes, bytes]] = field(default_factory=list)  # the same, in idat
    references: bytes = b""
    properties: bytes = b""
    in_meta: bytes = b""
    before: bytes = b""
    hidden: bytes = b""
    version: int = 1

    def encoded(self) -> bytes:
        length = len(self._build(0))
        return self._build(length - len(self._media()))

    def _media(self) -> bytes:
        return PIXELS + self.hidden + b"".join(content for _, _, content in self.items)

    def _build(self, start: int) -> bytes:
        infos = [infe(1, b"av01")]
        places = [(1, 0, start, len(PIXELS))]
        position = start + len(PIXELS) + len(self.hidden)
        for number, (kind, name, content) in enumerate(self.items, start=2):
            infos.append(infe(number, kind, name))
            places.append((number, 0, position, len(content)))
            position += len(content)
        idat = b""
        for number, (kind, content) in enumerate(self.stored, start=100):
            infos.append(infe(number, kind))
            places.append((number, 1, len(idat), len(content)))
            idat += content
        if self.version:
            rows = b"".join(struct.pack(">HHHHII", n, how, 0, 1, at, size) for n, how, at, size in places)
        else:
            rows = b"".join(struct.pack(">HHHII", n, 0, 1, at, size) for n, _, at, size in places)
        meta = (
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", b"\0\1"),
            full_box(b"iloc", b"\x44\0", struct.pack(">H", len(places)), rows, version=self.version),
            full_box(b"iinf", struct.pack(">H", len(infos)), *infos),
            full_box(b"iref", self.references) if self.references else b"",
            box(b"iprp", box(b"ipco", PROPERTIES, self.properties), box(b"ipma", ASSOCIATIONS)),
            box(b"idat", idat) if idat else b"",
            self.in_meta,
        )
        return FTYP + self.before + full_box(b"meta", *meta) + box(b"mdat", self._media())


def stripped(file: Avif) -> tuple[bytes, tuple[str, ...]]:
    data = file.encoded()
    done = strip_metadata(data, AVIF)
    assert b"7f3a" not in done.data
    assert pictures.look(done.data) == pictures.look(data) == pictures.look(_PLAIN)
    assert len(done.data) == len(data)
    assert strip_metadata(done.data, AVIF).removed == ()
    return done.data, done.removed


@pytest.mark.parametrize("version", [0, 1])
def test_a_file_with_nothing_private_stays_as_it_is(version: int) -> None:
    data = Avif(version=version).encoded()
    assert pictures.look(data) == pictures.look(_PLAIN)
    assert strip_metadata(data, AVIF).data == data


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("kind", "name", "content", "removed"),
    [
        (b"Exif", b"\0", bytes(4) + pictures.exif(1), ("Exif", "GPS position", "embedded thumbnail")),
        (b"Exif", b"\0", b"\0\0\0\6Exif\0\0" + pictures.exif(1), ("Exif", "GPS position", "embedded thumbnail")),
        (b"mime", b"planted 7f3a\0application/rdf+xml\0", pictures.XMP, ("XMP",)),
        (b"mime", b"\0text/planted7f3a\0", pictures.COMMENT, ("other data",)),
        (b"uri ", b"\0urn:planted:7f3a\0", pictures.COMMENT, ("other data",)),
        (b"jumb", b"\0", pictures.CAMERA, ("other data",)),
    ],
)
def test_items_that_are_no_picture_go(
    version: int, kind: bytes, name: bytes, content: bytes, removed: tuple[str, ...]
) -> None:
    file = Avif(items=[(kind, name, content)], references=box(b"cdsc", b"\0\2\0\1\0\1"), version=version)
    data, words = stripped(file)
    assert words == removed
    assert kind not in data
    assert content not in data


def test_an_item_in_the_metadata_box_goes() -> None:
    data, words = stripped(Avif(stored=[(b"jumb", pictures.COMMENT)]))
    assert words == ("other data",)
    assert find(data, b"meta", b"idat") == bytes(len(pictures.COMMENT))


def test_a_thumbnail_goes() -> None:
    small = find(pictures.plain(AVIF, pictures.still((16, 12), seed=9)), b"mdat")
    data, words = stripped(Avif(items=[(b"av01", b"\0", small)], references=box(b"thmb", b"\0\2\0\1\0\1")))
    assert words == ("embedded thumbnail",)
    assert small not in data


def test_the_picture_itself_stays_even_where_it_says_that_it_is_a_thumbnail() -> None:
    data = Avif(references=box(b"thmb", b"\0\1\0\1\0\1")).encoded()
    assert strip_metadata(data, AVIF).data == data


def test_a_description_among_the_properties_goes() -> None:
    description = full_box(b"udes", b"en\0", pictures.COMMENT + b"\0", b"\0\0")
    data, words = stripped(Avif(properties=description))
    assert words == ("other data",)
    assert len(find(data, b"meta", b"iprp", b"ipco")) == len(PROPERTIES) + len(description)


@pytest.mark.parametrize("kind", [b"uuid", b"udta", b"skip", b"abcd", b"\0\xff\n\r"])
def test_boxes_that_the_picture_does_not_need_go(kind: bytes) -> None:
    planted = box(kind, pictures.CAMERA)
    assert stripped(Avif(before=planted))[1] == ("other data",)
    assert stripped(Avif(in_meta=planted))[1] == ("other data",)


def test_nothing_hides_in_free_space_or_between_items() -> None:
    assert stripped(Avif(before=box(b"free", pictures.CAMERA)))[1] == ("unused data",)
    assert stripped(Avif(hidden=pictures.ARCHIVE))[1] == ("unused data",)


@pytest.mark.parametrize(
    "behind",
    [
        pictures.ARCHIVE,
        b"7f3a",
        box(b"mpvd", pictures.CAMERA),
        box(b"ftyp", b"isom") + box(b"mdat", pictures.CAMERA),
        bytes(20) + pictures.CAMERA,
    ],
)
def test_what_is_behind_the_picture_goes(behind: bytes) -> None:
    data = Avif().encoded()
    done = strip_metadata(data + behind, AVIF)
    assert done.data == data
    assert done.removed == ("data after the image",)


def test_media_data_of_open_size_is_blanked_to_the_end_of_the_file() -> None:
    data = Avif().encoded()
    start = len(data) - len(PIXELS) - 8
    open_ended = data[:start] + bytes(4) + data[start + 4 :] + pictures.ARCHIVE
    done = strip_metadata(open_ended, AVIF)
    assert b"7f3a" not in done.data
    assert done.removed == ("unused data",)
    assert pictures.look(done.data) == pictures.look(data)


def test_an_animation_forgets_when_it_was_made() -> None:
    data = pictures.plain(AVIF, frames=3)
    done = strip_metadata(data, AVIF)
    assert done.removed == ("creation time",)
    assert find(data, b"moov", b"mvhd")[4:20] != bytes(16)
    assert find(done.data, b"moov", b"mvhd")[4:20] == bytes(16)
    assert find(done.data, b"moov", b"mvhd")[20:] == find(data, b"moov", b"mvhd")[20:]
    assert pictures.look(done.data) == pictures.look(data)


def test_a_picture_outside_of_the_media_data_is_refused() -> None:
    data = Avif().encoded()
    place = data.index(struct.pack(">HHHH", 1, 0, 0, 1)) + 8
    moved = data[:place] + struct.pack(">I", 8) + data[place + 4 :]
    with pytest.raises(ImageError) as caught:
        strip_metadata(moved, AVIF)
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("missing", [b"ftyp", b"mdat", b"iloc", b"iinf", b"av01"])
def test_a_file_without_what_it_needs_is_refused(missing: bytes) -> None:
    with pytest.raises(ImageError):
        strip_metadata(Avif().encoded().replace(missing, b"xxxx"), AVIF)
