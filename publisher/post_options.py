"""The options that say what the owner wants for an image: those of post and watch."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

from common.completion import offering
from common.console import option
from common.enveloping import Cipher
from common.member_commands import read_channel
from common.option_values import parse_lifetime, parser
from publisher.post import Wishes

if TYPE_CHECKING:
    from collections.abc import Iterable

ToOption = Annotated[
    list[str] | None,
    option("--to", metavar="USER", help="Only for this member; may be repeated.", autocompletion=offering("people")),
]
ChannelOption = Annotated[
    str,
    option(
        "--channel",
        help="Where it appears: one to four words joined by /.",
        metavar="CHANNEL",
        parser=read_channel,
        autocompletion=offering("channels"),
    ),
]
CaptionOption = Annotated[str | None, option("--caption", help="A line for the readers, sealed with the image.")]
ExpiresOption = Annotated[
    dt.timedelta | None,
    option(
        "--expires",
        help="How long it is there, as 12h or 7d: s, m, h, d or w.",
        metavar="LIFETIME",
        parser=parser(parse_lifetime),
    ),
]
KeepMetadataOption = Annotated[
    bool, option("--keep-metadata", help="Post the bytes exactly as they are, position and all.")
]
CipherOption = Annotated[Cipher, option("--cipher", metavar=None, help="How the image is encrypted.")]


def make_wishes(
    to: Iterable[str] | None,
    channel: str,
    caption: str | None,
    expires: dt.timedelta | None,
    *,
    keep_metadata: bool,
    cipher: Cipher,
) -> Wishes:
    """Return what the options say; raises ConfigurationError for what cannot be."""
    return Wishes(tuple(dict.fromkeys(to or ())), channel, caption, keep_metadata, cipher, expires)
