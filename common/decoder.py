"""Has images decoded in processes of their own, which a stranger's bytes may exhaust or take over (docs/adr/0015).

A lost process is a refused image and nothing else: the next image gets another one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field

from common import messages
from common.decoding import OUT_OF_MEMORY
from common.display import Caption
from common.errors import ConfigurationError, ImageError, VerificationError
from common.images import ImageFacts
from common.messages import MediaType, Message
from common.metadata.container import damaged
from common.settings import KIBIBYTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.settings import Settings

# `python -I` ignores where it is started; the module is to be the one beside this, wherever that is installed.
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); "
    "from common.decoding.__main__ import main; main()"
)
LONGEST_SIDE = 480  # pixels of a thumbnail; a line of a page has three to ten
_LONGEST_THUMBNAIL = 512 * KIBIBYTE  # measured: of noise, the worst, it has 190
_LONGEST_ANSWER = 4096 + _LONGEST_THUMBNAIL * 4 // 3  # bytes
_RECEIVED_AT_ONCE = 64 * KIBIBYTE
_BUSY = 4  # so many times the processor time may pass by the clock, on a machine that has more to do
_ENDING_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Decoder:
    """Asks decoding processes, from any thread: one is started on entering, more where several images come at once.

    A context manager; on leaving, the processes end.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # A process ends with the thread that has started it (PR_SET_PDEATHSIG), and callers' threads come and go.
        self._starter = ThreadPoolExecutor(1, "starts-decoding")
        self._idle: deque[_Process] = deque()

    def __enter__(self) -> Self:
        self._idle.append(self._start())
        return self

    def __exit__(self, *exception: object) -> None:
        while self._idle:
            self._idle.pop().end()
        self._starter.shutdown()

    def inspect(self, data: bytes) -> ImageFacts:
        """Decode an image to its end, and tell what it is.

        Raises ImageError as `common.decoding.inspection.inspect` does, and also for an image that takes more than
        ``decoding_seconds`` or ``decoding_memory`` or breaks the process; ConfigurationError where none can be started.
        """
        facts = self._ask(Facts, data, operation="inspect")
        return ImageFacts(facts.media_type, facts.width, facts.height)

    def thumbnail(self, data: bytes) -> bytes:
        """Return a small WebP of an image, of at most ``LONGEST_SIDE`` pixels a side; raises as ``inspect`` does."""
        return self._ask(Thumbnail, data, operation="thumbnail", longest_side=LONGEST_SIDE).thumbnail

    def _ask(self, kind: type[_AnyAnswer], data: bytes, **request: object) -> _AnyAnswer:
        try:
            return self._ask_once(kind, data, request)
        except _LostError as loss:
            if loss.is_final:
                raise
            # The machine may be short of memory, or earlier images have left something behind.
            return self._ask_once(kind, data, request)

    def _ask_once(self, kind: type[_AnyAnswer], data: bytes, request: Mapping[str, object]) -> _AnyAnswer:
        try:
            process = self._idle.pop()
        except IndexError:
            process = self._start()
        try:
            answer = process.ask(kind, data, request)
        except BaseException:
            process.end()
            raise
        self._idle.append(process)
        if isinstance(answer, ImageError):
            raise answer
        return answer

    def _start(self) -> _Process:
        return self._starter.submit(_Process, self._settings).result()


class _Process:
    """One decoding process; what it says is not trusted, since an image may have taken it over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_ready = False
        limits = [str(settings.decoding_memory), str(settings.decoding_seconds)]
        try:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own module and this very Python
                    [sys.executable, "-I", "-B", "-c", _PROGRAM, *limits],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,  # a broken C library may write anything there
                    cwd="/",
                    env={},
                )
        except OSError as error:
            raise _no_process() from error

    def ask(self, kind: type[_AnyAnswer], data: bytes, request: Mapping[str, object]) -> _AnyAnswer | ImageError:
        """Ask about an image; raises _LostError, or ConfigurationError where the process has not come up."""
        whole = {**request, "size": len(data), "maximum_pixels": self._settings.maximum_pixels}
        deadline = time.monotonic() + _BUSY * self._settings.decoding_seconds
        try:
            if not self._is_ready:
                self._wait_until_ready(deadline)
            self._send(json.dumps(whole).encode() + b"\n", deadline)
            self._send(data, deadline)
            return read_answer(kind, self._receive_line(deadline))
        except (OSError, EOFError, VerificationError) as error:
            loss = self._explain(error)
            _log.warning("a decoding process was lost: %s", loss.reason)
            raise loss from error

    def end(self) -> None:
        """End the process at once."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _wait_until_ready(self, deadline: float) -> None:
        try:
            self._receive_line(deadline)
        except (OSError, EOFError) as error:
            raise _no_process() from error
        self._is_ready = True

    def _send(self, data: bytes, deadline: float) -> None:
        self._socket.settimeout(_seconds_until(deadline))
        self._socket.sendall(data)

    def _receive_line(self, deadline: float) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            self._socket.settimeout(_seconds_until(deadline))
            part = self._socket.recv(_RECEIVED_AT_ONCE)
            if not part or len(line) > _LONGEST_ANSWER:
                raise EOFError
            line += part
        return bytes(line)

    def _explain(self, error: Exception) -> _LostError:
        """Return why there is no answer, for the person and, more precisely, for the log."""
        if not isinstance(error, TimeoutError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_SECONDS)
        status = self._process.poll()
        if status == -signal.SIGXCPU or isinstance(error, TimeoutError):
            seconds = self._settings.decoding_seconds
            return _LostError(_too_much(f"{seconds} s"), f"the image took more than {seconds} s", is_final=True)
        if status == OUT_OF_MEMORY:
            mebibytes = f"{self._settings.decoding_memory / 2**20:g} MiB"
            return _LostError(_too_much(f"{mebibytes} of memory"), f"the image took more than {mebibytes}")
        reason = f"no answer, {error!r}" if status is None else f"it ended with status {status}"
        return _LostError(damaged("what decodes it breaks"), reason)


class _LostError(ImageError):
    """The image has cost a process; ``reason`` is for the log, ``is_final``: another would fare no better."""

    def __init__(self, error: ImageError, reason: str, *, is_final: bool = False) -> None:
        super().__init__(error.message, code=error.code, hint=error.hint)
        self.reason = reason
        self.is_final = is_final


class Facts(Message):
    """The answer to ``inspect``."""

    media_type: MediaType
    width: Annotated[int, Field(ge=1, lt=2**31)]
    height: Annotated[int, Field(ge=1, lt=2**31)]


def _check_webp(image: bytes) -> bytes:
    size = int.from_bytes(image[4:8], "little")
    if not (image.startswith(b"RIFF") and image[8:12] == b"WEBP" and size + 8 == len(image)):
        raise ValueError("no WebP")
    return image


class Thumbnail(Message):
    """The answer to ``thumbnail``."""

    thumbnail: Annotated[bytes, Field(max_length=_LONGEST_THUMBNAIL), AfterValidator(_check_webp)]


class _Refusal(Message):
    code: Literal["empty", "not_an_image", "truncated", "too_many_pixels"]
    message: Caption
    hint: Caption


_AnyAnswer = TypeVar("_AnyAnswer", Facts, Thumbnail)


def read_answer(kind: type[_AnyAnswer], answer: bytes) -> _AnyAnswer | ImageError:
    """Return what a process says; raises VerificationError where that is no answer."""
    try:
        return messages.read(kind, answer)
    except VerificationError:
        refusal = messages.read(_Refusal, answer)
        return ImageError(refusal.message, code=refusal.code, hint=refusal.hint)


def _seconds_until(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _too_much(what: str) -> ImageError:
    return ImageError(
        f"the image takes more than {what} to decode",
        code="too_many_pixels",
        hint="save a smaller version of the image",
    )


def _no_process() -> ConfigurationError:
    return ConfigurationError(
        "the process that decodes images does not start",
        hint="see whether the machine is short of memory or of processes; decoding_memory may be too small",
        code="no_decoder",
    )
