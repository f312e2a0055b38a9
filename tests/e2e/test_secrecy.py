"""What there is to read on the way and in the broker: neither image nor password."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from raw_clients import watching
from system import CHELSEA

from common import topics
from common.device import DEVICE_SECRET

if TYPE_CHECKING:
    from system import System

    from common.arrivals import Message

WINDOW = 16  # bytes


def test_whoever_reads_everything_finds_neither_image_nor_password(own_system: System) -> None:
    own_system.start()
    content, caption, password = CHELSEA.read_bytes(), "the caption is for its reader", "a password for this test"
    windows = {content[start : start + WINDOW] for start in range(len(content) - WINDOW + 1)}
    reader = own_system.register("reader")
    with own_system.subscriber(reader):
        pass
    with watching(own_system) as watcher:
        owner = own_system.register("owner", password=password)
        (stored,) = own_system.post(owner, CHELSEA, "--to", "reader", "--caption", caption, "--keep-metadata")
        seen = watcher.look()
    carried = b"\n".join(carried_by(message) for message in seen)
    own_system.stop()
    assert own_system.daemon is not None
    kept = b"\n".join(file.read_bytes() for file in (own_system.home / "broker").rglob("*") if file.is_file())
    log = "".join(own_system.daemon.errors).encode()
    # All that there is to see has been seen: the sealed image and the enrolment, on the way and in the broker's memory.
    assert {stored["topic"]} <= {message.topic for message in seen}
    assert any(message.topic.startswith(f"{topics.PREFIX}/requests/enrol/") for message in seen)
    sealed = next(message.payload for message in seen if message.topic == stored["topic"])
    assert sealed in kept
    for haystack in (carried, kept, log):
        for secret in (password, caption, CHELSEA.name):
            assert secret.encode() not in haystack
        found = (start for start in range(len(haystack)) if haystack[start : start + WINDOW] in windows)
        assert next(found, None) is None
    # The same search finds what is there.
    assert any((b"noise" + content)[start : start + WINDOW] in windows for start in range(10))


def test_who_receives_an_image_learns_no_client_id_that_its_owner_has_again(system: System) -> None:
    owner = system.register("secretive")
    secret = (owner / DEVICE_SECRET).read_text()
    with watching(system) as watcher:
        (stored,) = system.post(owner, CHELSEA)
        (message,) = watcher.on(stored["topic"])
    # Passed on with the image, as every broker has to (MQTT 5, section 3.3.2.3.5).
    assert message.response_topic is not None
    assert topics.parse_reply(message.response_topic) is not None
    assert secret not in message.response_topic
    assert secret.encode() not in carried_by(message)


def carried_by(message: Message) -> bytes:
    """Return all of a message, what is coded in base64 also decoded."""
    properties = [base64.urlsafe_b64decode(value) for value in message.user_properties.values()]
    return b"\n".join([message.topic.encode(), message.payload, *properties])
