"""BMP: Microsoft's BITMAPFILEHEADER and BITMAPINFOHEADER to BITMAPV5HEADER."""

from __future__ import annotations

import struct

from common.metadata.container import AFTER_THE_IMAGE, UNUSED, damaged
