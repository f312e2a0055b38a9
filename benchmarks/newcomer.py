"""From nothing to a friend's photograph in the gallery: `git clone`, then `make demo`.

In a new home, without a cache of packages. What `make` would install of Debian's packages is there already.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
LONGEST = 600.0  # seconds


def main() -> None:
    """Print how long after the first command each thing is there."""
    with tempfile.TemporaryDirectory(prefix="sealcast-newcomer-") as name:
        clone = Path(name) / "sealcast"
        begin = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)  # noqa: S607 - whichever is on PATH
        told("cloned", begin)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SEALCAST_", "MAKE"))}
        environment |= {"HOME": name, "PIP_NO_CACHE_DIR": "1", "PYTHON": sys.base_prefix + "/bin/python3"}
        for line in lines_of_the_demo(clone, environment):
            if line.startswith("a registrar"):
                told("installed", begin)
            elif address := re.search(r"gallery: (\S+)", line):
                gallery = address[1]
            elif "saved" in line:
                told("saved", begin)
            elif "press Enter" in line:
                owner, picture = look(gallery)
                told(f"a photograph of {owner}'s is in the browser, {len(picture):,} bytes", begin)


def told(what: str, begin: float) -> None:
    """Print how long it took until something was there."""
    print(f"{time.monotonic() - begin:6.1f} s  {what}", flush=True)


def lines_of_the_demo(clone: Path, environment: dict[str, str]) -> Iterator[str]:
    """Type `make demo` in a terminal and yield what it shows; Enter is pressed when all of that was looked at."""
    terminal, stdin = os.openpty()
    with subprocess.Popen(
        ["make", "demo"], cwd=clone, env=environment, stdin=stdin, stdout=subprocess.PIPE, text=True  # noqa: S607 - as above
    ) as demo:  # fmt: skip
        for line in demo.stdout or ():
            yield line
            if "press Enter" in line:
                os.write(terminal, b"\n")
    for end in (terminal, stdin):
        os.close(end)
    if demo.returncode != 0:
        sys.exit(demo.returncode)


def look(address: str) -> tuple[str, bytes]:
    """Open the address as a browser does; return the owner and the bytes of the newest image."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = address.partition("?")[0]
    with contextlib.ExitStack() as stack:
        stack.enter_context(browser.open(address, timeout=LONGEST))
        listed = json.load(stack.enter_context(browser.open(f"{page}api/images", timeout=LONGEST)))
        image = listed["images"][0]
        shown = stack.enter_context(browser.open(f"{page}images/{image['owner']}/{image['image_id']}", timeout=LONGEST))
        return image["owner"], shown.read()


if __name__ == "__main__":
    main()
