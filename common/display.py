"""Text that others wrote and people see: names and captions, without what would fool a terminal or a page."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

LONGEST_NAME, LONGEST_CAPTION = 255, 1000  # characters
# Controls, separators of lines, and the marks that turn the reading direction of a terminal or a page.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
_UNDISPLAYABLE = re.compile(rf"[{_CONTROLS}]")
_NO_NAME = re.compile(rf"[{_CONTROLS}/\\]")


def make_name(text: str) -> str:
    """Return ``text`` without what a display name may not have."""
    return _NO_NAME.sub("_", text.encode(errors="replace").decode())


def make_displayable(text: str) -> str:
    """Return ``text``, such as a path that others have named, without what would fool a terminal or a page."""
    return _UNDISPLAYABLE.sub("_", text)


def is_displayable(text: str) -> bool:
    """Tell whether a terminal or a page shows ``text`` as what it is."""
    return _UNDISPLAYABLE.search(text) is None


def _check_name(text: str) -> str:
    if _NO_NAME.search(text):
        raise ValueError("control characters and path separators are not allowed")
    return text


def _check_caption(text: str) -> str:
    if not is_displayable(text):
        raise ValueError("control characters are not allowed")
    return text


DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME), AfterValidator(_check_name)]
Caption = Annotated[str, StringConstraints(max_length=LONGEST_CAPTION), AfterValidator(_check_caption)]
