"""Every JSON object of the protocol: requests, replies, the image header, the announcement.

All are frozen and refuse what they do not know (docs/protocol.md, "Requests and replies", "The sealed image",
"Announcements").
"""

from __future__ import annotations

import functools
import re
import secrets
import uuid
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_serializer,
)

from common.display import Caption, DisplayName
from common.errors import VerificationError

if TYPE_CHECKING:
    import datetime as dt

STORE_REQUEST = "store-request"  # the user property in which a store request travels with its image

_NONCE = re.compile(r"[0-9a-f]{32}")
Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_EARLIEST, _LATEST = 2000, 9998  # years that every time zone and database can represent
_LONGEST_REASON = 64  # characters of a name that a stranger chose


def _check_time(time: dt.datetime) -> dt.datetime:
    if not _EARLIEST <= time.year <= _LATEST:
        raise ValueError("the year is out of range")
    return time


Time = Annotated[AwareDatetime, AfterValidator(_check_time)]
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Size = Annotated[int, Field(ge=0, lt=2**63)]
MediaType = Literal["image/png", "image/jpeg", "image/webp", "image/gif", "image/tiff", "image/avif", "image/bmp"]
Audience = Literal["members", "named"]
EnrolmentWords = Literal["Registration Successful", "Connection Successful"]


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


class ImageHeader(Message):
    """What the owner signs about an image (docs/protocol.md, "The sealed image")."""

    version: Literal[1] = 1
    purpose: Literal["sealcast-image"] = "sealcast-image"
    image_id: uuid.UUID
    owner: UserName
    audience: Audience
    recipients: tuple[Hex64, ...]
    topic: str
    name: DisplayName
    media_type: MediaType
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    size: Size
    sha256: Hex64
    sent_at: Time
    expires_at: Time | None = None
    caption: Caption | None = None


class Announcement(Message):
    """NEW_IMAGE: a notice to every subscriber, no evidence (docs/protocol.md, "Announcements")."""

    event: Literal["NEW_IMAGE"] = "NEW_IMAGE"
    image_id: uuid.UUID
    name: DisplayName | None
    owner: UserName
    channel: str
    size: Size
    sealed_size: Size
    sha256_sealed: Hex64
    stored_at: Time
    expires_at: Time | None = None


def _fresh_nonce() -> str:
    return secrets.token_hex(16)


class BaseRequest(Message):
    """What every request has (docs/protocol.md, "Requests and replies")."""

    version: Literal[1] = 1
    purpose: Literal["sealcast-request"] = "sealcast-request"
    topic: str
    nonce: Hex32 = Field(default_factory=_fresh_nonce)
    sent_at: Time


class EnrolRequest(BaseRequest):
    """Register a user, or log in on this device."""

    operation: Literal["enrol"] = "enrol"
    user: str
    password: SecretStr
    csr: str

    @field_serializer("password", when_used="json")
    def _reveal_password(self, password: SecretStr) -> str:
        # The JSON goes straight into an envelope for the registrar; repr() and logs keep the mask.
        return password.get_secret_value()


class RenewRequest(BaseRequest):
    """Ask for a new certificate."""

    operation: Literal["renew"] = "renew"
    csr: str


class MembersRequest(BaseRequest):
    """Ask for the certificates of the named users, or of every member (``users`` is None)."""

    operation: Literal["members"] = "members"
    users: Annotated[tuple[UserName, ...], Field(min_length=1, max_length=64)] | None


class StoreRequest(BaseRequest):
    """Travels with an image, and asks that it be stored and announced."""

    operation: Literal["store"] = "store"
    name: DisplayName | None
    size: Size
    sha256_sealed: Hex64


class ReleaseRequest(BaseRequest):
    """Ask for the content keys of images for members."""

    operation: Literal["release"] = "release"
    image_ids: Annotated[tuple[uuid.UUID, ...], Field(min_length=1, max_length=64)]


class FetchRequest(BaseRequest):
    """Ask for a part of a stored sealed image."""

    operation: Literal["fetch"] = "fetch"
    image_id: uuid.UUID
    offset: Size


Request = Annotated[
    EnrolRequest | RenewRequest | MembersRequest | StoreRequest | ReleaseRequest | FetchRequest,
    Field(discriminator="operation"),
]


class EnrolResult(Message):
    """A certificate, PEM, and the words for the person."""

    message: EnrolmentWords
    certificate: str


class RenewResult(Message):
    """A certificate, PEM."""

    certificate: str


class MembersResult(Message):
    """Certificates, PEM; ``complete`` is false where every member was asked for and there are too many."""

    certificates: tuple[str, ...]
    complete: bool


class StoreResult(Message):
    """The image is stored durably."""

    image_id: uuid.UUID
    stored_at: Time
    sealed_size: Size


class ReleasedKey(Message):
    """A content key, wrapped to the reader's certificate."""

    image_id: uuid.UUID
    encrypted_key: bytes


class UnreleasedKey(Message):
    """An image whose key the registrar does not release, and the code that says why."""

    image_id: uuid.UUID
    code: str


class ReleaseResult(Message):
    """What was released and what was not."""

    keys: tuple[ReleasedKey, ...]
    refused: tuple[UnreleasedKey, ...]


class FetchResult(Message):
    """A part of a stored sealed image, from ``offset`` on."""

    topic: str
    stored_at: Time
    sealed_size: Size
    offset: Size
    data: bytes


Result = EnrolResult | RenewResult | MembersResult | StoreResult | ReleaseResult | FetchResult


class ReplyError(Message):
    """A refusal: a stable code, and words for the person."""

    code: str
    message: str
    hint: str | None = None
    retry_after: float | None = None


class Reply(Message):
    """What the registrar signs in answer to one request; exactly one of ``result`` and ``error`` is there."""

    version: Literal[1] = 1
    purpose: Literal["sealcast-reply"] = "sealcast-reply"
    operation: str
    nonce: Hex32
    request_sha256: Hex64
    sent_at: Time
    result: Result | None = None
    error: ReplyError | None = None


AnyMessage = TypeVar("AnyMessage", bound=Message)


def is_nonce(value: object) -> bool:
    """Tell whether ``value`` is a nonce."""
    return isinstance(value, str) and _NONCE.fullmatch(value) is not None


def read_request(json: bytes) -> Request:
    """Return the request that ``json`` holds; raises VerificationError for anything else."""
    try:
        return _request_reader().validate_json(json)
    except ValidationError as error:
        raise VerificationError(_first_reason(error), message="the request is not understood") from error


@functools.cache
def _request_reader() -> TypeAdapter[Request]:
    return TypeAdapter(Request)


def read(kind: type[AnyMessage], json: bytes | str) -> AnyMessage:
    """Return the message of this kind that ``json`` holds; raises VerificationError for anything else."""
    try:
        return kind.model_validate_json(json)
    except ValidationError as error:
        raise VerificationError(_first_reason(error)) from error


def _first_reason(error: ValidationError) -> str:
    # Never the input itself: an enrolment holds a password.
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(ascii(part)[:_LONGEST_REASON] for part in first["loc"])
    return f"{where}: {first['msg']}"
