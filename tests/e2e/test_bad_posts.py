"""Whatever a person gets wrong when posting is refused with an error and a hint, and keeps nothing else back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pictures
import pytest
from refusals import assert_refused
from system import CHELSEA, ROOT, lines, run

if TYPE_CHECKING:
    from system import System


@pytest.fixture(scope="module")
def owner(system: System) -> Path:
    return system.register("owner-of-bad-ones")


BAD_FILES = {
    "no image": (b"This is no image.", "not_an_image"),
    "a web page": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
    "empty": (b"", "empty"),
    "truncated": (CHELSEA.read_bytes()[:20_000], "truncated"),
    "a beginning and noise": (CHELSEA.read_bytes()[:600] + bytes(range(256)) * 40, "truncated"),
    "a bomb": (pictures.png_bomb(), "too_many_pixels"),
    "scans without end": (pictures.jpeg_with_scans(500), "too_many_pixels"),
}


def test_what_is_no_image_is_not_posted_and_keeps_nothing_else_back(owner: Path, tmp_path: Path) -> None:
    codes = {}
    for name, (content, code) in BAD_FILES.items():
        file = tmp_path / name
        file.write_bytes(content)
        codes[str(file)] = code
    folder, missing, long = tmp_path / "folder", tmp_path / "missing.jpg", tmp_path / ("l" * 300)
    folder.mkdir()
    dangling, memory, pipe = tmp_path / "dangling.jpg", "/proc/self/mem", tmp_path / "pipe"
    dangling.symlink_to(missing)
    os.mkfifo(pipe)
    codes |= {str(path): "unreadable" for path in (folder, missing, long, dangling, memory, pipe)}
    done = run("publisher", "post", *codes, CHELSEA, "--home", owner, "--json")
    assert done.returncode == 1
    *failed, stored = map(json.loads, done.stdout.splitlines())
    assert {one["file"]: one["code"] for one in failed} == codes
    assert {one["event"] for one in failed} == {"failed"}
    assert (stored["event"], stored["name"]) == ("stored", CHELSEA.name)
    said = done.stderr.splitlines()
    errors, hints = ([line for line in said if line.startswith(f"{head}: ")] for head in ("error", "hint"))
    assert len(errors) == len(codes), done.stderr
    assert len(errors) + len(hints) == len(said)
    # One and the same hint is given once.
    assert 1 < len(hints) == len(set(hints))


def test_for_whom_nobody_knows_each_file_fails(owner: Path) -> None:
    done = run("publisher", "post", CHELSEA, CHELSEA, "--to", "nobody-yet", "--home", owner, "--json")
    assert done.returncode == 1
    refused = {
        "event": "failed",
        "file": str(CHELSEA),
        "code": "unknown_user",
        "message": "there is no member 'nobody-yet'",
    }
    assert lines(done) == [refused, refused]


def test_an_image_over_the_limit_is_not_posted(owner: Path) -> None:
    size = CHELSEA.stat().st_size
    over = run(
        "publisher", "post", CHELSEA, "--home", owner, environment={"SEALCAST_MAXIMUM_IMAGE_SIZE": str(size - 1)}
    )
    assert_refused(over, "is larger than", "smaller version")
    just = run("publisher", "post", CHELSEA, "--home", owner, environment={"SEALCAST_MAXIMUM_IMAGE_SIZE": str(size)})
    assert just.returncode == 0, just.stderr
    assert "stored" in just.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["--to", "nobody-yet"], "there is no member 'nobody-yet'", "check the spelling"),
        (["--to", "Bob"], "cannot be a user name", "small letters"),
        (["--to", "registrar"], "reserved", "choose another"),
        ([word for number in range(65) for word in ("--to", f"u{number}")], "64 people at most", "once more"),
        (["--caption", "long" * 251], "longer than 1,000 characters", "shorten"),
        (["--caption", "caf\udcff"], "the caption is not UTF-8", "UTF-8"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_refused(owner: Path, arguments: list[str], error: str, hint: str) -> None:
    done = run("publisher", "post", CHELSEA, "--home", owner, *arguments)
    assert_refused(done, error, hint)
    assert done.stdout == ""


@pytest.mark.parametrize("channel", ["a//b", "a/+", "a/b/c/d/e", "", "A B"])
def test_what_cannot_be_a_channel_is_wrong_usage(owner: Path, channel: str) -> None:
    done = run("publisher", "post", CHELSEA, "--home", owner, "--channel", channel)
    assert_refused(done, "cannot be a channel", "one to four words of small letters, digits and hyphens", exit_code=2)
    assert done.stdout == ""


def test_what_is_no_cipher_is_told_which_there_are(owner: Path) -> None:
    done = run("publisher", "post", CHELSEA, "--home", owner, "--cipher", "des")
    assert_refused(
        done, "(env var: 'SEALCAST_CIPHER'): 'des' is not one of 'aes-256-gcm'", "publisher post --help", exit_code=2
    )


def test_a_file_name_need_not_be_text(owner: Path, tmp_path: Path) -> None:
    file = tmp_path / "caf\udcff.jpg"
    file.write_bytes(CHELSEA.read_bytes())
    done = run("publisher", "post", file, "--home", owner, environment={"PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 0, done.stderr
    assert "caf\\udcff.jpg" in done.stdout


def test_output_that_cannot_be_written_is_explained(owner: Path) -> None:
    command = [sys.executable, "-m", "publisher", "whoami", "--home", owner]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert_refused(done, "cannot use stdout: no space left on device", "make room")


def test_a_reader_of_the_output_that_goes_away_is_no_fault(owner: Path) -> None:
    command = [sys.executable, "-m", "publisher", "whoami", "--home", owner]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
