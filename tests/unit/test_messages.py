from __future__ import annotations

import datetime as dt
import json
import secrets
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from authorities import NOW, default
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sealed_images import make_header

from common import display, messages
from common.errors import VerificationError
from common.messages import Announcement, EnrolRequest, FetchResult, ImageHeader, MembersRequest, Reply, ReplyError

if TYPE_CHECKING:
    from collections.abc import Callable

COMMON = {"topic": "sealcast/v1/requests/x", "nonce": "ab" * 16, "sent_at": NOW}
IMAGE_ID = uuid.UUID(int=7)
REQUESTS: list[messages.Request] = [
    EnrolRequest(**COMMON, user="alice", password=SecretStr("a password"), csr="PEM"),
    EnrolRequest(**COMMON, user="alice", password=SecretStr("a password"), token=SecretStr("a token"), csr="PEM"),
    messages.RenewRequest(**COMMON, csr="PEM"),
    MembersRequest(**COMMON, users=("alice", "bob")),
    MembersRequest(**COMMON, users=None),
    messages.StoreRequest(**COMMON, name="cat.png", size=0, sha256_sealed="0" * 64),
    messages.ReleaseRequest(**COMMON, image_ids=(IMAGE_ID,)),
    messages.FetchRequest(**COMMON, owner=None, image_id=IMAGE_ID, offset=0),
    messages.ListRequest(**COMMON, order="oldest", mark=None, limit=100),
    messages.RemoveRequest(**COMMON, image_id=IMAGE_ID),
    messages.PasswordRequest(**COMMON, old_password=SecretStr("an old one"), new_password=SecretStr("a new one")),
    messages.DeleteRequest(**COMMON, password=SecretStr("a password")),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: str(request.operation))
def test_a_request_is_read_as_it_was_written(request_: messages.Request) -> None:
    assert messages.read_request(request_.to_json()) == request_
    members = json.loads(request_.to_json())
    assert (members["version"], members["purpose"]) == (1, "sealcast-request")


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: str(request.operation))
def test_a_request_with_one_member_too_many_or_too_few_is_refused(request_: messages.Request) -> None:
    members = json.loads(request_.to_json())
    with pytest.raises(VerificationError, match="the request is not understood") as raised:
        messages.read_request(json.dumps(members | {"extra": 1}).encode())
    assert "extra" in raised.value.reason
    for name in members:
        less = {key: value for key, value in members.items() if key != name}
        with pytest.raises(VerificationError):
            messages.read_request(json.dumps(less).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": "1"},
        {"purpose": "sealcast-reply"},
        {"operation": "dance"},
        {"operation": ["members"]},
        {"nonce": "AB" * 16},
        {"nonce": "ab" * 15},
        {"nonce": "ab" * 16 + "\n"},
        {"nonce": None},
        {"sent_at": 0},
        {"sent_at": "0001-01-01T00:00:00+23:59"},
        {"sent_at": "9999-12-31T23:59:59-23:59"},
        {"sent_at": "yesterday"},
        {"sent_at": "2026-11-24T12:00:00"},
        {"users": []},
        {"users": "alice"},
        {"users": ["alice"] * 65},
        {"users": ["Alice"]},
        {"users": ["alice\n"]},
        {"users": [1]},
    ],
)
def test_a_request_with_a_member_of_another_kind_is_refused(changes: dict[str, Any]) -> None:
    members = json.loads(MembersRequest(**COMMON, users=("alice",)).to_json())
    assert messages.read_request(json.dumps(members).encode())
    with pytest.raises(VerificationError):
        messages.read_request(json.dumps(members | changes).encode())


@pytest.mark.parametrize(
    "spelling", [str.upper, lambda text: text.replace("-", ""), "urn:uuid:{}".format, "{{{}}}".format]
)
def test_an_image_id_has_one_spelling(spelling: Callable[[str], str]) -> None:
    """Fuzzing found that a signed header could spell it in others."""
    image_id = str(uuid.UUID("019ab5f0-7c00-7abc-8def-0123456789ab"))
    members = json.loads(make_header([], image_id=uuid.UUID(image_id)).to_json())
    assert messages.read(ImageHeader, json.dumps(members)).image_id == uuid.UUID(image_id)
    with pytest.raises(VerificationError, match="image could not be verified") as raised:
        messages.read(ImageHeader, json.dumps(members | {"image_id": spelling(image_id)}))
    assert "image_id" in raised.value.reason


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"1", b"{", b"\xff", b"[" * 60_000, b'{"a":1}{"a":1}'])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(VerificationError):
        messages.read_request(text)
    with pytest.raises(VerificationError):
        messages.read(Announcement, text)


@given(text=st.binary(max_size=100))
def test_no_bytes_are_too_strange_to_read(text: bytes) -> None:
    with pytest.raises(VerificationError):
        messages.read_request(text)


def test_a_nonce_is_fresh_and_known_as_one() -> None:
    first, second = (MembersRequest(topic="t", sent_at=NOW, users=None).nonce for _ in range(2))
    assert first != second
    assert messages.is_nonce(first)
    for other in ("", "ab" * 15, "AB" * 16, "ab" * 16 + "\n", 1, None, [first]):
        assert not messages.is_nonce(other)


def test_a_password_is_sealed_and_never_shown() -> None:
    request = EnrolRequest(**COMMON, user="alice", password=SecretStr("a long password"), csr="PEM")
    assert "a long password" not in f"{request!r} {request}"
    assert b"a long password" in request.to_json()
    wrong = json.loads(request.to_json()) | {"user": 1, "password": ["a long password"]}
    with pytest.raises(VerificationError) as raised:
        messages.read_request(json.dumps(wrong).encode())
    assert "a long password" not in f"{raised.value.reason} {raised.value}"


HEADER = json.loads(make_header([default().registrar]).to_json())


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"purpose": "sealcast-request"},
        {"image_id": "no id"},
        {"owner": "../alice"},
        {"audience": "everyone"},
        {"recipients": ["AB" * 32]},
        {"recipients": "ab" * 32},
        {"name": ""},
        {"name": "a" * 256},
        {"name": "a/b"},
        {"name": "a\\b"},
        {"name": "a\nb"},
        {"name": "a\x9bb"},
        {"name": "gpj.\u202etxt"},
        {"name": None},
        {"media_type": "image/svg+xml"},
        {"width": 0},
        {"height": -1},
        {"height": 1.0},
        {"size": -1},
        {"sha256": "0" * 63},
        {"sent_at": 1},
        {"expires_at": "2026-11-24T12:00:00"},
        {"sent_at": "1999-12-31T23:59:59Z"},
        {"sent_at": "9999-01-01T00:00:00Z"},
        {"size": 2**63},
        {"caption": "a" * 1001},
        {"caption": "a\nb"},
        {"caption": "\u202e"},
        {"extra": 1},
    ],
)
def test_an_image_header_of_another_kind_is_refused(changes: dict[str, Any]) -> None:
    assert (
        messages.read(ImageHeader, json.dumps(HEADER)).to_json() == json.dumps(HEADER, separators=(",", ":")).encode()
    )
    with pytest.raises(VerificationError):
        messages.read(ImageHeader, json.dumps(HEADER | changes))


@pytest.mark.parametrize("name", ["a", "a" * 255, "Katze auf Sofa.png", "猫.png", ".hidden", "a:b"])
def test_these_are_names_for_display(name: str) -> None:
    assert display.make_name(name) == name
    assert messages.read(ImageHeader, json.dumps(HEADER | {"name": name})).name == name


@pytest.mark.parametrize("caption", ["", "a" * 1000, "a/b", "Katze — auf dem Sofa", "猫"])
def test_these_are_captions(caption: str) -> None:
    assert display.is_displayable(caption)
    assert messages.read(ImageHeader, json.dumps(HEADER | {"caption": caption})).caption == caption


@given(name=st.text(min_size=1, max_size=255, alphabet=st.characters()))
def test_any_name_can_be_made_one_for_display(name: str) -> None:
    displayable = display.make_name(name)
    assert len(displayable) == len(name)
    assert messages.read(ImageHeader, json.dumps(HEADER | {"name": displayable})).name == displayable


def test_a_file_name_that_is_no_text_can_be_made_one_for_display() -> None:
    assert display.make_name("caf\udcff/\u202e.jpg") == "caf?__.jpg"


def test_the_announcement_is_that_of_the_protocol() -> None:
    announcement = Announcement(
        image_id=IMAGE_ID, name=None, owner="alice", channel="public", size=1, sealed_size=2, sha256_sealed="0" * 64,
        stored_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    )  # fmt: skip
    assert json.loads(announcement.to_json()) == {
        "event": "NEW_IMAGE",
        "image_id": str(IMAGE_ID),
        "name": None,
        "owner": "alice",
        "channel": "public",
        "size": 1,
        "sealed_size": 2,
        "sha256_sealed": "0" * 64,
        "stored_at": "2026-01-02T00:00:00Z",
        "expires_at": None,
    }
    assert messages.read(Announcement, announcement.to_json()) == announcement


def test_bytes_are_base64url_with_padding() -> None:
    part = FetchResult(
        topic="t", stored_at=NOW, sealed_size=4, sha256_sealed="0" * 64, offset=0, data=b"\xfb\xff\xfe\xff"
    )
    members = json.loads(part.to_json())
    assert members["data"] == "-__-_w=="
    assert messages.read(FetchResult, json.dumps(members)) == part
    with pytest.raises(VerificationError):
        messages.read(FetchResult, json.dumps(members | {"data": "no base64!"}))


@pytest.mark.parametrize(
    "outcome",
    [
        {"result": messages.RenewResult(certificate="PEM")},
        {"result": messages.MembersResult(certificates=("PEM",), complete=True)},
        {"result": messages.EnrolResult(message="Registration Successful", certificate="PEM")},
        {"result": messages.StoreResult(image_id=IMAGE_ID, stored_at=NOW, sealed_size=1)},
        {
            "result": messages.ReleaseResult(
                keys=(messages.ReleasedKey(image_id=IMAGE_ID, encrypted_key=secrets.token_bytes(256)),),
                refused=(messages.UnreleasedKey(image_id=IMAGE_ID, code="unknown_image"),),
            )
        },
        {"error": ReplyError(code="busy", message="busy", retry_after=1.5)},
    ],
)
def test_a_reply_is_read_as_it_was_written(outcome: dict[str, Any]) -> None:
    reply = Reply(operation="x", nonce="ab" * 16, request_sha256="0" * 64, sent_at=NOW, **outcome)
    assert messages.read(Reply, reply.to_json()) == reply
    with pytest.raises(VerificationError):
        messages.read(Reply, json.dumps(json.loads(reply.to_json()) | {"extra": 1}))
