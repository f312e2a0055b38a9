"""What a page hears while it is open."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import authorities
import pytest
from galleries import NOW, Browser, Gallery, rest_of, serve

from common.certificates import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with pytest.MonkeyPatch.context() as patch, serve(tmp_path_factory.mktemp("home")) as one:
        patch.setattr("subscriber.gallery.events._PAUSE_SECONDS", 0.05)
        yield one


@pytest.fixture
def browser(gallery: Gallery) -> Browser:
    gallery.empty()
    return gallery.browser()


def name(event: dict[str, str]) -> str:
    return str(json.loads(event["data"]).get("name"))


def test_a_page_hears_of_what_comes_from_now_on(gallery: Gallery, browser: Browser) -> None:
    gallery.save(number=1)
    with browser.events() as events:
        saved, refused = gallery.save(number=2), gallery.refuse(number=3)
        event = next(events)
        assert event["event"] == "image"
        assert json.loads(event["data"]) == browser.get("/api/images?limit=1").json["images"][0]
        assert json.loads(event["data"])["image_id"] == str(saved.image_id)
        event = next(events)
        assert event["event"] == "refused"
        assert json.loads(event["data"]) == browser.get("/api/refused").json["refused"][0]
        assert json.loads(event["data"])["image_id"] == str(refused.image_id)


def test_who_comes_back_has_missed_nothing(gallery: Gallery, browser: Browser) -> None:
    with browser.events() as events:
        gallery.save(number=1)
        last = next(events)["id"]
    for number in range(2, 250):
        gallery.save(number=number)
    with browser.events(last) as events:
        assert [name(next(events)) for _ in range(2, 250)] == [f"{number}.png" for number in range(2, 250)]
        gallery.save(number=250)
        assert name(next(events)) == "250.png"


def test_an_image_in_place_of_the_last_refusal_is_heard_of(gallery: Gallery, browser: Browser) -> None:
    with browser.events() as events:
        refused = gallery.refuse(number=9)
        assert next(events)["event"] == "refused"
        gallery.ledger.forget(refused)
        gallery.save(number=9)  # the same row
        assert next(events)["event"] == "image"
        gallery.save(number=10)
        assert name(next(events)) == "10.png"


def test_a_device_that_was_not_verified_is_told_of_before_its_image(gallery: Gallery, browser: Browser) -> None:
    known, new = (authorities.default().new_member("alice").certificate for _ in range(2))
    gallery.verified.add([known], NOW)
    gallery.verified.see(new)
    with browser.events() as events:
        gallery.save(number=1, fingerprint=fingerprint(known))
        gallery.save(number=2, fingerprint=fingerprint(new))
        came = [next(events) for _ in range(3)]
    assert [event["event"] for event in came] == ["image", "device", "image"]
    told = json.loads(came[1]["data"])
    assert (told["user"], told["fingerprint"]) == ("alice", fingerprint(new))
    assert told["message"].endswith("subscriber verify alice")
    assert "id" not in came[1]
    images = browser.get("/api/images").json["images"]
    standings = [(image["verified_owner"], image["changed_device"]) for image in images]
    assert standings == [(False, True), (True, False)]
    gallery.verified.forget("alice")
    assert not browser.get("/api/images").json["images"][0]["changed_device"]


@pytest.mark.parametrize("last", ["junk", "@", "-1@x", "9" * 40 + "@", "٣@"])
def test_an_id_that_is_none_means_from_now_on(gallery: Gallery, browser: Browser, last: str) -> None:
    gallery.save(number=1)
    with browser.events(last.encode().decode("latin-1")) as events:
        gallery.save(number=2)
        assert name(next(events)) == "2.png"


def test_a_page_that_is_open_does_not_keep_the_gallery_from_stopping(tmp_path: Path) -> None:
    with contextlib.ExitStack() as pages:
        with serve(tmp_path) as gallery:
            events = pages.enter_context(gallery.browser().events())
            gallery.save(number=1)
            assert name(next(events)) == "1.png"
        assert rest_of(events) == []


def test_a_look_at_the_head_of_the_events_ends(browser: Browser) -> None:
    answer = browser.get("/events", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
