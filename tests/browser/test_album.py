"""The wall of images in a real browser: what is there, what joins it, what is asked for."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pictures
from browser.member import NOW
from browser.pages import COUNT_SEEN, PHONE, names_of, wait_for_thumbnails
from browser.photographs import plain
from playwright.sync_api import expect
from system import wait_until

from subscriber.ledger import Entry

if TYPE_CHECKING:
    from browser.member import Member
    from browser.pages import Pages
    from playwright.sync_api import Locator, Page


def scroll_down(page: Page) -> bool:
    return bool(page.evaluate("{ scrollTo(0, document.documentElement.scrollHeight); true }"))


def test_images_stand_under_their_day_the_newest_first(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    expect(page.locator(".day h3")).to_have_text(["Today", "Yesterday", "Sunday 22 November"])
    assert [page.locator(".day").nth(day).locator("li").count() for day in range(3)] == [5, 4, 3]
    assert names_of(page)[:2] == ["Evening walk, and nobody else there, by dave", "Nose, by bob"]
    wait_for_thumbnails(page)
    assert sum(path.startswith("/thumbnails/") for path in pages.asked) <= 12


def test_a_day_that_comes_twice_shows_all_of_its_images(pages: Pages, carol: Member) -> None:
    """A clock without a battery was wrong for a while."""
    for number in range(6):
        ago = dt.timedelta(days=400 if number in {2, 3} else 0)
        carol.receive(plain(number), caption=f"Number {number}", ago=ago)
    page = pages.open(carol)
    expect(page.locator("#images li")).to_have_count(6)
    expect(page.locator(".day h3")).to_have_text(["Today", "20 October 2025", "Today"])
    assert names_of(page) == [f"Number {number}, by alice" for number in reversed(range(6))]


def test_a_search_that_fails_is_said_and_what_is_shown_stays(pages: Pages, carol: Member) -> None:
    carol.receive(plain(1), caption="Still here")
    page = pages.open(carol)
    page.route("**/api/images?*search=*", lambda route: route.fulfill(status=503, json={}))
    page.get_by_role("searchbox").fill("still")
    expect(page.get_by_text("cannot be looked up now")).to_be_visible()
    page.unroute("**/api/images?*search=*")
    page.get_by_role("searchbox").fill("stil")
    expect(page.get_by_text("cannot be looked up now")).to_be_hidden()
    pages.forgive("503")


def test_a_new_image_appears_by_itself_and_is_announced(pages: Pages, carol: Member) -> None:
    page = pages.open(carol)
    expect(page.get_by_role("heading", name="No images yet")).to_be_visible()
    expect(page.get_by_text("publisher post photo.jpg --to carol")).to_be_visible()
    carol.receive(plain(1), caption="First light")
    expect(page.get_by_role("link", name="First light, by alice")).to_be_visible()
    expect(page.get_by_role("heading", name="No images yet")).to_be_hidden()
    expect(page.locator("#announcement")).to_have_text("1 new image")
    carol.receive(plain(2), caption="Second")
    expect(page.locator("#images li")).to_have_count(2)
    assert names_of(page) == ["Second, by alice", "First light, by alice"]


def test_what_arrives_does_not_move_what_one_looks_at(pages: Pages, carol: Member) -> None:
    for number in range(40):
        carol.receive(plain(number), caption=f"Old {number}", ago=dt.timedelta(hours=40 - number))
    page = pages.open(carol, **PHONE)
    page.evaluate("scrollTo(0, 700)")
    looked_at = page.get_by_role("link", name="Old 25, by alice")
    expect(looked_at).to_be_in_viewport()
    before = looked_at.bounding_box()
    carol.receive(plain(1), caption="New 1")
    carol.receive(plain(2), caption="New 2")
    pill = page.get_by_role("button", name="2 new images")
    expect(pill).to_be_visible()
    assert looked_at.bounding_box() == before
    pill.click()
    expect(page.get_by_role("link", name="New 2, by alice")).to_be_in_viewport()
    expect(pill).to_be_hidden()


def test_a_photograph_that_its_camera_has_turned_gets_the_place_of_what_one_sees(pages: Pages, carol: Member) -> None:
    turned = pictures.plain("image/jpeg", pictures.still((96, 64)), exif=b"Exif\0\0" + pictures.exif())
    carol.receive(turned, size=(96, 64), name="turned.jpg")
    carol.receive(plain(1), name="straight.jpg")
    page = pages.open(carol)
    wait_for_thumbnails(page)
    places = {name: page.get_by_role("link", name=name) for name in ("turned.jpg", "straight.jpg")}
    wait_until(lambda: ratio(places["turned.jpg"]) < 0.7, "it stands upright")
    assert ratio(places["straight.jpg"]) > 1.3


def ratio(link: Locator) -> float:
    box = link.bounding_box()
    assert box
    return box["width"] / box["height"]


def test_an_image_whose_file_is_back_is_shown_again(pages: Pages, carol: Member) -> None:
    header = carol.receive(plain(1), name="lost.jpg")
    file = carol.home / "inbox/alice/lost.jpg"
    file.unlink()
    page = pages.open(carol)
    expect(page.locator("#images a.broken")).to_have_count(1)
    (entry,) = carol.ledger.entries(header.image_id)
    file.write_bytes(plain(1))
    carol.ledger.forget(entry)
    carol.ledger.add(replace(entry, at=NOW + dt.timedelta(hours=1)))
    expect(page.locator("#images img.loaded")).to_have_count(1)
    expect(page.locator("#images a.broken")).to_have_count(0)


def test_filters_and_search_stand_in_the_address_and_back_takes_them_back(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.get_by_label("Channel").select_option("family")
    expect(page.locator("#images li")).to_have_count(6)
    page.get_by_label("From").select_option("bob")
    expect(page.locator("#images li")).to_have_count(2)
    assert page.url.endswith("#view=images&channel=family&owner=bob")
    page.go_back()
    expect(page.locator("#images li")).to_have_count(6)
    expect(page.get_by_label("From")).to_have_value("")
    page.reload()
    expect(page.locator("#images li")).to_have_count(6)
    page.get_by_role("searchbox").fill("EYES")
    expect(page.locator("#images li")).to_have_count(0)
    page.get_by_role("link", name="Show all images").click()
    expect(page.locator("#images li")).to_have_count(12)
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.get_by_role("searchbox").fill("EYES")
    expect(page.locator("#announcement")).to_have_text("1 image matches")
    assert names_of(page) == ["Those eyes, by alice"]


def test_only_what_is_asked_for_joins_what_is_filtered(pages: Pages, carol: Member) -> None:
    carol.receive(plain(1), owner="bob", caption="One of bob's")
    page = pages.open(carol, at="#owner=bob")
    carol.receive(plain(2), owner="alice", caption="One of alice's")
    carol.receive(plain(3), owner="bob", caption="Another of bob's")
    expect(page.get_by_role("link", name="Another of bob's, by bob")).to_be_visible()
    assert names_of(page) == ["Another of bob's, by bob", "One of bob's, by bob"]


def test_refused_images_are_listed_with_their_reasons(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.get_by_role("link", name="Refused 3").click()
    rows = page.locator("#refused li")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("From mallory on public")
    expect(rows.first).to_contain_text("not what its owner signed")
    expect(rows.last).to_contain_text("expire")
    page.go_back()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()


def test_a_refusal_is_listed_while_one_looks(pages: Pages, carol: Member) -> None:
    page = pages.open(carol, at="#view=refused")
    expect(page.get_by_role("heading", name="Nothing was refused")).to_be_visible()
    carol.refuse("removed", owner="bob")
    expect(page.get_by_text("Its owner has removed it.")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing was refused")).to_be_hidden()


def test_more_refusals_than_a_page_at_once_leave_no_gap(pages: Pages, carol: Member) -> None:
    carol.refuse("removed", owner="bob")
    page = pages.open(carol, at="#view=refused")
    with carol.ledger.transaction():
        for number in range(70):
            carol.ledger.add(Entry("alice", uuid.UUID(int=number), "public", "expired", NOW, message="it has expired"))
    rows = page.locator("#refused li")
    expect(rows).to_have_count(60)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(71)


def test_the_page_says_when_the_gallery_is_gone_and_keeps_what_it_shows(pages: Pages, carol: Member) -> None:
    carol.receive(plain(1), caption="Still here")
    page = pages.open(carol)
    wait_for_thumbnails(page)
    carol.stop_gallery()
    lost = page.get_by_text("The connection to the gallery is lost")
    expect(lost).to_contain_text("type its command once more and open the new address")
    expect(page.get_by_role("link", name="Still here, by alice")).to_be_visible()
    pages.forgive("Failed to load resource: net::ERR_")


def test_many_images_leave_the_page_light_and_ask_for_what_is_seen(pages: Pages, carol: Member) -> None:
    for number in range(130):
        carol.receive(plain(number), ago=dt.timedelta(hours=130 - number), caption=f"Number {number}")
    page = pages.open(carol)
    wait_for_thumbnails(page)
    first_asked = [path for path in pages.asked if path.startswith("/thumbnails/")]
    assert len(first_asked) == page.evaluate(COUNT_SEEN)
    last = page.get_by_role("link", name="Number 0, by alice")
    wait_until(lambda: scroll_down(page) and last.count(), "the last image is there")
    scroll_down(page)
    expect(last).to_be_in_viewport()
    wait_for_thumbnails(page)
    asked = [path for path in pages.asked if path.startswith("/thumbnails/")]
    assert len(asked) == len(set(asked)) < 130
    assert page.locator("#images li").count() < 60
