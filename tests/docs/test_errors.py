"""The errors of all programs, read as one set: what they say, what they hint at, and in which words.

They are read from the code, since many are said in states that a test can hardly bring about. What is put into one as
it is said is ``…`` here. What is for the log alone (the reason of a VerificationError) is no part of it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from system import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("common", "registrar", "publisher", "subscriber")
ERRORS = ("SealcastError", "ConfigurationError", "SessionError", "RefusedError", "ImageError", "VerificationError")
LONGEST = 160  # characters: two lines of a terminal
# The words that the service answered with before there were others; scripts look for them.
FIXED = {"Login Failed"}
# Where nobody can do anything about it, a hint would be noise. (Nor can a reader about what does not verify.)
NOTHING_CAN_BE_DONE = {
    "altered": "somebody on the way has altered the image: the outbox sends it again by itself",
    "invalid_image": "a program that is not ours, or a fault of ours, has sealed it",
    "invalid_request": "a program that is not ours has sent it",
    "not_recipient": "it is for others, and meant to be",
    "removed": "it is gone, and was meant to go",
    "replayed": "the request was answered: whoever sends it again is not the one who waits for the answer",
    "wrong_signer": "a program that is not ours has sent it",
    "wrong_topic": "a program that is not ours has sent it",
}
IMPERATIVES = re.compile(
    "…|answer|ask|bring|check|choose|compare|connect|copy|do|end|get|give|have|install|keep|log|look|make|mend|mount|move|name|open|post|"
    "quote|register|remove|rename|report|restore|run|save|see|set|shorten|start|stop|take|tell|try|type|use|wait|write"
)
COMMANDS = r"(registrar|publisher|subscriber) (init|serve|fingerprint|members|invite|reset|verify|list|register|remove)"
# What is said in one way, is said in no other.
OTHER_WORDS = {
    r"\bunable to\b|\bcan not\b|\bfailed to\b|n't\b": "cannot, do not",
    r"\binvalid\b|\billegal\b|\bbad\b": "what it is not, or cannot be",
    r"\bdirectory\b|\bdir\b": "folder",
    r"\bserver\b": "broker, or registrar",
    r"\busername\b": "user name",
    r"\bserial\b|\bthumbprint\b": "fingerprint",
    r"\bfix\b|\brepair\b": "mend",
    r"\bdoesn|\bwon|\bsorry\b|\boops\b|\bplease\b|!": "",
    r"\bNone\b|\bTraceback\b|\w(Error|Exception)\b|\b\w+\(\)|\bself\b|  ": "",
}


@dataclass(frozen=True)
class Said:
    """One error in the code: where it stands, its class, its code, and what its message and its hint may be."""

    where: str
    kind: str
    code: str | None
    messages: tuple[str, ...]
    hints: tuple[str, ...]
    is_hinted: bool


def texts(node: ast.expr | None) -> tuple[str, ...]:
    """Return what an expression may say, and nothing where it only passes on what another says."""
    match node:
        case ast.Constant(value=str(text)):
            return (text,)
        case ast.JoinedStr(values=values):
            return ("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in values),)
        case ast.IfExp(body=body, orelse=orelse):
            return texts(body) + texts(orelse)
        case ast.BoolOp(values=values):
            return tuple(text for value in values for text in texts(value))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return tuple(one + other for one in texts(left) or ("…",) for other in texts(right) or ("…",))
    return ()


def said() -> Iterator[Said]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                    given = {keyword.arg: keyword.value for keyword in node.keywords}
                    is_first = node.func.id != "VerificationError" and node.args
                    yield Said(
                        f"{path.relative_to(ROOT)}:{node.lineno}",
                        node.func.id,
                        (texts(given.get("code")) or (None,))[0],
                        texts(node.args[0] if is_first else given.get("message")),
                        texts(given.get("hint")),
                        "hint" in given,
                    )


ALL = list(said())
SENTENCES = [(one.where, text) for one in ALL for text in one.messages + one.hints if text not in FIXED]


def faults(text: str) -> list[str]:
    """Return what is wrong with a message or a hint."""
    found = [f"{match[0]!r}, not {ours!r}" for other, ours in OTHER_WORDS.items() if (match := re.search(other, text))]
    # What begins with a capital is a name of several: TLS, PNG.
    if not re.match(r"[a-z0-9…`-]|[A-Z]{2}", text):
        found.append("does not begin with a small letter")
    if re.search(r"[.:;,?]$", text):
        found.append("ends with a stop")
    if len(text) > LONGEST:
        found.append("is too long")
    if re.search(rf"(?<!: )(?<![`(]){COMMANDS}\b", text):
        found.append("quotes no command")
    return found


def hint_faults(text: str) -> list[str]:
    """Return what is wrong with a hint besides: it says what to do."""
    return [] if IMPERATIVES.fullmatch(re.split(r"[^\w…]", text)[0]) else ["does not begin with what to do"]


def test_there_are_many() -> None:
    assert len(SENTENCES) > 300
    assert {one.kind for one in ALL} == set(ERRORS)


def test_all_of_them_are_said_in_one_way() -> None:
    assert [(where, text, found) for where, text in SENTENCES if (found := faults(text))] == []


def test_a_hint_says_what_to_do() -> None:
    hints = [(one.where, text) for one in ALL for text in one.hints]
    assert [(where, text, found) for where, text in hints if (found := hint_faults(text))] == []


def test_there_is_a_hint_where_something_can_be_done() -> None:
    without = [one for one in ALL if set("".join(one.messages)) - set("…: ") and not one.is_hinted]
    without = [one for one in without if one.kind != "VerificationError"]
    assert [one for one in without if one.code not in NOTHING_CAN_BE_DONE] == []
    assert {one.code for one in without} == NOTHING_CAN_BE_DONE.keys()


@pytest.mark.parametrize(
    "text",
    [
        "Cannot read the file",
        "the file can't be read",
        "the file is invalid",
        "the file cannot be read.",
        "see registrar members for the names",
        "unexpected ValueError",
        "the file cannot be read!",
        "the directory is not there",
        "word " * 40 + "word",
    ],
)
def test_what_is_said_in_another_way_is_found(text: str) -> None:
    assert faults(text) != []


def test_a_hint_that_only_tells_is_found() -> None:
    assert hint_faults("the clock is wrong") != []
