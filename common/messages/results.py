"""The registrar's replies, and the result of each operation (docs/protocol.md, "Requests and replies")."""

from __future__ import annotations

from typing import Literal

from common.messages.fields import Hex32, Hex64, ImageId, Message, Size, Time, UserName
from common.messages.image import Announcement

EnrolmentWords = Literal["Registration Successful", "Connection Successful"]


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

    image_id: ImageId
    stored_at: Time
    sealed_size: Size


class ReleasedKey(Message):
    """A content key, wrapped to the reader's certificate."""

    image_id: ImageId
    encrypted_key: bytes


class UnreleasedKey(Message):
    """An image whose key the registrar does not release, and the code that says why."""

    image_id: ImageId
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
    sha256_sealed: Hex64
    offset: Size
    data: bytes


class ListResult(Message):
    """A page of the catalogue; ``mark`` is where the next one begins, ``complete`` tells that there is none yet."""

    images: tuple[Announcement, ...]
    mark: str
    complete: bool


class RemoveResult(Message):
    """The image is not in the archive, and will not come any more; ``was_stored`` tells whether it was there."""

    image_id: ImageId
    removed_at: Time
    was_stored: bool


class PasswordResult(Message):
    """The new password is the member's from now on."""

    changed_at: Time


class DeleteResult(Message):
    """The account is deleted; its ``images`` are being removed."""

    deleted_at: Time
    images: Size


class RevokeResult(Message):
    """The fingerprints of the certificates that were revoked."""

    certificates: tuple[Hex64, ...]


class AcknowledgeResult(Message):
    """The images whose receipts were taken; of the others none will be."""

    taken: tuple[ImageId, ...]


class ReceiptsResult(Message):
    """A page of receipts, as their readers signed them; ``readers`` are the members for whom the image is."""

    readers: tuple[UserName, ...]
    receipts: tuple[bytes, ...]
    mark: str
    complete: bool


Result = (
    EnrolResult
    | RenewResult
    | MembersResult
    | StoreResult
    | ReleaseResult
    | FetchResult
    | ListResult
    | RemoveResult
    | RevokeResult
    | AcknowledgeResult
    | ReceiptsResult
    | PasswordResult
    | DeleteResult
)


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
