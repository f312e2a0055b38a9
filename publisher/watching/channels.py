"""The channel of a file by the folder that it is in: a camera's or a project's folder becomes a feed."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from common import topics
from common.errors import ConfigurationError, ImageError

if TYPE_CHECKING:
    from pathlib import PurePosixPath

NO_CHANNEL_CODE = "no_channel"


def channel_of(path: PurePosixPath, otherwise: str) -> str:
    """Return the channel for a file by its path below the watched folder, ``otherwise`` where it is in no sub-folder.

    ``Site 7/Gate/1.jpg`` is for ``site-7/gate``: small letters without accents, hyphens for the rest.
    Raises ImageError, code ``no_channel``, where that makes no channel; two alphabets are not guessed at.
    """
    folders = path.parts[:-1]
    if not folders:
        return otherwise
    try:
        return topics.check_channel("/".join(map(_word, folders)))
    except ConfigurationError as error:
        raise ImageError(
            f"its folder, {'/'.join(folders)}, makes no channel",
            code=NO_CHANNEL_CODE,
            hint="rename the folder: a channel is one to four words of up to 32 letters a to z, digits and hyphens",
        ) from error


def _word(name: str) -> str:
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name.casefold()) if not _is_accent(letter))
    # What is a letter or a digit of another alphabet stays, and is refused.
    return re.sub(r"[\W_]+", "-", plain).strip("-")


def _is_accent(letter: str) -> bool:
    return unicodedata.combining(letter) > 0
