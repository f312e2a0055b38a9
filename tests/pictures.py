"""Makes the pictures that tests need: plain ones, ones with secrets planted in them, and ones that do harm."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageSequence

FORMATS = {
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
}
CARRY_EXIF = set(FORMATS) - {"image/bmp", "image/gif"}
TURNED = 6  # an orientation: to be shown turned by 90 degrees

COMMENT = b"planted comment 7f3a"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">planted xmp 7f3a</x:xmpmeta>'
IPTC = b"planted iptc 7f3a"
THUMBNAIL = b"planted thumbnail 7f3a"
CAMERA = b"planted camera 7f3a"
ARCHIVE = b"PK\x03\x04planted archive 7f3a"
LATITUDE = 1_928_374_651  # of 100,000,000 minutes: its bytes are not found by chance
SECRETS = (b"7f3a", struct.pack("<I", LATITUDE), struct.pack(">I", LATITUDE))

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 1, 2, 3, 4, 5, 7


@dataclass(frozen=True)
class Look:
    """What a person sees of a file: every frame's pixels, and how they are to be shown."""

    frames: tuple[tuple[str, tuple[int, int], bytes], ...]
    orientation: int
    icc_profile: bytes | None
    loop: int | None
    durations: tuple[float | None, ...]


def look(data: bytes) -> Look:
    """Decode a file to its end."""
    with Image.open(BytesIO(data)) as image:
        orientation = image.getexif().get(274, 1)
        loop, icc_profile = image.info.get("loop"), image.info.get("icc_profile")
        frames, durations = [], []
        for frame in ImageSequence.Iterator(image):
            frames.append((frame.mode, frame.size, frame.tobytes()))
            durations.append(frame.info.get("duration"))
            if image.format == "MPO":
                break
    return Look(tuple(frames), orientation, icc_profile, loop, tuple(durations))


def still(size: tuple[int, int] = (64, 48), mode: str = "RGB", *, seed: int = 0) -> Image.Image:
    """Return a picture with gradients and detail, the same one every time."""
    width, height = size
    pixels = bytes(
        value & 255 for y in range(height) for x in range(width) for value in (x * 4 + seed * 40, y * 5, x * y + seed)
    )
    return Image.frombytes("RGB", size, pixels).convert(mode)


def plain(media_type: str, picture: Image.Image | None = None, *, frames: int = 1, **options: Any) -> bytes:  # noqa: ANN401 - whatever Pillow's writer of the format takes
    """Return a file without private metadata; of several frames where ``frames`` says so."""
    first = picture or still()
    if frames > 1:
        options |= {
            "save_all": True,
            "append_images": [still(first.size, first.mode, seed=n) for n in range(1, frames)],
        }
    buffer = BytesIO()
    first.save(buffer, FORMATS[media_type], **options)
    return buffer.getvalue()


def icc_profile() -> bytes:
    """Return a colour profile, the same one every time."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 2024, 5, 6, 7, 8, 9) + profile[36:]  # when it was made


def private(media_type: str, **options: Any) -> bytes:  # noqa: ANN401 - as above
    """Return a file with every secret planted in it that its format can carry, an archive behind it, and
    an orientation and a colour profile where it can carry these."""
    if media_type == "image/avif" and options.get("frames", 1) > 1:
        options["exif"] = exif(1)  # measured: Pillow 13 crashes when it writes an animated AVIF that is turned
    if media_type in CARRY_EXIF:
        options.setdefault("icc_profile", icc_profile())
    return _PLANT[media_type](plain(media_type, **(_OPTIONS.get(media_type, dict)() | options))) + ARCHIVE


def exif(orientation: int = TURNED, *, order: str = ">") -> bytes:
    """Return an Exif block, from its TIFF header on, with the camera, the position and a thumbnail."""
    exif_ifd = [(0x9003, _ASCII, b"2024:05:06 07:08:09\0"), (0x927C, _UNDEFINED, CAMERA)]
    gps_ifd = [
        (1, _ASCII, b"N\0"),
        (2, _RATIONAL, struct.pack(f"{order}6I", 59, 1, LATITUDE, 100_000_000, 0, 1)),
    ]
    first: list[tuple[int, int, bytes]] = [
        (0x010E, _ASCII, COMMENT + b"\0"),
        (0x0110, _ASCII, CAMERA + b"\0"),
        (0x0112, _SHORT, struct.pack(f"{order}H", orientation)),
    ]
    pointers = [(0x8769, _LONG, bytes(4)), (0x8825, _LONG, bytes(4))]
    exif_at = 8 + len(directory(order, 8, first + pointers))
    gps_at = exif_at + len(directory(order, exif_at, exif_ifd))
    second_at = gps_at + len(directory(order, gps_at, gps_ifd))
    pointers = [(0x8769, _LONG, struct.pack(f"{order}I", exif_at)), (0x8825, _LONG, struct.pack(f"{order}I", gps_at))]
    second = [(0x0103, _SHORT, struct.pack(f"{order}H", 6)), (0x0201, _LONG, bytes(4)), (0x0202, _LONG, bytes(4))]
    thumbnail_at = second_at + len(directory(order, second_at, second))
    second[1] = (0x0201, _LONG, struct.pack(f"{order}I", thumbnail_at))
    second[2] = (0x0202, _LONG, struct.pack(f"{order}I", len(THUMBNAIL)))
    return b"".join(
        (
            {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8),
            directory(order, 8, first + pointers, following=second_at),
            directory(order, exif_at, exif_ifd),
            directory(order, gps_at, gps_ifd),
            directory(order, second_at, second),
            THUMBNAIL,
        )
    )


def directory(order: str, at: int, entries: list[tuple[int, int, bytes]], *, following: int = 0) -> bytes:
    """Return a TIFF directory for an offset; each entry is a tag, a type, and a value as bytes."""
    sizes = {_BYTE: 1, _ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _UNDEFINED: 1}
    values_at = at + 2 + 12 * len(entries) + 4
    written, values = struct.pack(f"{order}H", len(entries)), b""
    for tag, kind, value in entries:
        inline = value.ljust(4, b"\0")
        if len(value) > 4:
            inline = struct.pack(f"{order}I", values_at + len(values))
            values += value + bytes(len(value) % 2)
        written += struct.pack(f"{order}HHI", tag, kind, len(value) // sizes[kind]) + inline
    return written + struct.pack(f"{order}I", following) + values


def segment(marker: int, content: bytes) -> bytes:
    """Return a JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def riff(kind: bytes, content: bytes) -> bytes:
    """Return a RIFF chunk."""
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def extension(label: int, *blocks: bytes) -> bytes:
    """Return a GIF extension."""
    return bytes([0x21, label]) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def box(kind: bytes, *contents: bytes) -> bytes:
    """Return a box of the ISO base media file format."""
    content = b"".join(contents)
    return struct.pack(">I", 8 + len(content)) + kind + content


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for what damage makes of a file: bytes changed, cut out, repeated, put in, cut off."""
    places = st.integers(0, len(data))
    change = st.tuples(places, places, st.binary(max_size=8) | st.sampled_from([b"\xff" * 4, bytes(8)]))

    def damage(changes: list[tuple[int, int, bytes]]) -> bytes:
        damaged = data
        for start, other, new in changes:
            end = other if other % 7 == 0 else start + len(new)  # mostly, no byte moves
            damaged = damaged[:start] + new + damaged[end:]
        return damaged

    return st.lists(change, min_size=1, max_size=6).map(damage)


def png_bomb(width: int = 9_500, height: int = 9_500) -> bytes:
    """Return a PNG of about 11 KB with 90 million black pixels."""
    rows = zlib.compressobj(9)
    pixels = b"".join(rows.compress(bytes(1 + (width + 7) // 8)) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def multi_picture_jpeg() -> bytes:
    """Return a JPEG with a second picture behind it, as cameras with two lenses write."""
    buffer = BytesIO()
    still().save(buffer, "MPO", save_all=True, append_images=[still(seed=1)])
    return buffer.getvalue()


def jpeg_with_scans(scans: int) -> bytes:
    """Return a progressive JPEG of 64 by 64 grey pixels with so many scans."""
    first = segment(0xDA, b"\1\1\0\0\0\0") + b"\0" * 8  # 64 blocks, one bit each: no difference
    more = segment(0xDA, b"\1\1\0\1\x3f\0") + b"\x7f"  # one bit for each block: nothing in it
    tables = (
        segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC2, struct.pack(">BHHB", 8, 64, 64, 1) + b"\1\x11\0")
        + segment(0xC4, b"\x00\1" + bytes(15) + b"\0")
        + segment(0xC4, b"\x10\1" + bytes(15) + b"\x60")
    )
    return b"\xff\xd8" + tables + first + more * (scans - 1) + b"\xff\xd9"


def slow_gif(side: int = 2_000, frames: int = 9_000) -> bytes:
    """Return a GIF of 200 KB that takes 20 s to decode: many frames, before each of which all is cleared."""
    frame = b"\x21\xf9\4\x08\0\0\0\0" + b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6) + frame * frames + b";"


def tiff_with_tile(side: int) -> bytes:
    """Return a TIFF of one pixel in a compressed tile of so many pixels a side."""
    tile = zlib.compress(bytes(side * side))
    entries = [
        *((256, _LONG, struct.pack("<I", 1)), (257, _LONG, struct.pack("<I", 1))),
        *((258, _SHORT, b"\x08\0"), (259, _SHORT, b"\x08\0"), (262, _SHORT, b"\1\0"), (277, _SHORT, b"\1\0")),
        *((322, _LONG, struct.pack("<I", side)), (323, _LONG, struct.pack("<I", side))),
        *((324, _LONG, struct.pack("<I", 8)), (325, _LONG, struct.pack("<I", len(tile)))),
    ]
    tile += bytes(len(tile) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(tile)) + tile + directory("<", 8 + len(tile), entries)


def _jpeg_with_secrets(data: bytes) -> bytes:
    jfif = b"JFIF\0\1\1\0\0\1\0\1\2\5" + THUMBNAIL.ljust(30)  # a thumbnail of 2 by 5 pixels
    planted = (
        segment(0xE0, jfif)
        + segment(0xE0, b"JFXX\0\x10" + THUMBNAIL)
        + segment(0xE1, b"Exif\0\0" + exif())
        + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
        + segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + XMP)
        + segment(0xED, b"Photoshop 3.0\x008BIM\4\4\0\0" + struct.pack(">I", len(IPTC)) + IPTC)
        + segment(0xE9, CAMERA)
        + segment(0xFE, COMMENT)
    )
    scan = data.rindex(b"\xff\xda")  # of several, the last
    start = 20 if data[2:4] == b"\xff\xe0" else 2  # after its own JFIF
    return data[:2] + planted + data[start:scan] + segment(0xFE, COMMENT) + data[scan:]


def _png_with_secrets(data: bytes) -> bytes:
    planted = (
        chunk(b"eXIf", exif())
        + chunk(b"tEXt", b"Comment\0" + COMMENT)
        + chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(IPTC, 0))
        + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
        + chunk(b"prVt", CAMERA)
        + chunk(b"tIME", struct.pack(">HBBBBB", 2024, 5, 6, 7, 8, 9))
    )
    return data[:33] + planted + data[33:-12] + chunk(b"tEXt", b"Comment\0" + COMMENT) + data[-12:]


def _webp_with_secrets(data: bytes) -> bytes:
    return riff(b"RIFF", data[8:] + riff(b"PRVT", CAMERA))


def _gif_with_secrets(data: bytes) -> bytes:
    after_header = 13 + (3 << (data[10] & 7) + 1)
    magic = b"\1" + bytes(range(255, -1, -1)) + b"\0"  # how XMP in GIF ends
    planted = (
        extension(0xFE, COMMENT, COMMENT)
        + b"\x21\xff\x0bXMP DataXMP"
        + XMP
        + magic
        + extension(0xFF, b"PRIVATE 1.0", CAMERA)
        + extension(0xFF, b"ICCRGBG1012", b"a colour profile")
    )
    return data[:after_header] + planted + data[after_header:]


def _tiff_with_secrets(data: bytes) -> bytes:
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, first)
    end = first + 2 + 12 * count
    data += bytes(len(data) % 2)
    gps_at, exif_at = len(data), len(data) + 200
    gps = directory(order, gps_at, [(2, _RATIONAL, struct.pack(f"{order}6I", 59, 1, LATITUDE, 100_000_000, 0, 1))])
    camera = directory(order, exif_at, [(0x927C, _UNDEFINED, CAMERA)])
    planted = [
        (270, _ASCII, COMMENT + b"\0"),
        (274, _SHORT, struct.pack(f"{order}H", TURNED)),
        (700, _BYTE, XMP),
        (33723, _UNDEFINED, IPTC),
        (34665, _LONG, struct.pack(f"{order}I", exif_at)),
        (34853, _LONG, struct.pack(f"{order}I", gps_at)),
        (65000, _ASCII, CAMERA + b"\0"),
    ]
    # A directory of the old entries, which stay valid wherever they are, and the new ones, in the order of tags.
    at = exif_at + 200
    old = [data[start : start + 12] for start in range(first + 2, end, 12)]
    new = directory(order, at + 12 * count, planted)  # as if the old entries came before its count
    entries = old + [new[start : start + 12] for start in range(2, 2 + 12 * len(planted), 12)]
    entries.sort(key=lambda entry: struct.unpack(f"{order}H", entry[:2]))
    return b"".join(
        (
            data[:4] + struct.pack(f"{order}I", at) + data[8:first] + bytes(end + 4 - first) + data[end + 4 :],
            gps.ljust(200, b"\0") + camera.ljust(200, b"\0"),
            struct.pack(f"{order}H", len(entries)) + b"".join(entries) + data[end : end + 4],
            new[2 + 12 * len(planted) + 4 :],
        )
    )


_OPTIONS = {
    "image/avif": lambda: {"exif": exif(), "xmp": XMP},
    "image/webp": lambda: {"exif": exif(), "xmp": XMP},
}
_PLANT = {
    "image/avif": lambda data: data + box(b"uuid", bytes(16), CAMERA),
    "image/bmp": lambda data: data,
    "image/gif": _gif_with_secrets,
    "image/jpeg": _jpeg_with_secrets,
    "image/png": _png_with_secrets,
    "image/tiff": _tiff_with_secrets,
    "image/webp": _webp_with_secrets,
}
