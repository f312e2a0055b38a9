"""The gallery of an inbox with 10,000 photographs, as the browser itself times it: first paint, requests, frames.

`cold` is a browser that has just been started, and a gallery that has made no thumbnail yet; `warm` the same page
reloaded. Photographs have 1.9 megapixels and are all different. While one scrolls, a watcher beside the page notes what
has been in the window: a thumbnail that was asked for and never was there is one `in vain`.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import random
import statistics
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.installation import initialise, installation, program, read_event, running
from common import console, messages
from common.certificates import fingerprint
from common.files import make_private_folder
from common.topics import ImageTopic, new_image_id
from registrar.broker import Doors
from subscriber.gallery.thumbnails import FOLDER as THUMBNAILS
from subscriber.ledger import SAVED, Entry, Ledger
from tools.demo import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from common.identity import Identity

IMAGES, BETWEEN, ROUNDS = 10_000, dt.timedelta(hours=1), 5
SIZE = (1600, 1200)
WHEEL_TURNS, WHEEL_PIXELS = 200, 240
LOAD_TIMES = """() => {
  const thumbnails = performance.getEntriesByType("resource").filter(({ name }) => name.includes("/thumbnails/"));
  return [
    performance.getEntriesByName("first-contentful-paint")[0].startTime,
    Math.max(...thumbnails.map(({ responseEnd }) => responseEnd)),
  ];
}"""
ARE_DRAWN = """() => [...document.querySelectorAll("#images img")].every((image) => {
  const { top, bottom } = image.getBoundingClientRect();
  return bottom < 0 || top > innerHeight || image.classList.contains("loaded");
})"""
WATCHER = """
  window.watched = { seen: new Set(), frames: [] };
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) watched.seen.add(target.dataset.address);
  });
  new MutationObserver((records) => {
    for (const { addedNodes } of records)
      for (const node of addedNodes) node.querySelectorAll?.("img").forEach((image) => seen.observe(image));
  }).observe(document, { childList: true, subtree: true });
  let before;
  const frame = (now) => {
    if (before) watched.frames.push(now - before);
    before = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
"""


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="sealcast-bench-") as name:
        folder, doors = Path(name), Doors("127.0.0.1", *free_ports())
        initialise(folder)
        with installation(folder, doors) as (owner, reader):
            fill(reader.home, owner)
        rounds = []
        for _ in range(ROUNDS):
            with browsing(reader.home) as page:
                rounds.append([load_times(page), load_times(page)])
        print(f"{os.cpu_count()} cores, {IMAGES:,} images, {ROUNDS} rounds, medians")
        print(f"{'':>6} {'first paint':>12} {'all that is seen':>18}")
        for kind, times in zip(("cold", "warm"), zip(*rounds, strict=True), strict=True):
            paint, drawn = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{kind:>6} {paint:>9.0f} ms {drawn:>15.0f} ms")
        with browsing(reader.home) as page:
            scroll(page)


@contextmanager
def browsing(home: Path) -> Iterator[Page]:
    """Start a gallery that has made no thumbnail, and a browser; yield a page that has the address."""
    for thumbnail in (home / THUMBNAILS).glob("*"):
        thumbnail.unlink()
    with (
        running([*program("subscriber"), "gallery", "--home", str(home), "--json"]) as gallery,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"]) as browser,
    ):
        page = open_page(browser)
        page.goto((read_event(gallery) or {})["address"])
        yield page


def load_times(page: Page) -> tuple[float, float]:
    """Return the milliseconds to the first paint, and until every thumbnail in the window was there; then reload."""
    wait_until_drawn(page)
    paint, drawn = page.evaluate(LOAD_TIMES)
    page.reload()
    return paint, drawn


def open_page(browser: Browser) -> Page:
    """Return a page of the size of a laptop's, with the watcher in it."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(WATCHER)
    return page


def wait_until_drawn(page: Page) -> None:
    """Wait until every thumbnail in the window is there."""
    page.locator("#images img.loaded").first.wait_for()
    while not page.evaluate(ARE_DRAWN):
        page.wait_for_timeout(20)


def scroll(page: Page) -> None:
    """Turn the wheel on and on, as fast as a hand does, and print what that took."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.reload()
    wait_until_drawn(page)
    page.mouse.move(700, 500)
    page.evaluate("watched.frames.length = 0")
    for _ in range(WHEEL_TURNS):
        page.mouse.wheel(0, WHEEL_PIXELS)
        page.wait_for_timeout(16)
    frames = page.evaluate("watched.frames")
    wait_until_drawn(page)
    seen = set(page.evaluate("[...watched.seen]"))
    thumbnails = {path for path in asked if path.startswith("/thumbnails/")}
    pages = sum(path == "/api/images" for path in asked)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    in_vain = len(thumbnails - seen)
    print(f"scrolled over {len(seen):,} images: {len(thumbnails):,} thumbnails asked for, {in_vain} in vain,")
    print(f"  {pages} pages of the listing; {nodes} elements at the end")
    hundredths = statistics.quantiles(frames, n=100)
    print(f"  frames: median {statistics.median(frames):.1f} ms, 95 % under {hundredths[94]:.1f} ms")


def fill(home: Path, owner: Identity) -> None:
    """Note so many photographs in the ledger, one an hour, and write their files."""
    folder = make_private_folder(make_private_folder(home / "inbox") / owner.user)
    base = photograph()
    now = console.now()
    with Ledger(home) as ledger, ledger.transaction():
        for number in range(IMAGES):
            image = base + number.to_bytes(4)  # behind the end of a JPEG: each is another file
            at = now - BETWEEN * (IMAGES - number)
            path = folder / f"{number}.jpg"
            path.write_bytes(image)
            ledger.add(entry(owner, path, image, at))


def entry(owner: Identity, path: Path, image: bytes, at: dt.datetime) -> Entry:
    """Return what the ledger would note of an image."""
    topic = ImageTopic(owner.user, "public", new_image_id(at))
    digest, signer = sha256(image).hexdigest(), fingerprint(owner.certificate)
    header = messages.ImageHeader(
        image_id=topic.image_id, owner=topic.owner, audience="members", recipients=(signer,), topic=topic.image,
        name=path.name, media_type="image/jpeg", width=SIZE[0], height=SIZE[1], size=len(image), sha256=digest,
        sent_at=at,
    )  # fmt: skip
    return Entry(
        topic.owner,
        topic.image_id,
        topic.channel,
        SAVED,
        at,
        path,
        digest,
        path.name,
        header=header,
        fingerprint=signer,
    )


def photograph() -> bytes:
    """Return a JPEG with soft colours and a little noise."""
    small = Image.frombytes("RGB", (16, 12), random.Random(4).randbytes(16 * 12 * 3))
    noise = Image.effect_noise(SIZE, 40).convert("RGB")
    content = io.BytesIO()
    Image.blend(small.resize(SIZE, Image.Resampling.BICUBIC), noise, 0.04).save(content, "JPEG", quality=80)
    return content.getvalue()


if __name__ == "__main__":
    main()
