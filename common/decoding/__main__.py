"""The decoding process: confines itself, then decodes what it is asked to until its parent is gone."""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from common.decoding import OUT_OF_MEMORY
from common.decoding.inspection import inspect, make_thumbnail
from common.decoding.limits import confine, limit_processor_time
from common.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Work with ``memory`` bytes of address space, and ``seconds`` of processor time for each image."""
    memory, seconds = map(int, sys.argv[1:])
    confine(memory)
    _write({})
    while request := sys.stdin.buffer.readline():
        limit_processor_time(seconds)
        try:
            _write(_answer(json.loads(request)))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)  # what is left of the image may hold all memory that there is


def _answer(request: dict[str, Any]) -> dict[str, object]:
    operation = _OPERATIONS[request.pop("operation")]
    data = sys.stdin.buffer.read(request.pop("size"))
    try:
        return operation(data, **request)
    except ImageError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}


def _inspect(data: bytes, *, maximum_pixels: int) -> dict[str, object]:
    facts = inspect(data, maximum_pixels=maximum_pixels)
    return {"media_type": facts.media_type, "width": facts.width, "height": facts.height}


def _thumbnail(data: bytes, *, maximum_pixels: int, longest_side: int) -> dict[str, object]:
    thumbnail = make_thumbnail(data, maximum_pixels=maximum_pixels, longest_side=longest_side)
    return {"thumbnail": base64.urlsafe_b64encode(thumbnail).decode()}


def _write(answer: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


_OPERATIONS: dict[str, Callable[..., dict[str, object]]] = {"inspect": _inspect, "thumbnail": _thumbnail}

if __name__ == "__main__":
    main()
