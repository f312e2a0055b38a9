"""Builds and parses every topic: the only place with topic strings (docs/protocol.md, "Topics").

Whatever goes into a topic is checked here first, so nothing that is a wildcard, a separator or a path step
can be a user name, a channel, a client id or an image id. Each builder raises ConfigurationError for a name
that a person can mend; each parser returns None for a topic that is not of its kind.
"""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

PREFIX = "sealcast/v1"
DEFAULT_CHANNEL = "public"
RESERVED_NAMES = frozenset(
    {
        "admin",
        "administrator",
        "anonymous",
        "broker",
        "enrol",
        "everyone",
        "members",
        "mosquitto",
        "nobody",
        "public",
        "publisher",
        "registrar",
        "root",
        "sealcast",
        "subscriber",
        "system",
    },
)

TRUST_CA = f"{PREFIX}/trust/ca"
TRUST_REGISTRAR = f"{PREFIX}/trust/registrar"
TRUST_CRL = f"{PREFIX}/trust/crl"
AUDIT_HEAD = f"{PREFIX}/audit/head"
ALL_TRUST = f"{PREFIX}/trust/+"
ALL_MEMBERS = f"{PREFIX}/members/+/+"
ALL_ENROLMENTS = f"{PREFIX}/requests/enrol/+"
ALL_IMAGES = f"{PREFIX}/images/#"
ALL_ANNOUNCEMENTS = f"{PREFIX}/announcements/#"
ALL_PRESENCE = f"{PREFIX}/presence/+/+"
ALL_RECEIPTS = f"{PREFIX}/receipts/#"
ALL_REQUESTS = f"{PREFIX}/requests/#"

# Where Mosquitto says who connects (broker/mosquitto.conf); there is nothing of the kind in MQTT itself.
BROKER_LOG = "$SYS/broker/log/N"

_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_CLIENT_ID = re.compile(r"[0-9a-f]{32}(-[a-z0-9-]{1,32})?")
_LONGEST_CHANNEL = 4


@dataclass(frozen=True, slots=True)
class ImageTopic:
    """Where an image is published: its owner, its channel and its id."""

    owner: str
    channel: str
    image_id: uuid.UUID

    @property
    def image(self) -> str:
        """The topic that carries the sealed image."""
        return f"{PREFIX}/images/{self.owner}/{self.channel}/{self.image_id}"

    @property
    def announcement(self) -> str:
        """The topic that carries its NEW_IMAGE."""
        return f"{PREFIX}/announcements/{self.owner}/{self.channel}/{self.image_id}"


@dataclass(frozen=True, slots=True)
class RequestTopic:
    """Where a request to the registrar is published; ``user`` is None at the enrolment door."""

    operation: str
    user: str | None
    client_id: str


def check_user_name(name: str) -> str:
    """Return ``name`` when it may be a user's (``[a-z0-9][a-z0-9-]{0,31}`` and not reserved)."""
    if not _WORD.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a user name",
            hint="use 1 to 32 small letters, digits and hyphens, beginning with a letter or a digit",
            code="invalid_name",
        )
    if name in RESERVED_NAMES:
        raise ConfigurationError(
            f"the user name {name!r} is reserved", hint="choose another user name", code="reserved_name"
        )
    return name


def check_channel(channel: str) -> str:
    """Return ``channel`` when it is one to four words joined by ``/``."""
    words = channel.split("/")
    if len(words) > _LONGEST_CHANNEL or not all(_WORD.fullmatch(word) for word in words):
        raise ConfigurationError(
            f"{channel!r} cannot be a channel",
            hint="use one to four words of small letters, digits and hyphens, joined by '/', as in site-7/gate",
            code="invalid_channel",
        )
    return channel


def check_channel_filter(channel: str) -> str:
    """Return ``channel`` when it is a channel, or one with ``+`` for a word or ``#`` for the rest."""
    words = channel.split("/")
    if words[-1] == "#":
        words.pop()
    if len(words) > _LONGEST_CHANNEL or not all(word == "+" or _WORD.fullmatch(word) for word in words):
        raise ConfigurationError(
            f"{channel!r} cannot be a channel filter",
            hint="use a channel in small letters, with + for any one word and # for all that follows, as in site-7/#",
            code="invalid_channel",
        )
    return channel


def member(user: str, fingerprint: str) -> str:
    """Return the topic that carries one certificate of a member."""
    return f"{PREFIX}/members/{user}/{fingerprint}"


def enrolment(client_id: str) -> str:
    """Return the topic for an enrolment request."""
    return f"{PREFIX}/requests/enrol/{client_id}"


def request(operation: str, user: str, client_id: str) -> str:
    """Return the topic for a member's request."""
    return f"{PREFIX}/requests/{operation}/{user}/{client_id}"


def receipt(owner: str, image_id: uuid.UUID, reader: str) -> str:
    """Return the topic on which a reader tells an owner what became of an image."""
    return f"{PREFIX}/receipts/{owner}/{image_id}/{reader}"


def is_receipt(topic: str) -> bool:
    """Tell whether a topic is one for receipts, well-formed or not."""
    return topic.startswith(f"{PREFIX}/receipts/")


def receipts_of(owner: str, image_id: uuid.UUID) -> str:
    """Return the filter for every reader's receipts of an image."""
    return receipt(owner, image_id, "+")


def presence(user: str, fingerprint: str) -> str:
    """Return the topic that tells whether a device is online."""
    return f"{PREFIX}/presence/{user}/{fingerprint}"


def parse_member(topic: str) -> tuple[str, str] | None:
    """Return (user, fingerprint) of a topic that carries a certificate."""
    return _parse_device_topic(topic, f"{PREFIX}/members/")


def parse_presence(topic: str) -> tuple[str, str] | None:
    """Return (user, fingerprint) of a topic under ``presence/``."""
    return _parse_device_topic(topic, f"{PREFIX}/presence/")


def _parse_device_topic(topic: str, head: str) -> tuple[str, str] | None:
    match topic.removeprefix(head).split("/") if topic.startswith(head) else []:
        case [user, fingerprint] if _WORD.fullmatch(user) and _FINGERPRINT.fullmatch(fingerprint):
            return user, fingerprint
    return None


def all_requests(operation: str) -> str:
    """Return the filter for every member's requests of an operation.

    Named one by one: ``requests/+/+/+`` would also take what comes through the enrolment door from a client whose id
    has a slash in it (docs/protocol.md, "Connections").
    """
    return f"{PREFIX}/requests/{operation}/+/+"


def reply(client_id: str, operation: str) -> str:
    """Return the response topic for a request of this client."""
    return f"{PREFIX}/replies/{client_id}/{operation}"


def all_replies(client_id: str) -> str:
    """Return the filter for every reply to this client."""
    return f"{PREFIX}/replies/{client_id}/#"


def parse_reply(topic: str) -> tuple[str, str] | None:
    """Return (client id, operation) of a response topic."""
    head = f"{PREFIX}/replies/"
    match topic.removeprefix(head).split("/") if topic.startswith(head) else []:
        case [client_id, operation] if _CLIENT_ID.fullmatch(client_id) and _WORD.fullmatch(operation):
            return client_id, operation
    return None


def images(channel_filter: str) -> str:
    """Return the filter for every owner's images on the channels of ``channel_filter``."""
    return f"{PREFIX}/images/+/{check_channel_filter(channel_filter)}{_id_level(channel_filter)}"


def announcements(channel_filter: str) -> str:
    """Return the filter for every owner's announcements on the channels of ``channel_filter``."""
    return f"{PREFIX}/announcements/+/{check_channel_filter(channel_filter)}{_id_level(channel_filter)}"


def is_among(channel: str, channel_filters: Iterable[str]) -> bool:
    """Tell whether a channel is one of those that the filters ask for (MQTT 5, section 4.7)."""
    return any(_matches(channel.split("/"), wanted.split("/")) for wanted in channel_filters)


def _matches(words: list[str], wanted: list[str]) -> bool:
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        words = words[: len(wanted)]
    return len(words) == len(wanted) and all(want in {"+", word} for word, want in zip(words, wanted, strict=True))


def _id_level(channel_filter: str) -> str:
    return "" if channel_filter.endswith("#") else "/+"


def parse_image(topic: str) -> ImageTopic | None:
    """Return the parts of a topic under ``images/``."""
    return _parse_image_topic(topic, f"{PREFIX}/images/")


def parse_announcement(topic: str) -> ImageTopic | None:
    """Return the parts of a topic under ``announcements/``."""
    return _parse_image_topic(topic, f"{PREFIX}/announcements/")


def _parse_image_topic(topic: str, head: str) -> ImageTopic | None:
    match topic.removeprefix(head).split("/") if topic.startswith(head) else []:
        case [owner, *words, image_id] if 1 <= len(words) <= _LONGEST_CHANNEL:
            parsed_id = parse_image_id(image_id)
            if parsed_id and all(_WORD.fullmatch(word) for word in (owner, *words)):
                return ImageTopic(owner, "/".join(words), parsed_id)
    return None


def parse_image_id(text: str) -> uuid.UUID | None:
    """Return the image id that ``text`` spells in its one canonical way (RFC 9562, section 4)."""
    try:
        image_id = uuid.UUID(text)
    except ValueError:
        return None
    return image_id if str(image_id) == text else None


def new_image_id(now: dt.datetime) -> uuid.UUID:
    """Return a fresh UUIDv7: 48 bits of milliseconds, then 74 random bits (RFC 9562, section 5.7)."""
    milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
    random_a, random_b = secrets.randbits(12), secrets.randbits(62)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)


def parse_request(topic: str) -> RequestTopic | None:
    """Return the parts of a topic under ``requests/``, from either door."""
    head = f"{PREFIX}/requests/"
    if not topic.startswith(head):
        return None
    match topic.removeprefix(head).split("/"):
        case ["enrol", client_id] if _CLIENT_ID.fullmatch(client_id):
            return RequestTopic("enrol", None, client_id)
        case [operation, user, client_id] if (
            operation != "enrol"
            and _WORD.fullmatch(operation)
            and _WORD.fullmatch(user)
            and _CLIENT_ID.fullmatch(client_id)
        ):
            return RequestTopic(operation, user, client_id)
    return None
