"""What the programs print, ask, remember, and how they learn that they are to stop."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from system import ROOT

from common import console
from common.console import Printer

# Printing


def test_a_person_reads_lines_and_a_program_reads_json(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(as_json=False).event("a line", event="x")
    Printer(as_json=False).event(None, event="x")
    Printer(as_json=True).event("a line", event="x", path=Path("/a/é"), name=None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a line"
    assert [json.loads(line) for line in lines[1:]] == [{"event": "x", "path": "/a/é", "name": None}]


def test_only_a_person_is_told_that_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(as_json=False).remark("nothing is here")
    Printer(as_json=True).remark("nothing is there")
    assert capsys.readouterr().out == "nothing is here\n"


def test_what_is_no_text_is_printed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(as_json=False).event("caf\udcff")
    Printer(as_json=True).event(None, name="caf\udcff")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "caf\\udcff"
    assert json.loads(lines[1]) == {"name": "caf\udcff"}


# What is remembered


def test_what_is_remembered_replaces_the_old_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('# mine\nport = 1\nreply_timeout = 5 # é\nbroker="old"\n', encoding="utf-8")
    console.remember(tmp_path, broker='with "quotes"', port=2)
    console.remember(tmp_path, broker='with "quotes"', port=3)
    text = path.read_text(encoding="utf-8")
    assert tomllib.loads(text) == {"broker": 'with "quotes"', "port": 3, "reply_timeout": 5}
    assert text.count("# mine") == text.count("# é") == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_remembered_first_makes_the_file(tmp_path: Path) -> None:
    console.remember(tmp_path, broker="localhost")
    assert (tmp_path / "settings.toml").read_text() == 'broker = "localhost"\n'


# Being stopped

STOPPED = """
import os, signal, sys
from common.console import Stop
stop = Stop()
print(bool(stop), flush=True)
os.kill(os.getpid(), getattr(signal, sys.argv[1]))
print(stop.wait(60), bool(stop))
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_daemon_learns_that_it_is_to_stop(number: str) -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED, number], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "True", "True"]


def test_the_programs_share_the_members_folder_and_the_registrar_has_its_own() -> None:
    homes = [console.default_home(program) for program in ("publisher", "subscriber", "registrar")]
    assert homes[0] == homes[1] != homes[2]
    assert {home.parent.name for home in homes} == {"sealcast"}
