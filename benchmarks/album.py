"""What the gallery lists of 10,000 and 100,000 images, each answer as the page asks for it.

In processor time, which is what passes by the clock on a machine that does nothing else: all is in memory by then. The
least of five times. Images come from four people on three channels, one in fifty is refused, and each was sealed for
eight devices.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import console, messages
from common.topics import ImageTopic, new_image_id
from common.verified import Verified
from subscriber.album import Album
from subscriber.gallery.listing import describe_image
from subscriber.ledger import SAVED, Entry, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from subscriber.album import Page

SIZES = (10_000, 100_000)
OWNERS, CHANNELS = ("alice", "bob", "carol", "dave"), ("public", "family", "site-7/gate")
DEVICES, REFUSED_EACH, PAGE, ROUNDS = 8, 50, 60, 5


def main() -> None:
    """Print the table, a line for each question."""
    columns = [measure(size) for size in SIZES]
    print(f"{'':24}" + "".join(f"{size:>12,}" for size in SIZES))
    for question in columns[0]:
        print(f"{question:24}" + "".join(f"{column[question] * 1000:>9.1f} ms" for column in columns))


def measure(size: int) -> dict[str, float]:
    """Return how many seconds each answer takes."""
    with tempfile.TemporaryDirectory(prefix="sealcast-bench-") as name:
        home = Path(name)
        fill(home, size)
        with Album(home) as album, Verified(home) as verified:

            def list_images(**asked: str | int) -> Page:
                page = album.saved(limit=PAGE, **asked)  # type: ignore[arg-type] # as each question gives it
                for entry in page.entries:
                    describe_image(entry, verified)
                return page

            questions: dict[str, Callable[[], object]] = {
                "the newest page": list_images,
                "a page in the middle": lambda: list_images(before=size // 2),
                "of a channel": lambda: list_images(channel="family"),
                "of a person": lambda: list_images(owner="alice"),
                "of both": lambda: list_images(channel="family", owner="alice"),
                "a search, many found": lambda: list_images(search="IMG"),
                "a search, none found": lambda: list_images(search="nowhere"),
                "the refused": lambda: album.refused(limit=PAGE),
                "channels and people": album.filters,
                "what is new": lambda: album.since(album.position()),
            }
            return {question: min(timed(ask) for _ in range(ROUNDS)) for question, ask in questions.items()}


def timed(ask: Callable[[], object]) -> float:
    """Return how many seconds of processor time a call takes."""
    begun = time.process_time()
    ask()
    return time.process_time() - begun


def fill(home: Path, size: int) -> None:
    """Note so many images in a new ledger; their files are not there."""
    begin = console.now() - dt.timedelta(seconds=size)
    with Ledger(home) as ledger, ledger.transaction():
        for number in range(size):
            ledger.add(make_entry(home, number, begin + dt.timedelta(seconds=number)))


def make_entry(home: Path, number: int, at: dt.datetime) -> Entry:
    """Return what the ledger would note of an image."""
    owner, channel = OWNERS[number % len(OWNERS)], CHANNELS[number % len(CHANNELS)]
    topic = ImageTopic(owner, channel, new_image_id(at))
    if number % REFUSED_EACH == 0:
        return Entry(owner, topic.image_id, channel, "not_verified", at, message="the image could not be verified")
    name, digest = f"IMG_{number:06}.jpg", f"{number:064x}"
    header = messages.ImageHeader(
        image_id=topic.image_id, owner=owner, audience="members", topic=topic.image, name=name,
        recipients=tuple(f"{device:064x}" for device in range(DEVICES)), media_type="image/jpeg", width=4000,
        height=3000, size=3_000_000, sha256=digest, sent_at=at, caption=f"On the way, number {number}",
    )  # fmt: skip
    path = home / "inbox" / owner / name
    return Entry(owner, topic.image_id, channel, SAVED, at, path, digest, name, header=header, fingerprint=digest)


if __name__ == "__main__":
    main()
