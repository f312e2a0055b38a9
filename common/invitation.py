"""What lets somebody in besides a password: one-time tokens, and the line that invites (docs/protocol.md, "Tokens").

Pure: no I/O.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import struct
from dataclasses import dataclass
from typing import Self

from common.errors import ConfigurationError

INVITATION_BYTES, CODE_BYTES = 20, 15  # of a token: 160 bits that nobody types, 120 that somebody may have to
_BASE32, _CROCKFORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghjkmnpqrstvwxyz"
_TO_CROCKFORD = str.maketrans(_BASE32, _CROCKFORD)
_FROM_CROCKFORD = str.maketrans(_CROCKFORD, _BASE32)
_LOOK_ALIKES = str.maketrans("ilo", "110")
_CODE = re.compile(rf"[{_CROCKFORD}]{{24}}")
_GROUP = 4

_SCHEME = "sealcast-invite:"
_LINE = re.compile(r"[A-Za-z0-9_-]+")
_VERSION = 1
_HEAD = struct.Struct(f">BHH32s{INVITATION_BYTES}s")
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")


def new_token(size: int) -> str:
    """Return a fresh token of ``size`` random bytes, a multiple of 5, in Crockford's base 32: no look-alikes."""
    return _write_token(secrets.token_bytes(size))


def show_code(token: str) -> str:
    """Return a token as a person reads it: in groups of four."""
    return "-".join(token[start : start + _GROUP] for start in range(0, len(token), _GROUP))


def read_code(text: str) -> str:
    """Return the token that a person has typed, however it is grouped; raises ConfigurationError, ``invalid_code``."""
    token = re.sub(r"[\s-]", "", text).lower().translate(_LOOK_ALIKES)
    if not _CODE.fullmatch(token):
        raise ConfigurationError(
            "the code is not 24 letters and digits",
            hint="type it as `registrar reset` has printed it",
            code="invalid_code",
        )
    return token


@dataclass(frozen=True, slots=True)
class Invitation:
    """All that a newcomer needs: where the broker's two doors are, the pin (64 hexadecimal digits), and the token."""

    broker: str
    port: int
    enrol_port: int
    pin: str
    token: str

    def line(self) -> str:
        """Return the invitation as one line; raises ConfigurationError, ``invalid_host``, for a host that is none."""
        if not _HOST.fullmatch(self.broker):
            raise ConfigurationError(
                f"{self.broker!r} is no name of a broker",
                hint="give a host name or an address with --broker",
                code="invalid_host",
            )
        head = _HEAD.pack(
            _VERSION, self.port, self.enrol_port, bytes.fromhex(self.pin), base64.b32decode(_to_base32(self.token))
        )
        return _SCHEME + base64.urlsafe_b64encode(head + self.broker.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, line: str) -> Self:
        """Return the invitation that a line holds; raises ConfigurationError, ``invalid_invitation``."""
        try:
            return cls._parse("".join(line.split()))  # a letter may have broken the line
        except (ValueError, struct.error) as error:
            raise ConfigurationError(
                "this is no invitation",
                hint=f"copy the whole line that `registrar invite` has printed, from {_SCHEME} to its end",
                code="invalid_invitation",
            ) from error

    @classmethod
    def _parse(cls, line: str) -> Self:
        text = line.removeprefix(_SCHEME)
        if text == line or not _LINE.fullmatch(text):
            raise ValueError("not one word of base64url behind the scheme")
        try:
            content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error as error:
            raise ValueError("not base64url") from error
        version, port, enrol_port, pin, token = _HEAD.unpack(content[: _HEAD.size])
        broker = content[_HEAD.size :].decode("ascii")
        if version != _VERSION or not port or not enrol_port or not _HOST.fullmatch(broker):
            raise ValueError("of another version, or without a broker")
        return cls(broker, port, enrol_port, pin.hex(), _write_token(token))


def _write_token(content: bytes) -> str:
    return base64.b32encode(content).decode().translate(_TO_CROCKFORD)


def _to_base32(token: str) -> str:
    return token.translate(_FROM_CROCKFORD)
