"""The decoding process: it answers as the function in it does, and what an image does to it costs nobody anything."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pictures
import pytest
from decoding_processes import hold, is_running, process_of
from fuzz import corpus, seeds
from system import ROOT, wait_until

from common import decoder as asking
from common.decoder import Decoder
from common.decoding.inspection import inspect
from common.errors import ConfigurationError, ImageError
from common.images import ImageFacts
from common.settings import MEBIBYTE, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 100_000
GOOD = pictures.plain("image/png")
FACTS = ImageFacts("image/png", 64, 48)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with Decoder(Settings(maximum_pixels=LIMIT)) as one:
        yield one


def refusal(decoder: Decoder, data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decoder.inspect(data)
    assert caught.value.hint
    return caught.value


def outcome(ask: Callable[[bytes], ImageFacts], data: bytes) -> object:
    try:
        return ask(data)
    except ImageError as error:
        return error.code, error.message, error.hint


@pytest.mark.filterwarnings("ignore::Warning")
def test_it_answers_as_the_function_in_it_and_stays_the_same_process(decoder: Decoder) -> None:
    files = [make(media_type) for media_type in pictures.FORMATS for make in (pictures.plain, pictures.private)]
    broken = [b"", b"hello", GOOD[:-20], pictures.png_bomb()]
    inputs = [*files, *broken, *seeds.seeds("images"), *corpus.kept("images")]
    inputs += inputs[: max(0, 200 - len(inputs))]
    process = process_of(decoder)
    for data in inputs:
        assert outcome(decoder.inspect, data) == outcome(lambda data: inspect(data, maximum_pixels=LIMIT), data)
    assert len(inputs) >= 200
    assert process_of(decoder) == process


def test_an_image_of_forty_megabytes_goes_through() -> None:
    data = pictures.plain("image/bmp", pictures.Image.new("RGB", (4_000, 3_400)))
    assert len(data) > 40_000_000
    with Decoder(Settings()) as decoder:
        assert decoder.inspect(data) == ImageFacts("image/bmp", 4_000, 3_400)


def test_an_image_that_takes_too_much_memory_is_refused_and_the_next_is_not() -> None:
    data = pictures.plain("image/png", pictures.Image.new("RGB", (5_000, 5_000)))
    with Decoder(Settings(decoding_memory=100 * MEBIBYTE)) as decoder:
        error = refusal(decoder, data)
        assert error.code == "too_many_pixels"
        assert error.message == "the image takes more than 100 MiB of memory to decode"
        assert decoder.inspect(GOOD) == FACTS
    with Decoder(Settings()) as decoder:
        assert decoder.inspect(data).width == 5_000


def test_an_image_that_takes_too_long_is_refused_and_the_next_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_BUSY", 1_000)  # by the clock there is time enough
    with Decoder(Settings(decoding_seconds=1, maximum_pixels=10**11)) as decoder:
        error = refusal(decoder, pictures.slow_gif())
        assert error.code == "too_many_pixels"
        assert error.message == "the image takes more than 1 s to decode"
        assert decoder.inspect(pictures.slow_gif(frames=10)).width == 2_000


def test_processor_time_is_of_each_image_not_of_all_together() -> None:
    data = pictures.slow_gif(frames=60)  # about 0.15 s
    with Decoder(Settings(decoding_seconds=1, maximum_pixels=10**11)) as decoder:
        process = process_of(decoder)
        for _ in range(20):
            assert decoder.inspect(data).width == 2_000
        assert process_of(decoder) == process


def test_a_process_that_does_nothing_is_given_up_and_the_next_is_not(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = pictures.plain("image/bmp", pictures.Image.new("RGB", (300, 300)))  # more than the socket takes by itself
    for data in (GOOD, large):
        assert decoder.inspect(GOOD) == FACTS
        process = process_of(decoder)
        with monkeypatch.context() as patch:
            patch.setattr(asking, "_BUSY", 0.01)
            os.kill(process, signal.SIGSTOP)
            assert refusal(decoder, data).code == "too_many_pixels"
        assert not is_running(process)
    assert decoder.inspect(large).width == 300


def test_a_process_that_goes_on_answering_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_program(monkeypatch, tmp_path, "echo '{}'; read -r request; while printf x; do sleep 0.1; done")
    monkeypatch.setattr(asking, "_BUSY", 0.02)
    with Decoder(Settings()) as decoder:
        assert refusal(decoder, GOOD).code == "too_many_pixels"


def test_a_process_that_was_killed_is_replaced_between_images_and_in_the_middle_of_one(decoder: Decoder) -> None:
    assert decoder.inspect(GOOD) == FACTS
    os.kill(process_of(decoder), signal.SIGKILL)
    assert decoder.inspect(GOOD) == FACTS
    process = process_of(decoder)
    with ThreadPoolExecutor(1) as pool, hold(process):
        answer = pool.submit(decoder.inspect, GOOD)
        wait_until(lambda: not decoder._idle, "the process is asked")  # noqa: SLF001 - nobody else has to know
        os.kill(process, signal.SIGKILL)
        assert answer.result() == FACTS
    assert process_of(decoder) != process


PROGRAMS = {
    "kill -SEGV $$": "truncated",
    "exit 7": "truncated",
    "echo '{}'; sleep 5": "truncated",
    "echo 'no JSON'; sleep 5": "truncated",
    """echo '{"media_type": "image/png", "width": -1, "height": 1}'; sleep 5""": "truncated",
    """echo '{"media_type": "image/svg", "width": 1, "height": 1}'; sleep 5""": "truncated",
    r"""echo '{"code": "truncated", "message": "\u001b[2J", "hint": ""}'; sleep 5""": "truncated",
    "yes | tr -d '\\n'": "truncated",
    "exit 3": "too_many_pixels",  # as where memory is short
}


def replace_program(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> Path:
    """Have another program in place of the decoding process; return a file with a line for each start."""
    starts, path = folder / "starts", folder / "program"
    path.write_text(f"#!/bin/sh\necho >> {starts}\n{program}\n")
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(asking, "_ENDING_SECONDS", 0.2)
    return starts


@pytest.mark.parametrize(("program", "code"), PROGRAMS.items())
def test_an_image_that_breaks_two_processes_or_makes_them_talk_is_refused(
    program: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    starts = replace_program(monkeypatch, tmp_path, f"echo '{{}}'; read -r request; {program}")
    with Decoder(Settings()) as decoder:
        error = refusal(decoder, GOOD)
        assert error.code == code
        assert starts.read_text() == "\n\n"
        lost = [record.getMessage().partition(":")[0] for record in caplog.records]
        assert lost == ["a decoding process was lost"] * 2
        monkeypatch.undo()
        assert decoder.inspect(GOOD) == FACTS


@pytest.mark.parametrize("program", ["exit 1", "no such program"])
def test_where_no_process_starts_no_image_is_to_blame(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Decoder(Settings()) as decoder:
        os.kill(process_of(decoder), signal.SIGKILL)
        replace_program(monkeypatch, tmp_path, program)
        if program == "no such program":
            Path(sys.executable).unlink()
        with pytest.raises(ConfigurationError) as caught:
            decoder.inspect(GOOD)
        assert caught.value.code == "no_decoder"
        monkeypatch.undo()
        assert decoder.inspect(GOOD) == FACTS


def test_several_images_at_once_have_a_process_each(decoder: Decoder) -> None:
    meeting = threading.Barrier(3)

    def ask(_: int) -> ImageFacts:
        meeting.wait()
        return decoder.inspect(GOOD)

    with ThreadPoolExecutor(3) as pool, hold(process_of(decoder)):
        answers = [pool.submit(ask, number) for number in range(3)]
        wait_until(lambda: sum(answer.done() for answer in answers) >= 2, "two that are not held")
    assert [answer.result() for answer in answers] == [FACTS] * 3
    assert [decoder.inspect(GOOD) for _ in range(3)] == [FACTS] * 3


def test_leaving_ends_the_processes() -> None:
    with Decoder(Settings()) as decoder:
        process = process_of(decoder)
        assert is_running(process)
    assert not is_running(process)


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_process_ends_with_its_parent(state: str) -> None:
    code = """
        import os, signal, sys, time
        from common.decoder import Decoder
        from common.settings import Settings
        with Decoder(Settings()) as decoder:
            decoder.inspect(sys.stdin.buffer.read())
            print(decoder._idle[0]._process.pid, flush=True)
            time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(GOOD)
        parent.stdin.close()
        process = int(parent.stdout.readline())
        assert is_running(process)
        if state == "busy":
            os.kill(process, signal.SIGSTOP)  # it cannot see that nobody asks any more
        parent.kill()
    wait_until(lambda: not is_running(process), "the decoding process has ended")


def test_a_signal_for_everybody_in_a_terminal_or_a_service_does_not_end_it(decoder: Decoder) -> None:
    assert decoder.inspect(GOOD) == FACTS
    process = process_of(decoder)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process, number)
    assert decoder.inspect(GOOD) == FACTS
    assert process_of(decoder) == process


def test_its_limits_are_the_kernels(decoder: Decoder) -> None:
    assert decoder.inspect(GOOD) == FACTS
    proc = Path("/proc", str(process_of(decoder)))
    limits = dict(re.findall(r"^(Max [a-z ]+?) {2,}\S+ +(\S+)", (proc / "limits").read_text(), re.MULTILINE))
    none = ("Max open files", "Max file size", "Max core file size", "Max processes")
    assert {name: limits[name] for name in none} == dict.fromkeys(none, "0")
    assert limits["Max address space"] == str(2 * 1024 * MEBIBYTE)
    assert re.search(r"^Max cpu time +3\d ", (proc / "limits").read_text(), re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", (proc / "status").read_text(), re.MULTILINE)
    assert (proc / "environ").read_bytes() == b""
    assert {path.name for path in (proc / "fd").iterdir()} == {"0", "1", "2"}
    assert (proc / "cwd").readlink() == Path("/")
    assert (proc / "oom_score_adj").read_text() == "1000\n"
