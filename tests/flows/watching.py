"""A watched folder in a simulated world: its files, its clocks, and the watch itself, which can be killed."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import Executor, Future
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.members import INSPECT, Recorder
from PIL import Image

from common.enveloping import Cipher
from common.readiness import Readiness
from publisher.courier import Courier
from publisher.outbox import Outbox
from publisher.post import Wishes
from publisher.watching import posting
from publisher.watching.folder import Folder
from publisher.watching.line import Line
from publisher.watching.memory import Memory
from publisher.watching.posting import Clocks, Poster
from publisher.watching.reporting import WatchReport
from publisher.watching.running import decide
from publisher.watching.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from flows.members import Owner

    from common.errors import SealcastError

LONG_AGO = 3600.0  # seconds


def image(number: int) -> bytes:
    """Return a picture; another number is another one."""
    data = BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256, 0)).save(data, "PNG")
    return data.getvalue()


class InTurn(Executor):
    """Does everything at once, in the thread of whoever asks."""

    def submit(self, call: Callable[..., Any], /, *arguments: object, **named: object) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            done.set_exception(error)
        return done


class _Events(Recorder):
    """Keeps what is said of failures, too: people read that elsewhere."""

    def event(self, line: str | None, **members: object) -> None:
        super().event(line or "a failure", **members)


class Watched:
    """A folder of an owner's that is watched; ``written`` are the names that somebody has open to write."""

    def __init__(self, owner: Owner, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.owner, self.root = owner, root
        root.mkdir(exist_ok=True)
        self.now = 1_000_000.0
        self.written: dict[str, bool | None] = {}
        self.away: SealcastError | None = None
        self.refusal: SealcastError | None = None
        self.sessions = 0
        self.wishes = Wishes((), "public", None, keep_metadata=False, cipher=Cipher.AES_256_GCM)
        self.channels_by_folder = False
        self.printer: Any = _Events()
        monkeypatch.setattr(posting, "is_written", self._is_written)
        # The world's own is open beside it all the time, and clears up nothing then.
        owner.outbox.__exit__()

    def _is_written(self, descriptor: int) -> bool | None:
        return self.written.get(Path(f"/proc/self/fd/{descriptor}").readlink().name, False)

    def write(self, name: str, content: bytes, *, age: float = LONG_AGO) -> Path:
        """Put a file into the folder that was last changed so many seconds ago."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (self.now - age, self.now - age))
        return path

    @contextlib.contextmanager
    def life(self, *, include_existing: bool | None = None) -> Any:  # noqa: ANN401 - an iterator of a function
        """Be the program from its start to its end, whatever that is; yields what lets so many seconds pass."""
        world, home = self.owner.world, self.owner.identity.home
        folder = Folder(self.root, home)
        clocks = Clocks(lambda: self.now, lambda: self.now)
        with (
            Memory(home, folder.root) as memory,
            Outbox(home) as self.outbox,
            Line(lambda: contextlib.nullcontext(self._courier()), self.wishes, clocks.monotonic) as line,
        ):
            decide(
                folder,
                memory,
                self.wishes,
                include_existing=include_existing,
                channels_by_folder=self.channels_by_folder,
            )
            poster = Poster(
                folder,
                memory,
                self.outbox,
                line,
                self.wishes,
                channels_by_folder=self.channels_by_folder,
                inspect=INSPECT,
                settings=world.settings,
                clocks=clocks,
            )
            report = WatchReport(self.printer, folder, Readiness())
            watch = Watch(memory, self.outbox, line, poster, report, settings=world.settings)

            def live(seconds: float = 0.0) -> None:
                watch.see(folder.files())
                watch.turn(InTurn())
                while seconds > 0 and watch.seconds_left() <= seconds:
                    seconds -= watch.seconds_left()
                    self.now += watch.seconds_left()
                    watch.turn(InTurn())
                self.now += seconds

            yield live

    def live(self, seconds: float = 0.0, *, include_existing: bool | None = True) -> None:
        """Be the program for so many seconds."""
        with self.life(include_existing=include_existing) as live:
            live(seconds)

    def _courier(self) -> Courier:
        self.sessions += 1
        reached: Any = self.away or self.owner.registrar
        if self.refusal is not None:
            reached = _Refusing(self.owner.registrar, self.refusal)
        return Courier(self.outbox, self.owner.identity, self.owner.world.clock, reached)

    def said(self, event: str) -> list[str]:
        """Return the names of the files, or of the images, of which this was said."""
        return [str(one.get("file") or one.get("name")).rpartition("/")[2] for one in self.printer.named(event)]

    @property
    def stored(self) -> list[tuple[str, str]]:
        """The channels and names of what the registrar has stored, in its order."""
        pages = self.owner.world.catalogue.pages()
        return [(record.channel, str(record.name)) for page in pages for record in page]


class _Refusing:
    """A registrar that stores nothing."""

    def __init__(self, registrar: Any, error: SealcastError) -> None:  # noqa: ANN401 - a client
        self.members = registrar.members
        self._error = error

    def store(self, *_arguments: object, **_more: object) -> None:
        raise self._error
