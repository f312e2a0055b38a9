"""Pages of the gallery, and what they may not do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from browser.member import NOW
from system import wait_until

if TYPE_CHECKING:
    from browser.member import Member
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

DESKTOP: dict[str, Any] = {"viewport": {"width": 1120, "height": 780}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
PATIENCE = 60_000  # milliseconds
COUNT_SEEN = """[...document.querySelectorAll("#images img")].filter((image) => {
  const { top, bottom } = image.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}).length"""
_ARE_SEEN = """[...document.querySelectorAll("#images img")].every((image) => {
  const { top, bottom } = image.getBoundingClientRect();
  return bottom < 0 || top > innerHeight || getComputedStyle(image).opacity === "1";
})"""


@dataclass
class Pages:
    """Opens pages, each in a context of its own, and watches what they ask for and complain of."""

    browser: Browser
    foreign: list[str] = field(default_factory=list)  # requests to anybody but the gallery
    complaints: list[str] = field(default_factory=list)  # what the browser says to developers: breaches of policy, too
    asked: list[str] = field(default_factory=list)  # paths that were asked for, in this order
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, member: Member, *, at: str = "", **options: Any) -> Page:  # noqa: ANN401 - any option of a context
        """Open a member's gallery, starting it where it does not run yet; ``at`` is the fragment."""
        context = self.browser.new_context(**DESKTOP | {"locale": "en-GB", "timezone_id": "UTC"} | options)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.on("request", lambda request: self._note(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(member.open_gallery(context) + at)
        page.locator("#images a, .empty:visible, #refused li").first.wait_for()
        return page

    def forgive(self, complaint: str) -> None:
        """Take it that the browser complains so: something is not there, as the test wants it."""
        self.complaints = [one for one in self.complaints if complaint not in one]

    def close(self) -> None:
        """Close all; fails where a page did what no page of the gallery may do."""
        for context in self._contexts:
            context.close()
        assert self.foreign == [], self.foreign
        assert self.complaints == [], self.complaints

    def _note(self, url: str) -> None:
        address = urlsplit(url)
        if address.hostname != "127.0.0.1":
            self.foreign.append(url)
        self.asked.append(address.path)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


def barriers(page: Page) -> list[str]:
    """Return what axe-core finds, but for what it calls minor, and where."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found if one["impact"] != "minor" for node in one["nodes"]]


def wait_for_thumbnails(page: Page) -> None:
    """Wait until all that is seen is loaded, and faded in."""
    wait_until(lambda: page.evaluate(_ARE_SEEN), "every thumbnail is seen")


def names_of(page: Page) -> list[str]:
    """Return what a screen reader says of each image on the wall, in this order."""
    return [str(image.get_attribute("alt")) for image in page.locator("#images img").all()]
