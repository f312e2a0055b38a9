"""Requests to the registrar (docs/protocol.md, "Requests and replies", "Operations")."""

from __future__ import annotations

import functools
import re
import secrets
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, SecretStr, TypeAdapter, ValidationError

from common.display import DisplayName
from common.errors import VerificationError
from common.messages.fields import Hex32, Hex64, ImageId, Message, Size, Time, UserName, demand_all, first_reason

STORE_REQUEST = "store-request"  # the user property in which a store request travels with its image
LONGEST_PAGE = 100  # entries of the catalogue, or receipts, in one reply
MOST_RECEIPTS = 8  # in one request: each is up to 4 KiB
Order = Literal["oldest", "newest"]  # which come first
# The JSON goes straight into an envelope for the registrar; repr() and logs keep the mask.
Secret = Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value, return_type=str, when_used="json")]
# What an owner may say of a device; a hold is for the registrar, who alone can lift it.
OwnReason = Literal["cessation-of-operation", "superseded", "key-compromise"]
_NONCE = re.compile(r"[0-9a-f]{32}")


def fresh_nonce() -> str:
    """Return a nonce that no request had before."""
    return secrets.token_hex(16)


class BaseRequest(Message):
    """What every request has (docs/protocol.md, "Requests and replies")."""

    version: Literal[1] = 1
    purpose: Literal["sealcast-request"] = "sealcast-request"
    topic: str
    nonce: Hex32 = Field(default_factory=fresh_nonce)
    sent_at: Time


class EnrolRequest(BaseRequest):
    """Register a user, or log in on this device; the token is an invitation's, or a code that resets the password."""

    operation: Literal["enrol"] = "enrol"
    user: str
    password: Secret
    token: Secret | None = None
    csr: str


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
    expires_at: Time | None = None


class ReleaseRequest(BaseRequest):
    """Ask for the content keys of images for members."""

    operation: Literal["release"] = "release"
    image_ids: Annotated[tuple[ImageId, ...], Field(min_length=1, max_length=64)]


class FetchRequest(BaseRequest):
    """Ask for a part of a stored sealed image, of this owner or of whoever has stored it (``owner`` is None)."""

    operation: Literal["fetch"] = "fetch"
    owner: UserName | None
    image_id: ImageId
    offset: Size


class ListRequest(BaseRequest):
    """Ask for a page of the catalogue, from a mark on, or from its beginning or its end where the mark is None."""

    operation: Literal["list"] = "list"
    order: Order
    mark: Annotated[str, Field(max_length=64)] | None
    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE)]


class RemoveRequest(BaseRequest):
    """Ask that an image of one's own be removed."""

    operation: Literal["remove"] = "remove"
    image_id: ImageId


class ConfidentialRequest(BaseRequest):
    """One with a member's password in it: signed by the member, then sealed to the registrar."""


class PasswordRequest(ConfidentialRequest):
    """Ask for another password."""

    operation: Literal["password"] = "password"
    old_password: Secret
    new_password: Secret


class DeleteRequest(ConfidentialRequest):
    """Ask that one's account be deleted, with all that it owns."""

    operation: Literal["delete"] = "delete"
    password: Secret


class RevokeRequest(BaseRequest):
    """Ask that one device of one's own be revoked, by a fingerprint, or every one (``device`` is None)."""

    operation: Literal["revoke"] = "revoke"
    device: Hex64 | None
    reason: OwnReason


class AcknowledgeRequest(BaseRequest):
    """Bring receipts of one's own: each a SignedData over a Receipt, by the signer of this request."""

    operation: Literal["acknowledge"] = "acknowledge"
    receipts: Annotated[tuple[bytes, ...], Field(min_length=1, max_length=MOST_RECEIPTS)]


class ReceiptsRequest(BaseRequest):
    """Ask for a page of the receipts of an image of one's own, from a mark on."""

    operation: Literal["receipts"] = "receipts"
    image_id: ImageId
    mark: Annotated[str, Field(max_length=64)] | None


Request = Annotated[
    EnrolRequest
    | RenewRequest
    | MembersRequest
    | StoreRequest
    | ReleaseRequest
    | FetchRequest
    | ListRequest
    | RemoveRequest
    | RevokeRequest
    | AcknowledgeRequest
    | ReceiptsRequest
    | PasswordRequest
    | DeleteRequest,
    Field(discriminator="operation"),
]


def is_nonce(value: object) -> bool:
    """Tell whether ``value`` is a nonce."""
    return isinstance(value, str) and _NONCE.fullmatch(value) is not None


def read_request(json: bytes) -> Request:
    """Return the request that ``json`` holds; raises VerificationError for anything else."""
    try:
        request = _request_reader().validate_json(json)
    except ValidationError as error:
        raise VerificationError(first_reason(error), message="the request is not understood") from error
    demand_all(request)
    return request


@functools.cache
def _request_reader() -> TypeAdapter[Request]:
    return TypeAdapter(Request)
