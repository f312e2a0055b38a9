"""What members who mean harm write and send is shown as what it is, and never run."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from browser.pages import PHONE, names_of
from browser.photographs import plain
from playwright.sync_api import expect

from common.display import LONGEST_CAPTION, LONGEST_NAME
from subscriber.ledger import LEDGER

if TYPE_CHECKING:
    from browser.member import Member
    from browser.pages import Pages

RUN = "document.title='run'"
MARKUP = f"<img src=x onerror={RUN}><script>{RUN}</script>"
TURNED = "\u202egpj.exe\u2066\nsecond line"
TEXTS = [
    MARKUP,
    "\"' autofocus onfocus=" + RUN,
    "javascript:" + RUN,
    "&lt;b&gt; {{7*7}} ${7*7}",
    "W" * LONGEST_NAME,
    "👩‍👩‍👧‍👦🏳️‍🌈" * 12,
    "שלום עולם العربية",
]


def test_hostile_names_and_captions_are_text_wherever_they_are_shown(pages: Pages, carol: Member) -> None:
    for text in TEXTS:
        carol.receive(plain(1), name=text.replace("/", "_"), caption=text)
    page = pages.open(carol, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dialog = page.get_by_role("dialog")
    page.get_by_role("link", name=f"{TEXTS[-1]}, by alice", exact=True).tap()
    for text in reversed(TEXTS):
        expect(dialog.get_by_role("heading", level=2)).to_have_text(text)
        expect(page.locator("#viewer-image")).to_have_attribute("alt", f"{text}, by alice")
        assert dialog.locator("#facts bdi").inner_text() == text.replace("/", "_")
        assert page.evaluate("document.querySelectorAll('img, script').length") == len(TEXTS) + 3
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert names_of(page) == [f"{text}, by alice" for text in reversed(TEXTS)]
    page.get_by_role("searchbox").fill(MARKUP)
    expect(page.locator("#announcement")).to_have_text("1 image matches")
    assert page.title() == "Images · Sealcast"


def test_a_name_that_turns_the_reading_direction_turns_nothing_around_it(pages: Pages, carol: Member) -> None:
    """No header may hold such a name; a ledger that something else has written to may."""
    carol.receive(plain(1))
    with sqlite3.connect(carol.home / LEDGER) as ledger:
        ledger.execute("UPDATE images SET name = ?", (TURNED,))
    page = pages.open(carol)
    page.locator("#images a").click()
    name = page.locator("#facts bdi")
    expect(name).to_be_visible()
    assert name.evaluate("(node) => getComputedStyle(node).unicodeBidi") == "isolate"
    assert page.evaluate("getComputedStyle(document.getElementById('viewer-title')).unicodeBidi") == "isolate"


def test_the_longest_caption_can_be_read_to_its_end(pages: Pages, carol: Member) -> None:
    carol.receive(plain(1), caption="word " * (LONGEST_CAPTION // 5 - 1) + "end")
    page = pages.open(carol)
    page.locator("#images a").click()
    page.get_by_role("link", name="Download").scroll_into_view_if_needed()
    expect(page.get_by_role("link", name="Download")).to_be_in_viewport()


@pytest.mark.parametrize(
    "content",
    [
        f'<svg xmlns="http://www.w3.org/2000/svg" onload="{RUN}"><script>{RUN}</script></svg>'.encode(),
        f"<!doctype html><title>hostile</title><script>{RUN}</script>".encode(),
        plain(1) + f"<html><script>{RUN}</script>".encode(),
    ],
    ids=["svg", "html", "polyglot"],
)
def test_a_hostile_file_is_never_run(pages: Pages, carol: Member, content: bytes) -> None:
    header = carol.receive(content, name="photo.png", media_type="image/png")
    page = pages.open(carol)
    page.get_by_role("link", name="photo.png, by alice").click()
    expect(page.get_by_role("dialog", name="photo.png")).to_be_visible()
    assert page.title() == "Images · Sealcast"
    alone = page.context.new_page()  # of which nobody demands that the browser be content with it
    alone.goto(page.url.partition("#")[0] + f"images/alice/{header.image_id}")
    assert alone.evaluate("document.contentType") == "image/png"
    assert alone.title() not in {"run", "hostile"}
    assert alone.evaluate("document.scripts.length") == 0
    pages.forgive("the server responded with a status of 404")
