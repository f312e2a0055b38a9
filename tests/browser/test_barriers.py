"""Nobody is kept from using the page: axe-core, the keyboard, less motion; and what the page looks like meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser.pages import DESKTOP, PHONE, barriers, wait_for_thumbnails
from browser.photographs import plain
from browser.pictures_for_docs import take_picture
from playwright.sync_api import expect
from system import wait_until

if TYPE_CHECKING:
    from browser.member import Member
    from browser.pages import Pages

LOOKS = {
    "light": DESKTOP,
    "dark": DESKTOP | {"color_scheme": "dark"},
    "phone": PHONE,
    "phone-dark": PHONE | {"color_scheme": "dark"},
}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_no_barrier_in_an_album(pages: Pages, album: Member, look: str) -> None:
    page = pages.open(album, **LOOKS[look])
    wait_for_thumbnails(page)
    take_picture(page, f"album-{look}")
    assert barriers(page) == []
    page.get_by_role("link", name="The harbour, last ferry, by dave").click()
    expect(page.get_by_role("dialog", name="The harbour, last ferry")).to_be_visible()
    wait_until(lambda: page.evaluate("document.getElementById('viewer-image').naturalWidth"), "the image is drawn")
    take_picture(page, f"opened-{look}")
    assert barriers(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("link", name="Refused 3").click()
    expect(page.locator("#refused li")).to_have_count(3)
    take_picture(page, f"refused-{look}")
    assert barriers(page) == []


def test_axe_finds_no_barrier_where_there_is_nothing(pages: Pages, carol: Member) -> None:
    page = pages.open(carol)
    expect(page.get_by_text("--to carol")).to_be_visible()
    take_picture(page, "empty-light")
    assert barriers(page) == []
    page.get_by_role("searchbox").fill("nobody has this")
    expect(page.get_by_role("heading", name="No image matches")).to_be_visible()
    assert barriers(page) == []
    page.get_by_role("link", name="Refused").click()
    expect(page.get_by_role("heading", name="Nothing was refused")).to_be_visible()
    assert barriers(page) == []
    carol.stop_gallery()
    expect(page.get_by_text("The connection to the gallery is lost")).to_be_visible()
    assert barriers(page) == []
    pages.forgive("Failed to load resource: net::ERR_")


def test_axe_notices_what_is_wrong(pages: Pages, carol: Member) -> None:
    page = pages.open(carol)
    page.evaluate("document.getElementById('search').removeAttribute('aria-label')")
    page.evaluate("document.getElementById('search').removeAttribute('placeholder')")
    assert any(barrier.startswith("label: ") for barrier in barriers(page))


def test_the_keyboard_reaches_everything_in_the_order_in_which_it_stands(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.key?.split('/')[0]"))
    assert reached == [None, "to-images", "to-refused", "search", "channel", "owner", "dave", "bob"]
    page.evaluate("document.activeElement.blur()")


def test_the_first_tab_leads_past_the_bar(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the images")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Evening walk, and nobody else there, by dave")).to_be_focused()


@pytest.mark.parametrize(("motion", "seconds"), [("reduce", "0s"), ("no-preference", "0.2s")])
def test_who_wants_less_motion_gets_none(pages: Pages, carol: Member, motion: str, seconds: str) -> None:
    carol.receive(plain(1))
    page = pages.open(carol, reduced_motion=motion)
    expect(page.locator("#images img")).to_have_css("transition-duration", seconds)
