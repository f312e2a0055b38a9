"""A browser, and galleries for it to show."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from browser.member import Member
from browser.pages import PATIENCE, Pages
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium")
# `make test` says so then.
collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]
# Nothing of what a browser does by itself for the person who uses it; root, as in a container, has no sandbox.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-domain-reliability", "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; each test has pages of its own in it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def carol(tmp_path: Path) -> Iterator[Member]:
    """A member who has received nothing yet."""
    with Member(tmp_path / "carol") as member:
        yield member


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A member with twelve photographs, which no test changes."""
    with Member(tmp_path_factory.mktemp("album") / "carol") as member:
        member.receive_album()
        for code, owner in (("expired", "bob"), ("not_recipient", "dave"), ("not_verified", "mallory")):
            member.refuse(code, owner=owner)
        yield member


@pytest.fixture
def pages(chromium: Browser, carol: Member) -> Iterator[Pages]:  # noqa: ARG001 - pages close before her gallery does
    """Opens galleries; at the end, no page may have asked anybody else for anything, or broken its own policy."""
    opened = Pages(chromium)
    yield opened
    opened.close()
