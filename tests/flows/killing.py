"""A program that is killed at any line: what it has changed by then stays, and nothing tidies up after it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.local_database import LocalDatabase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pytest

_LINK = Path.hardlink_to


class Killed(BaseException):
    """The end of the process, at this very line: nothing below may tidy up after it."""


class Killer:
    """Ends a program at a moment chosen by its number: before or after a change, or in the middle of a file.

    ``changes`` are all calls with which it changes something, but for transactions and the ``write_new`` of ``writer``.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changes: Iterable[tuple[Any, str]], writer: Any) -> None:  # noqa: ANN401 - a module
        self._thread = threading.get_ident()
        self._left: int | None = None
        for place, name in changes:
            monkeypatch.setattr(place, name, self._around(getattr(place, name)))
        monkeypatch.setattr(writer, "write_new", self._around_writing(writer.write_new))
        monkeypatch.setattr(LocalDatabase, "transaction", self._around_transaction(LocalDatabase.transaction))

    def ends(self, life: Callable[[], None], moment: int) -> bool:
        """Live until the moment comes; return whether it came."""
        self._left = moment
        try:
            life()
        except Killed:
            return True
        finally:
            self._left = None
        return False

    def _pass(self) -> None:
        if self._left is None or threading.get_ident() != self._thread:
            return
        # Who is dead stays so: what would tidy up afterwards does nothing.
        self._left = max(0, self._left - 1)
        if self._left == 0:
            raise Killed

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - those of whatever is replaced
            if original is _LINK and arguments[0].exists():
                return original(*arguments)  # changes nothing: the name is taken
            self._pass()
            result = original(*arguments, **named)
            self._pass()
            return result

        return change

    def _around_writing(self, original: Callable[[Path, bytes], None]) -> Callable[[Path, bytes], None]:
        def write_new(path: Path, content: bytes) -> None:
            self._pass()
            if self._left == 1:
                original(path, content[: len(content) // 2])
            self._pass()
            original(path, content)
            self._pass()

        return write_new

    def _around_transaction(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def transaction(database: LocalDatabase) -> Iterator[None]:
            self._pass()
            with original(database):
                yield
                self._pass()
            self._pass()

        return transaction
