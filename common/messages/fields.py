"""What every JSON object of the protocol has in common: strictness, and the kinds of their members."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from common import topics
from common.errors import VerificationError

if TYPE_CHECKING:
    import datetime as dt

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_EARLIEST, _LATEST = 2000, 9998  # years that every time zone and database can represent
_LONGEST_REASON = 64  # characters of a name that a stranger chose


def _check_time(time: dt.datetime) -> dt.datetime:
    if not _EARLIEST <= time.year <= _LATEST:
        raise ValueError("the year is out of range")
    return time


def _check_spelling(image_id: object) -> object:
    # Otherwise an owner could sign one id in many spellings, and whoever compares texts would take them for many.
    if isinstance(image_id, str) and topics.parse_image_id(image_id) is None:
        raise ValueError("not the one spelling of an image id")
    return image_id


ImageId = Annotated[uuid.UUID, BeforeValidator(_check_spelling)]
Time = Annotated[AwareDatetime, AfterValidator(_check_time)]
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Size = Annotated[int, Field(ge=0, lt=2**63)]
MediaType = Literal["image/png", "image/jpeg", "image/webp", "image/gif", "image/tiff", "image/avif", "image/bmp"]
Audience = Literal["members", "named"]


class Message(BaseModel):
    """A frozen JSON object that refuses unknown members; bytes are base64url."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        # A command uses few of them, and building one costs 2 ms (measured).
        defer_build=True,
    )

    def to_json(self) -> bytes:
        """Return the object as UTF-8 JSON."""
        return self.model_dump_json().encode()


AnyMessage = TypeVar("AnyMessage", bound=Message)


def read(kind: type[AnyMessage], json: bytes | str) -> AnyMessage:
    """Return the message of this kind that ``json`` holds; raises VerificationError for anything else."""
    try:
        message = kind.model_validate_json(json)
    except ValidationError as error:
        raise VerificationError(first_reason(error)) from error
    demand_all(message)
    return message


def demand_all(message: Message) -> None:
    """Raise VerificationError where a member was left out: defaults are for those who write."""
    if left_out := type(message).model_fields.keys() - message.model_fields_set:
        raise VerificationError(f"{min(left_out)}: left out", message="the message is not understood")


def first_reason(error: ValidationError) -> str:
    """Return what is wrong first, and where; for the log."""
    # Never the input itself: an enrolment holds a password.
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(ascii(part)[:_LONGEST_REASON] for part in first["loc"])
    return f"{where}: {first['msg']}"
