"""Which images the registrar stores and which it refuses, on the real broker."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import pytest
from raw_clients import Client, Watcher, aged, assert_taken, code_of, logged, stranger, watching
from system import CHELSEA, System, wait_until

from common import messages, topics
from common.messages import STORE_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_proper_image_is_stored_and_announced_and_may_come_again(alice: Client, watcher: Watcher) -> None:
    topic = alice.new_topic()
    sealed = alice.seal(topic)
    first, again = alice.store(sealed, topic), alice.store(sealed, topic)
    assert isinstance(first.result, messages.StoreResult)
    assert first.result == again.result
    assert first.result.sealed_size == len(sealed)
    announcement = messages.read(messages.Announcement, watcher.on(topic.announcement)[0].payload)
    assert announcement.sha256_sealed == hashlib.sha256(sealed).hexdigest()


def test_an_image_whose_upload_takes_an_hour_is_stored(alice: Client) -> None:
    topic = alice.new_topic()
    assert_taken(alice.store(alice.seal(topic), topic, sent_at=aged(-3600)))


def test_what_is_announced_is_what_the_image_says_of_itself(alice: Client, watcher: Watcher) -> None:
    topic = alice.new_topic()
    assert_taken(alice.store(alice.seal(topic), topic, name="another.jpg", size=7))
    announcement = messages.read(messages.Announcement, watcher.on(topic.announcement)[0].payload)
    assert (announcement.name, announcement.size) == (CHELSEA.name, CHELSEA.stat().st_size)


REFUSED_IMAGES: dict[str, tuple[Callable[[Client, Client, topics.ImageTopic], messages.Reply], str]] = {
    "other bytes than were signed for": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, sha256_sealed="0" * 64),
        "altered",
    ),
    "a request for another topic": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, topic=alice.new_topic().image),
        "wrong_topic",
    ),
    "a request for another operation": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, operation="fetch"),
        "invalid_request",
    ),
    "a request of the future": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, sent_at=aged(310)),
        "clock",
    ),
    "noise": (lambda alice, _bob, topic: alice.store(secrets.token_bytes(5_000), topic), "invalid_image"),
    "another channel inside": (
        lambda alice, _bob, topic: alice.store(
            alice.seal(topic, topic=topics.ImageTopic(alice.user, "other", topic.image_id).image), topic
        ),
        "invalid_image",
    ),
    "another image id inside": (
        lambda alice, _bob, topic: alice.store(alice.seal(alice.new_topic(), topic=topic.image), topic),
        "invalid_image",
    ),
    "another owner inside": (
        lambda alice, bob, topic: alice.store(alice.seal(topic, owner=bob.user), topic),
        "invalid_image",
    ),
    "an image that somebody else has sealed": (
        lambda alice, bob, topic: alice.store(alice.seal(topic, certificate_of=bob.identity), topic),
        "invalid_image",
    ),
    "another content inside than the header says": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic, sha256="0" * 64), topic),
        "invalid_image",
    ),
    "an image for named people that the registrar can open": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic, audience="named"), topic),
        "invalid_image",
    ),
    "a name that is a path": (
        lambda alice, _bob, topic: alice.store(alice.seal(topic), topic, name="../../etc/passwd"),
        "invalid_request",
    ),
    "a request that somebody else has signed": (
        lambda alice, bob, topic: store_signed_by(bob, alice, topic),
        "wrong_signer",
    ),
}


def store_signed_by(signer: Client, sender: Client, topic: topics.ImageTopic) -> messages.Reply:
    sealed = sender.seal(topic)
    nonce = secrets.token_hex(16)
    digest = hashlib.sha256(sealed).hexdigest()
    request = sender.request(
        "store", topic=topic.image, name=None, size=1, sha256_sealed=digest, nonce=nonce, expires_at=None
    )
    return sender.store(sealed, topic, signed=signer.sign(request), nonce=nonce)


@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_an_image_is_not_stored_for(name: str, alice: Client, bob: Client, watcher: Watcher) -> None:
    send, code = REFUSED_IMAGES[name]
    topic = alice.new_topic()
    assert code_of(send(alice, bob, topic)) == code
    assert watcher.on(topic.announcement) == []
    fetched = alice.ask(alice.request("fetch", owner=None, image_id=str(topic.image_id), offset=0))
    assert code_of(fetched) == "unknown_image"


@pytest.mark.parametrize("properties", [{}, {STORE_REQUEST: "no base64!"}, {STORE_REQUEST: "bm8gQ01T"}])
def test_an_image_without_its_owners_store_request_is_dropped(
    properties: dict[str, str], alice: Client, system: System, watcher: Watcher
) -> None:
    topic, reply_topic = alice.new_topic(), topics.reply(alice.session.client_id, "store")
    sealed = alice.seal(topic)
    dropped = f"dropped {topics.PREFIX}/images/{alice.user}: "
    before = logged(system, dropped)
    alice.session.publish(topic.image, sealed, response_topic=reply_topic, user_properties=properties).result(60)
    wait_until(lambda: logged(system, dropped) > before, "a word in the log")
    assert watcher.on(topic.announcement) == watcher.on(reply_topic) == []
    assert_taken(alice.store(sealed, topic))
    assert watcher.on(topic.announcement)


def test_an_image_id_stays_its_first_image_s(alice: Client, bob: Client, watcher: Watcher) -> None:
    topic = alice.new_topic()
    sealed = alice.seal(topic)
    assert_taken(alice.store(sealed, topic))
    of_bob = topics.ImageTopic(bob.user, topic.channel, topic.image_id)
    elsewhere = topics.ImageTopic(alice.user, "elsewhere", topic.image_id)
    assert code_of(bob.store(bob.seal(of_bob), of_bob)) == "image_id_taken"
    assert code_of(alice.store(alice.seal(topic), topic)) == "image_id_taken"
    assert code_of(alice.store(alice.seal(elsewhere), elsewhere)) == "image_id_taken"
    assert watcher.on(of_bob.announcement) == watcher.on(elsewhere.announcement) == []
    fetched = bob.ask(bob.request("fetch", owner=None, image_id=str(topic.image_id), offset=0)).result
    assert isinstance(fetched, messages.FetchResult)
    assert (fetched.topic, fetched.data) == (topic.image, sealed)
    of_bob = bob.new_topic()
    assert_taken(bob.store(bob.seal(of_bob), of_bob))


@pytest.mark.parametrize("levels", ["", "/", "/public", "/a/b/c/d/e/f", "/public/no-id"])
def test_what_is_no_topic_of_an_image_disturbs_nobody(system: System, alice: Client, levels: str) -> None:
    reader = system.register("raw-reader") if not (home := system.home_of("raw-reader")).exists() else home
    with system.subscriber(reader, "--channel", "#") as receiving:
        alice.session.publish(f"{topics.PREFIX}/images/{alice.user}{levels}", b"noise").result(60)
        topic = alice.new_topic()
        assert_taken(alice.store(alice.seal(topic), topic))
        assert receiving.wait_for("NEW_IMAGE", image_id=str(topic.image_id))["owner"] == alice.user
        assert receiving.stop() == 0


@pytest.mark.parametrize("kind", ["image", "request", "enrolment"])
def test_nothing_that_is_for_the_registrar_stays_in_the_broker(
    kind: str, alice: Client, system: System, watcher: Watcher
) -> None:
    with stranger(system) as anonymous:
        session, topic, content = {
            "image": (alice.session, (image := alice.new_topic()).image, alice.seal(image)),
            "request": (alice.session, alice.topic("members"), alice.sign(alice.request())),
            "enrolment": (anonymous, topics.enrolment(anonymous.client_id), secrets.token_bytes(1_000)),
        }[kind]
        session.publish(topic, content, retain=True).result(60)
        wait_until(lambda: len(watcher.on(topic)) > 1, "the clearing")
    published = [message.payload for message in watcher.on(topic)]
    assert published == [content, b""]
    with watching(system) as late:
        assert late.on(topic) == []
        assert late.on(topics.TRUST_CRL) != []
    assert_taken(alice.ask(alice.request()))
    assert [message.payload for message in watcher.on(topic) if not message.payload] == [b""]
