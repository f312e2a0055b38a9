"""Every input of the corpus, and every one that once broke something, through its target; and what a target notices.

`make fuzz` looks for more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fuzz import corpus, seeds, targets

from common import cms, decoder, invitation, messages, metadata, sealing, topics
from common.decoding import inspection
from common.errors import ImageError
from common.messages import FetchRequest

if TYPE_CHECKING:
    from collections.abc import Callable

# Warnings of cryptography and Pillow about what is not as it should be.
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def replay(target: str, inputs: list[bytes]) -> None:
    for data in inputs:
        targets.TARGETS[target](data)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_nothing_that_was_found_breaks_a_promise(target: str) -> None:
    replay(target, [*seeds.seeds(target), *corpus.kept(target)])


def test_every_target_has_a_corpus() -> None:
    assert {path.stem for path in (corpus.FOLDER / "corpus").iterdir()} == targets.TARGETS.keys()


def other_image(open_sealed: Callable[..., sealing.OpenedImage]) -> Callable[..., sealing.OpenedImage]:
    return lambda *arguments, **named: replace(open_sealed(*arguments, **named), image=b"another")


BROKEN = [
    ("cms", cms, "encode", lambda _encode: lambda _structure: b"another"),
    ("sealed", sealing, "open_sealed", other_image),
    ("signed", sealing, "open_sealed", other_image),
    ("sealed", sealing, "read_envelope", lambda _read: lambda _der: {}["an error that is not ours"]),
    ("messages", FetchRequest, "to_json", lambda to_json: lambda request: to_json(request).replace(b"alice", b"bob")),
    ("messages", messages.fields, "demand_all", lambda _demand: lambda _message: {}["an error that is not ours"]),
    ("topics", topics, "_WORD", lambda _word: topics.re.compile(r"[a-z0-9/-]*")),
    ("images", inspection, "_media_type", lambda _media_type: lambda _data: {}["an error that is not ours"]),
    ("images", metadata.jpeg, "segments", lambda _segments: lambda _data: [].pop()),
    ("invitations", invitation.Invitation, "line", lambda line: lambda one: line(replace(one, port=1))),
    ("invitations", invitation, "show_code", lambda show: lambda token: show(token[::-1])),
    ("broker_log", targets, "read_connection", lambda read: lambda line: read(line[:-40] + "u'alice').")),
    ("answers", decoder, "read_answer", lambda _read: lambda _kind, _line: ImageError("\x1b[2J")),
    ("certificates", targets.certificates, "check_member", lambda _check: lambda *_chain, **_times: "alice"),
]


@pytest.mark.parametrize(("target", "owner", "name", "broken"), BROKEN)
def test_a_target_notices(
    target: str,
    owner: object,
    name: str,
    broken: Callable[[object], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = seeds.seeds(target)
    monkeypatch.setattr(owner, name, broken(getattr(owner, name)))
    with pytest.raises((AssertionError, KeyError, IndexError)):
        replay(target, inputs)


def test_what_a_member_signs_rightly_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target `header` gets to its end: a reader that opens nothing would break no promise."""
    inputs = seeds.seeds("header")
    opened = []
    open_sealed = sealing.open_sealed

    def note(*arguments: object, **named: object) -> sealing.OpenedImage:
        opened.append(open_sealed(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(sealing, "open_sealed", note)
    for data in inputs:
        targets.header(data)
    assert {one.header.owner for one in opened} == {"bob"}
