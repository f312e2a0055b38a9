"""How the command line reads what is given with an option."""

from __future__ import annotations

import datetime as dt
import functools
import re
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer

from common.errors import ConfigurationError
from common.words import from_words

if TYPE_CHECKING:
    from collections.abc import Callable

_FINGERPRINT = re.compile("[0-9a-f]{64}")
_LIFETIME = re.compile(r"([0-9]{1,10})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_KEY_SIZES = (2048, 3072, 4096)  # bits
_LONGEST_LIFETIME = 100 * 365 * _SECONDS["d"]
_Arguments = ParamSpec("_Arguments")
_Parsed = TypeVar("_Parsed")


def parser(check: Callable[_Arguments, _Parsed]) -> Callable[_Arguments, _Parsed]:
    """Return ``check`` for an option or an argument: what it refuses with ConfigurationError is wrong usage."""

    @functools.wraps(check)
    def parse(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Parsed:
        try:
            return check(*arguments, **named)
        except ConfigurationError as error:
            raise typer.BadParameter(error.message) from error

    return parse


def parse_fingerprint(text: str) -> str:
    """Return the fingerprint that ``text`` is; raises ConfigurationError."""
    if not _FINGERPRINT.fullmatch(text):
        raise ConfigurationError(
            f"{text!r} cannot be a fingerprint: it has 64 hexadecimal digits", hint="copy it as `whoami` prints it"
        )
    return text


def parse_pin(text: str) -> str:
    """Return a fingerprint as 64 small hexadecimal digits; colons, spaces and capitals are taken too, and its words."""
    pin = text.lower().removeprefix("sha256:").replace(":", "").replace(" ", "")
    if _FINGERPRINT.fullmatch(pin):
        return pin
    words = text.split()
    if len(words) > 1 and "".join(words).isalpha():
        pin = from_words(text).hex()
    if not _FINGERPRINT.fullmatch(pin):
        raise ConfigurationError(
            "the fingerprint is not 64 hexadecimal digits, nor 24 words",
            hint="copy the whole line that `registrar fingerprint` prints, or the one that it prints with --words",
            code="invalid_pin",
        )
    return pin


def check_key_size(bits: int) -> int:
    """Return how many bits a new key is to have; raises ConfigurationError."""
    if bits not in _KEY_SIZES:
        raise ConfigurationError(
            f"a key of {bits} bits is not possible", hint="use 2048, 3072 or 4096", code="invalid_key_size"
        )
    return bits


def parse_lifetime(text: str) -> dt.timedelta:
    """Return what ``text`` spells, as ``7d``: seconds, minutes, hours, days or weeks; raises ConfigurationError."""
    match = _LIFETIME.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST_LIFETIME:
        raise ConfigurationError(
            f"{text!r} cannot be a lifetime",
            hint="give a number of seconds, minutes, hours, days or weeks up to 100 years: 90s, 45m, 12h, 7d, 2w",
            code="invalid_lifetime",
        )
    return dt.timedelta(seconds=seconds)


def demand_one_pin(pins: set[str]) -> str:
    """Return the one pin that was given or is remembered; raises ConfigurationError."""
    if not pins:
        raise ConfigurationError(
            "there is no pin, so nobody could tell this broker from an impostor's",
            hint="ask who runs the registrar for the line that `registrar fingerprint` prints, "
            "and give it with --ca-fingerprint, or for an invitation",
            code="no_pin",
        )
    if len(pins) > 1:
        raise ConfigurationError(
            "the certificate authority is not the one whose fingerprint was given, or is remembered",
            hint="give one of --ca, --ca-fingerprint and --invite; another authority's members have another --home",
            code="wrong_pin",
        )
    return pins.pop()
