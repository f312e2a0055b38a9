"""Passwords from stdin and from a terminal, and the ones that are asked for again."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from common.errors import ConfigurationError, RefusedError
from common.passwords import read_password, use_password

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_SHORT = RefusedError(
    "the password has 5 characters, at least 15 are needed",
    hint="use several words that do not belong together",
    code="password_too_short",
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(b"secret\n", "secret"), (b"secret\r\nmore\n", "secret"), (b" with spaces ", " with spaces "), (b"\xc3\xa9", "é")],
)
def test_a_password_is_the_first_line_of_stdin(monkeypatch: pytest.MonkeyPatch, given: bytes, expected: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
    assert read_password(from_stdin=True, prompt="Password", confirm=False) == expected


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize(
    ("given", "message"),
    [(b"", "the password is empty"), (b"\nsecret", "the password is empty"), (b"caf\xff", "the password is not UTF-8")],
)
def test_what_is_no_password_is_explained(
    monkeypatch: pytest.MonkeyPatch, given: bytes, message: str, errors: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8", errors=errors))
    with pytest.raises(ConfigurationError) as raised:
        read_password(from_stdin=True, prompt="Password", confirm=False)
    assert raised.value.message == message
    assert raised.value.hint


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    with pytest.raises(ConfigurationError) as raised:
        read_password(from_stdin=False, prompt="Password", confirm=False)
    assert raised.value.hint == "use --password-stdin"


def test_in_a_terminal_a_password_that_may_not_be_set_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = type_into(monkeypatch, "short", "several words that are long")
    assert use_password(refusing("short", TOO_SHORT), from_stdin=False, confirm=True) == "set"
    assert typed == []
    assert capsys.readouterr().err == f"error: {TOO_SHORT.message}\nhint: {TOO_SHORT.hint}\n"


def test_any_other_refusal_ends_the_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = type_into(monkeypatch, "wrong", "never asked for")
    refusal = RefusedError("Login Failed", code="login_failed")
    with pytest.raises(RefusedError, match="Login Failed"):
        use_password(refusing("wrong", refusal), from_stdin=False, confirm=True)
    assert typed == ["never asked for"]


def test_from_stdin_one_password_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"short\nnever read\n"), encoding="utf-8"))
    with pytest.raises(RefusedError) as raised:
        use_password(refusing("short", TOO_SHORT), from_stdin=True, confirm=True)
    assert raised.value is TOO_SHORT


def type_into(monkeypatch: pytest.MonkeyPatch, *passwords: str) -> list[str]:
    """Have a terminal in which these are typed; return what is still to be typed."""
    typed = list(passwords)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: typed.pop(0))
    return typed


def refusing(password: str, refusal: RefusedError) -> Callable[[str], str]:
    """Return a registrar that refuses this password and sets any other."""

    def use(given: str) -> str:
        if given == password:
            raise refusal
        return "set"

    return use
