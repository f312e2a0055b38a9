"""broker/entrypoint, with a stand-in for mosquitto, and with the tools of either image that it may meet."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from system import ROOT, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef" * 2
MOSQUITTO = f"""#!/bin/sh
trap 'echo "reread by {SECRET}-one" >&2' HUP
trap 'exit 7' TERM
touch running
echo "New client connected from 127.0.0.1:1 as {SECRET}-one (p5, c1, k60, u'bob')." >&2
while :; do sleep 0.1; done
"""
# That of BusyBox, in the image of eclipse-mosquitto.
SED_WITHOUT_U = """#!/bin/sh
[ "$1" = -u ] && exit 1
exec /usr/bin/env -i PATH=/usr/bin:/bin sed "$@"
"""


@pytest.mark.parametrize("with_sed", [True, False])
def test_the_log_is_masked_and_signals_reach_mosquitto(tmp_path: Path, *, with_sed: bool) -> None:
    programs = {"mosquitto": MOSQUITTO} | ({} if with_sed else {"sed": SED_WITHOUT_U})
    for folder in ("bin", "trust", "log", "config"):
        (tmp_path / folder).mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    for name in ("crl.pem", "broker.pem", "ca.pem"):
        (tmp_path / "trust" / name).write_text("one")
    shutil.copy(ROOT / "broker" / "entrypoint", tmp_path / "config")
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    written = tmp_path / "written"
    with written.open("wb") as output:
        process = subprocess.Popen(["/bin/sh", "config/entrypoint"], cwd=tmp_path, stderr=output, env=environment)
    try:
        wait_until((tmp_path / "running").exists, "mosquitto runs")
        if with_sed:  # Debian's awk waits for more
            wait_until(lambda: "u'bob'" in written.read_text(), "the log is passed on at once")
        (tmp_path / "trust" / "crl.pem").write_text("another")
        if with_sed:
            wait_until(lambda: "reread by" in written.read_text(), "the list is read again")
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 7
    wait_until(lambda: "as …-one (p5, c1, k60, u'bob')." in written.read_text(), "the log is passed on")
    assert SECRET not in written.read_text()
