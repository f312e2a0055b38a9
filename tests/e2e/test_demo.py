"""What a newcomer sees first: `make demo`, up to a friend's photograph in the browser."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

from system import PATIENCE, ROOT, clean_environment, wait_until

if TYPE_CHECKING:
    from pathlib import Path

DEMO = [sys.executable, "-m", "tools.demo"]


def environment() -> dict[str, str]:
    return clean_environment() | {"PYTHONPATH": str(ROOT)}


def test_the_demo_ends_with_a_photograph_in_the_gallery(tmp_path: Path) -> None:
    terminal, stdin = os.openpty()
    shown = tmp_path / "shown"
    with shown.open("w") as output:
        demo = subprocess.Popen(DEMO, stdin=stdin, stdout=output, stderr=output, cwd=tmp_path, env=environment())
    os.close(stdin)
    try:
        wait_until(lambda: demo.poll() is not None or "press Enter" in shown.read_text(), "somebody may look")
        address = re.search(r"gallery: (\S+)", shown.read_text())
        assert address, shown.read_text()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        with browser.open(address[1]) as page:
            assert b"Sealcast" in page.read()
        with browser.open(address[1].partition("?")[0] + "api/images") as listed:
            (image,) = json.load(listed)["images"]
        assert (image["owner"], image["name"], image["caption"]) == ("alice", "chelsea.jpg", "hello from the demo")
        os.write(terminal, b"\n")
        assert demo.wait(PATIENCE) == 0
    finally:
        if demo.poll() is None:
            demo.send_signal(signal.SIGINT)  # so that it ends what it has started
            demo.wait(PATIENCE)
        os.close(terminal)
    assert "done:" in shown.read_text()
    assert (tmp_path / "demo" / "chelsea.jpg").exists()


def test_the_demo_says_what_picture_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "none.jpg"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.returncode == 1
    assert (
        done.stderr == f"error: there is no file {tmp_path / 'none.jpg'}\nhint: make demo IMAGE=path/to/picture.jpg\n"
    )
