"""The loop of `publisher watch`: look at what changes, post what is complete, go on until stopped."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import typer

from common.errors import ConfigurationError, SealcastError
from publisher.courier import may_pass
from publisher.watching.channels import NO_CHANNEL_CODE
from publisher.watching.memory import LEFT_ALONE
from publisher.watching.notices import Notices
from publisher.watching.reporting import count_files, name_readers

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.console import Stop
    from common.settings import Settings
    from publisher.post import Wishes
    from publisher.watching.folder import Folder
    from publisher.watching.line import Line
    from publisher.watching.memory import Memory
    from publisher.watching.reporting import WatchReport
    from publisher.watching.watch import Watch

_LONGEST_WAIT = 1.0  # seconds, until it is seen that the folder is gone, or that the program is to stop


def decide(
    folder: Folder, memory: Memory, wishes: Wishes, *, include_existing: bool | None, channels_by_folder: bool
) -> None:
    """Decide about what is in the folder already; where nobody can be asked (None), it is left alone."""
    if memory.is_new:
        existing = list(folder.files())
        if include_existing is None and existing and sys.stdin.isatty():
            there = f"{folder.shown} has {count_files(len(existing))} already"
            include_existing = typer.confirm(f"{there}. Post what is there, too, for {name_readers(wishes)}?", err=True)
        memory.begin([] if include_existing else existing)
    elif include_existing:
        memory.forget(LEFT_ALONE)
    if not channels_by_folder:
        memory.forget(NO_CHANNEL_CODE)


def demand_line(line: Line, report: WatchReport) -> None:
    """Open the first session, and learn who the recipients are; raises SealcastError for what will not pass."""
    try:
        reached = line.courier.unreachable
        if reached is None:
            _ = line.recipients
    except SealcastError as error:
        if not may_pass(error):
            raise
        reached = error
    if reached is not None:
        report.held_up(reached)


def run(
    folder: Folder,
    watch: Watch,
    report: WatchReport,
    *,
    say_ready: Callable[[], None],
    settings: Settings,
    stop: Stop,
) -> None:
    """Watch the folder until stopped; while it is gone, what waits in the outbox is sent all the same."""
    with ThreadPoolExecutor(settings.posts_at_once) as pool:
        try:
            while not stop:
                if (place := _place(folder, report)) is None:
                    watch.turn(pool)
                    stop.wait(_LONGEST_WAIT)
                    continue
                with Notices(folder.folders) as notices:
                    say_ready()
                    rescan_at = time.monotonic()
                    while not stop and _place(folder, report) == place:
                        if time.monotonic() >= rescan_at:
                            watch.see(folder.files())
                            rescan_at = time.monotonic() + settings.rescan_seconds
                        watch.turn(pool)
                        changed = notices.wait(min(watch.seconds_left(), _LONGEST_WAIT))
                        if changed is None:
                            rescan_at = time.monotonic()
                        for path in changed or ():
                            watch.see(folder.look(path))
        finally:
            pool.shutdown(cancel_futures=True)


def _place(folder: Folder, report: WatchReport) -> tuple[int, int] | None:
    """Return which folder stands there now, or say that none does."""
    try:
        return folder.demand()
    except ConfigurationError as error:
        report.gone(error)
        return None
