"""One image, large, in a real browser: keys, focus, what is said about it, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pictures
from browser.member import NOW
from browser.pages import PHONE, barriers
from browser.photographs import plain
from playwright.sync_api import expect
from system import wait_until

if TYPE_CHECKING:
    from browser.member import Member
    from browser.pages import Pages
    from playwright.sync_api import Page

NEWEST, SECOND, THIRD = "Evening walk, and nobody else there", "Nose", "sea.jpg"


def title(page: Page) -> str:
    return page.get_by_role("dialog").get_by_role("heading", level=2).inner_text()


def is_drawn(page: Page) -> bool:
    return bool(page.evaluate("document.getElementById('viewer-image').naturalWidth"))


def test_keys_lead_through_the_images_and_back_to_where_one_was(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.get_by_role("link", name=f"{SECOND}, by bob").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=SECOND)
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name=THIRD)).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("dialog", name=NEWEST)).to_be_visible()
    expect(page.locator("#viewer-announcement")).to_have_text(f"Image 1 of 12: {NEWEST}, by dave")
    expect(page.get_by_role("button", name="Newer image")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("link", name=f"{NEWEST}, by dave")).to_be_focused()


def test_the_focus_stays_inside_while_an_image_is_open(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.get_by_role("link", name=f"{SECOND}, by bob").click()
    expect(page.get_by_role("dialog", name=SECOND)).to_be_visible()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")


def test_back_closes_an_image_and_its_address_opens_it(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.get_by_role("link", name=f"{THIRD}, by alice").click()
    expect(page.get_by_role("dialog", name=THIRD)).to_be_visible()
    address = page.url
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.go_forward()
    expect(page.get_by_role("dialog", name=THIRD)).to_be_visible()
    again = pages.open(album, at=address[address.index("#") :])
    expect(again.get_by_role("dialog", name=THIRD)).to_be_visible()
    again.get_by_role("button", name="Close").click()
    expect(again.get_by_role("dialog")).to_be_hidden()
    expect(again.get_by_role("link", name=f"{THIRD}, by alice")).to_be_focused()


def test_an_image_that_the_filters_leave_out_is_opened_all_the_same(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.get_by_role("link", name=f"{THIRD}, by alice").click()
    expect(page.get_by_role("dialog", name=THIRD)).to_be_visible()
    image = page.url.rpartition("image=")[2]
    again = pages.open(album, at=f"#search=nose&image={image}")
    expect(again.get_by_role("dialog", name=THIRD)).to_be_visible()
    expect(again.get_by_role("button", name="Older image")).to_be_hidden()


def test_what_is_known_is_said_and_what_the_badge_means(pages: Pages, album: Member) -> None:
    page = pages.open(album)
    page.get_by_role("link", name=f"{SECOND}, by bob").click()
    dialog = page.get_by_role("dialog", name=SECOND)
    expect(dialog).to_contain_text("bob · 24 November 2026 at 15:00")
    badge = dialog.get_by_role("region", name="Verified")
    expect(badge).to_contain_text("Every byte is as bob signed it")
    expect(badge).to_contain_text("You have not compared bob's fingerprint yourself yet: subscriber verify bob")
    facts = dialog.locator("#facts")
    for fact in ("nose.jpg", "holidays/alps", "every member", "960 \u00d7 800", "image/jpeg"):
        expect(facts).to_contain_text(fact)
    wait_until(lambda: is_drawn(page), "the image is drawn")
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "nose.jpg"


def test_the_badge_says_whether_one_has_compared_the_owner_and_when_the_device_is_another(
    pages: Pages, carol: Member
) -> None:
    carol.receive(plain(1), owner="alice", name="own.jpg")
    carol.receive(plain(2), owner="bob", name="other.jpg")
    verified = [authorities.default().member("alice").certificate, authorities.default().new_member("bob").certificate]
    carol.verified.add(verified, NOW)
    page = pages.open(carol)
    page.get_by_role("link", name="other.jpg, by bob").click()
    badge = page.get_by_role("region", name="Verified")
    expect(badge).to_contain_text("You have compared another device of bob's, and not this one")
    assert barriers(page) == []
    page.keyboard.press("ArrowRight")
    expect(badge).to_contain_text("You have compared alice's fingerprint yourself.")
    page.keyboard.press("Escape")
    carol.receive(plain(3), owner="bob", name="again.jpg")
    expect(page.locator("#notices")).to_contain_text("bob posts with a device that you have not verified")


def test_a_finger_leads_to_the_next_image(pages: Pages, album: Member) -> None:
    page = pages.open(album, **PHONE)
    page.get_by_role("link", name=f"{NEWEST}, by dave").tap()
    expect(page.get_by_role("dialog", name=NEWEST)).to_be_visible()
    swipe(page, 300, 80)
    expect(page.get_by_role("dialog", name=SECOND)).to_be_visible()
    swipe(page, 80, 300)
    expect(page.get_by_role("dialog", name=NEWEST)).to_be_visible()
    swipe(page, 200, 170)
    assert title(page) == NEWEST


def swipe(page: Page, start: int, end: int) -> None:
    devtools = page.context.new_cdp_session(page)
    for kind, at in (("touchStart", start), ("touchMove", (start + end) // 2), ("touchMove", end), ("touchEnd", None)):
        points = [] if at is None else [{"x": at, "y": 300}]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    devtools.detach()


def test_what_the_browser_cannot_show_is_shown_small_and_what_is_gone_is_told(pages: Pages, carol: Member) -> None:
    carol.receive(pictures.plain("image/tiff"), name="scan.tiff", media_type="image/tiff", size=(64, 48))
    gone = carol.receive(plain(1), name="gone.jpg")
    (carol.home / "inbox/alice" / gone.name).unlink()
    page = pages.open(carol)
    page.get_by_role("link", name="scan.tiff, by alice").click()
    expect(page.get_by_text("A small version: this browser cannot show the file itself.")).to_be_visible()
    wait_until(lambda: is_drawn(page), "the small version is drawn")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("The file is no longer where it was saved.")).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_be_hidden()
    pages.forgive("the server responded with a status of 404")
