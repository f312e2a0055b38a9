"""BMP: Microsoft's BITMAPFILEHEADER, then a BITMAPCOREHEADER or BITMAPINFOHEADER up to version 5."""

from __future__ import annotations

import struct

from common.metadata import words
from common.metadata.container import blank_outside, damaged

_FILE_HEADER, _CORE_HEADER, _INFO_HEADER, _V5_HEADER = 14, 12, 40, 124
_RGB, _RLE8, _RLE4, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 1, 2, 3, 6
_EMBEDDED_PROFILE = b"DEBM"  # PROFILE_EMBEDDED, 'MBED', as a little-endian number


def strip(data: bytes) -> tuple[bytes, list[str]]:
    """Keep the headers, the palette, the pixels and an embedded colour profile, all where they are.

    Run-length encoded pixels are as long as their header says.
    """
    if not data.startswith(b"BM"):
        raise damaged("no BMP at its start")
    pixels, header = struct.unpack_from("<II", data, 10)
    if header == _CORE_HEADER:
        width, height, _, bits = struct.unpack_from("<4H", data, 18)
        compression, size, colours, colour = _RGB, 0, 0, 3
    else:
        width, height, _, bits, compression, size = struct.unpack_from("<iiHHII", data, 18)
        (colours,), colour = struct.unpack_from("<I", data, 46), 4
    if compression in (_RGB, _BIT_FIELDS, _ALPHA_BIT_FIELDS):
        size = (width * bits + 31) // 32 * 4 * abs(height)
    elif compression not in (_RLE8, _RLE4):
        raise damaged(f"BMP compression {compression}")
    if size <= 0 or pixels < _FILE_HEADER + header:
        raise damaged("a BMP without a place for its pixels")

    palette = colour * (colours or (1 << bits if bits <= 8 else 0))  # noqa: PLR2004 - more bits need none
    masks = 16 if header == _INFO_HEADER and compression != _RGB else 0
    kept = [(0, min(_FILE_HEADER + header + masks + palette, pixels)), (pixels, pixels + size)]
    if header == _V5_HEADER and data[70:74] == _EMBEDDED_PROFILE:
        profile, length = struct.unpack_from("<II", data, 126)
        kept.append((_FILE_HEADER + profile, _FILE_HEADER + profile + length))

    end = max(end for _, end in kept)
    if end > len(data):
        raise damaged("its pixels end too early")
    picture, removed = bytearray(data[:end]), []
    if end < len(data):
        struct.pack_into("<I", picture, 2, end)
        removed.append(words.AFTER_THE_IMAGE)
    if blank_outside(picture, (0, end), kept):
        removed.append(words.UNUSED)
    return bytes(picture), removed
