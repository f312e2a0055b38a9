from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import topics
from common.errors import ConfigurationError
from common.topics import ImageTopic, RequestTopic

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE_ID = uuid.UUID("01a20fec-6099-71a9-8c26-3fb10852b98c")
CLIENT_ID = "0123456789abcdef" * 2 + "-publisher"
FINGERPRINT = "ab" * 32

words = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
channels = st.lists(words, min_size=1, max_size=4).map("/".join)
NO_WORDS = ["", "-a", "A", "a b", "a+", "#", "+", "a_b", "é", "a\n", "a\0", "..", "a" * 33]


@pytest.mark.parametrize("name", ["a", "0", "alice", "a-1", "a" * 32])
def test_these_are_user_names(name: str) -> None:
    assert topics.check_user_name(name) == name


@pytest.mark.parametrize("name", [*NO_WORDS, "a/b"])
def test_these_cannot_be_user_names(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a user name") as raised:
        topics.check_user_name(name)
    assert raised.value.code == "invalid_name"


@pytest.mark.parametrize("name", sorted(topics.RESERVED_NAMES))
def test_a_reserved_name_is_no_user_s(name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        topics.check_user_name(name)
    assert raised.value.code == "reserved_name"


def test_a_name_that_only_begins_like_a_reserved_one_is_free() -> None:
    assert topics.check_user_name("registrar-2") == "registrar-2"


@pytest.mark.parametrize("channel", ["public", "site-7/gate", "a/b/c/d"])
def test_these_are_channels(channel: str) -> None:
    assert topics.check_channel(channel) == topics.check_channel_filter(channel) == channel


@pytest.mark.parametrize("channel", [*NO_WORDS, "/a", "a/", "a//b", "a/b/c/d/e", "a/+", "a/#"])
def test_these_cannot_be_channels(channel: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        topics.check_channel(channel)
    assert raised.value.code == "invalid_channel"


@pytest.mark.parametrize("channel", ["+", "#", "a/#", "+/b", "a/+/c/+", "a/b/c/d/#"])
def test_these_are_channel_filters(channel: str) -> None:
    assert topics.check_channel_filter(channel) == channel


@pytest.mark.parametrize("channel", ["", "a+", "+a", "#/a", "a/#/b", "a#", "//", "a/b/c/d/e", "a/b/c/d/e/#", "A/#"])
def test_these_cannot_be_channel_filters(channel: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        topics.check_channel_filter(channel)
    assert raised.value.code == "invalid_channel"


@given(owner=words, channel=channels, image_id=st.uuids())
def test_an_image_topic_is_read_as_it_was_written(owner: str, channel: str, image_id: uuid.UUID) -> None:
    topic = ImageTopic(owner, channel, image_id)
    assert topics.parse_image(topic.image) == topics.parse_announcement(topic.announcement) == topic
    assert topics.parse_announcement(topic.image) is None
    assert topics.parse_image(topic.announcement) is None
    assert topics.parse_request(topic.image) is None


@given(operation=words.filter(lambda word: word != "enrol"), user=words)
def test_a_request_topic_is_read_as_it_was_written(operation: str, user: str) -> None:
    written = topics.request(operation, user, CLIENT_ID)
    assert topics.parse_request(written) == RequestTopic(operation, user, CLIENT_ID)
    assert topics.parse_request(topics.enrolment(CLIENT_ID)) == RequestTopic("enrol", None, CLIENT_ID)
    assert topics.parse_reply(topics.reply(CLIENT_ID, operation)) == (CLIENT_ID, operation)


ID = str(IMAGE_ID)
NOT_PARSED: dict[str, tuple[Callable[[str], object], list[str]]] = {
    "image": (
        topics.parse_image,
        [
            f"sealcast/v1/images/alice/{ID}",
            f"sealcast/v1/images/alice/a/b/c/d/e/{ID}",
            f"sealcast/v1/images/alice//{ID}",
            f"sealcast/v1/images/Alice/public/{ID}",
            f"sealcast/v1/images/alice/public/{ID.upper()}",
            f"sealcast/v1/images/alice/public/{ID.replace('-', '')}",
            f"sealcast/v1/images/alice/public/{{{ID}}}",
            f"sealcast/v1/images/alice/public/urn:uuid:{ID}",
            "sealcast/v1/images/alice/public/",
            f"sealcast/v1/images/alice/../{ID}",
            f"sealcast/v1/images/+/public/{ID}",
            f"sealcast/v1/images/alice/#/{ID}",
            f"sealcast/v2/images/alice/public/{ID}",
            f"x/sealcast/v1/images/alice/public/{ID}",
            f"alice/public/{ID}",
            f"sealcast/v1/images/alice/public/{ID}\n",
            "",
        ],
    ),
    "request": (
        topics.parse_request,
        [
            f"sealcast/v1/requests/{CLIENT_ID}",
            f"sealcast/v1/requests/members/{CLIENT_ID}",
            f"sealcast/v1/requests/enrol/alice/{CLIENT_ID}",
            f"sealcast/v1/requests/members/alice/{CLIENT_ID}/more",
            f"sealcast/v1/requests/members/Alice/{CLIENT_ID}",
            f"sealcast/v1/requests/+/alice/{CLIENT_ID}",
            "sealcast/v1/requests/members/alice/short",
            f"sealcast/v1/requests/members/alice/{CLIENT_ID.upper()}",
            "sealcast/v1/requests/enrol/short",
            f"sealcast/v1/replies/members/alice/{CLIENT_ID}",
            "",
        ],
    ),
    "reply": (
        topics.parse_reply,
        [
            f"sealcast/v1/replies/{CLIENT_ID}",
            f"sealcast/v1/replies/{CLIENT_ID}/a/b",
            f"sealcast/v1/replies/{CLIENT_ID}/#",
            f"sealcast/v1/replies/{CLIENT_ID}/+",
            "sealcast/v1/replies/+/members",
            f"sealcast/v1/trust/{CLIENT_ID}/members",
            f"{CLIENT_ID}/members",
            "",
        ],
    ),
}


@pytest.mark.parametrize(
    ("parse", "topic"), [(parse, topic) for parse, all_topics in NOT_PARSED.values() for topic in all_topics]
)
def test_what_is_not_of_its_kind_is_not_parsed(parse: Callable[[str], object], topic: str) -> None:
    assert parse(topic) is None


@given(topic=st.text())
def test_no_text_is_too_strange_to_parse(topic: str) -> None:
    for head in ("", "sealcast/v1/images/", "sealcast/v1/requests/", "sealcast/v1/replies/", "sealcast/v1/members/"):
        for parse, _ in NOT_PARSED.values():
            parse(head + topic)


@pytest.mark.parametrize(
    ("channel", "expected"), [("public", "+/public/+"), ("#", "+/#"), ("a/#", "+/a/#"), ("a/+", "+/a/+/+")]
)
def test_a_channel_filter_becomes_filters_for_images_and_announcements(channel: str, expected: str) -> None:
    assert topics.images(channel) == f"sealcast/v1/images/{expected}"
    assert topics.announcements(channel) == f"sealcast/v1/announcements/{expected}"


def test_an_image_id_tells_its_time_and_is_of_version_7() -> None:
    moment = dt.datetime(2026, 11, 24, 12, 0, 0, 123_456, tzinfo=dt.UTC)
    first, second = topics.new_image_id(moment), topics.new_image_id(moment)
    assert first != second
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert first.int >> 80 == int(moment.timestamp() * 1000)
    assert topics.parse_image_id(str(first)) == first
    assert topics.new_image_id(moment + dt.timedelta(milliseconds=1)).int >> 80 == (first.int >> 80) + 1
