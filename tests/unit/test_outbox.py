"""The outbox: what is in it survives a kill at any instruction, and one process at a time sends it."""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from system import ROOT

from common.errors import ConfigurationError, RefusedError
from common.local_database import LocalDatabase
from common.topics import ImageTopic
from publisher import outbox as outbox_module
from publisher.items import Item, State
from publisher.outbox import DATABASE, FOLDER, Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
SEALED = b"a sealed image " * 1000
REFUSED = RefusedError("the archive has no room for more of yours", code="quota_exceeded")


def item(number: int = 1, **changes: Any) -> Item:  # noqa: ANN401 - any member
    plain = Item(
        topic=ImageTopic("alice", "site-7/gate", uuid.UUID(int=number)),
        audience="members",
        name="boats.png",
        size=len(SEALED) - 100,
        sealed_size=len(SEALED),
        sha256="ab" * 32,
        removed=("GPS position",),
        added_at=NOW,
    )
    return replace(plain, **changes)


def waiting(outbox: Outbox) -> list[int]:
    return [one.topic.image_id.int for one in outbox.items(State.WAITING)]


def add(outbox: Outbox, *numbers: int) -> None:
    for number in numbers:
        outbox.add(item(number), SEALED).__exit__()


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / FOLDER).glob("*.cms"))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path) as one:
        yield one


def test_what_was_added_waits_with_all_that_is_known_of_it(outbox: Outbox, tmp_path: Path) -> None:
    added = item(expires_at=LATER, audience="named", name="böats.png")
    with outbox.add(added, SEALED) as claim:
        assert claim.item == replace(added, state=State.WAITING)
        assert claim.read() == claim.read() == SEALED
    with Outbox(tmp_path) as again:
        assert list(again.items()) == [replace(added, state=State.WAITING)]
        assert again.get(added.topic.image_id) == replace(added, state=State.WAITING)
        assert again.get(uuid.UUID(int=2)) is None


def test_the_oldest_comes_first_whatever_its_id(outbox: Outbox) -> None:
    add(outbox, 3, 1, 2)
    assert waiting(outbox) == [3, 1, 2]


@pytest.mark.parametrize("state", [State.STORED, State.FAILED, State.REMOVED])
def test_what_is_over_leaves_and_stays_known(outbox: Outbox, tmp_path: Path, state: State) -> None:
    add(outbox, 1, 2)
    with outbox.add(item(3), SEALED) as claim:
        outbox.note_attempt(claim, NOW)
        outbox.note_attempt(claim, LATER)
        outbox.settle(claim.item, state, LATER, REFUSED)
    assert waiting(outbox) == [1, 2]
    assert files(tmp_path) == [f"{uuid.UUID(int=number)}.cms" for number in (1, 2)]
    assert outbox.get(uuid.UUID(int=3)) == item(
        3, state=state, ended_at=LATER, attempted_at=NOW, code=REFUSED.code, message=REFUSED.message
    )
    assert outbox.claim(uuid.UUID(int=3)) is None


def test_what_was_refused_is_kept_and_waits_again_when_it_is_to(outbox: Outbox, tmp_path: Path) -> None:
    add(outbox, 1)
    with outbox.add(item(2), SEALED) as claim:
        outbox.settle(claim.item, State.REFUSED, LATER, REFUSED)
    assert waiting(outbox) == [1]
    (refused,) = outbox.items(State.REFUSED)
    assert (refused.code, refused.ended_at) == ("quota_exceeded", None)
    assert len(files(tmp_path)) == 2
    outbox.retry_refused()
    assert waiting(outbox) == [1, 2]


def test_a_claim_is_one_process_s_alone_and_ends_with_it(outbox: Outbox, tmp_path: Path) -> None:
    image_id = item().topic.image_id
    with Outbox(tmp_path) as other:
        with outbox.add(item(), SEALED):
            assert other.claim(image_id) is None
        claim = other.claim(image_id)
        assert claim is not None
        with claim:
            assert outbox.claim(image_id) is None
            other.settle(claim.item, State.STORED, LATER)
        assert outbox.claim(image_id) is None
    assert outbox.claim(uuid.UUID(int=2)) is None


def test_who_claims_what_another_has_just_sent_gets_nothing(outbox: Outbox, tmp_path: Path) -> None:
    add(outbox, 1)
    path = tmp_path / FOLDER / f"{uuid.UUID(int=1)}.cms"
    # The other has noted that the image is stored, and is killed before the file goes.
    outbox.settle(item(), State.STORED, LATER)
    path.write_bytes(SEALED)
    assert outbox.claim(uuid.UUID(int=1)) is None


CLAIMING = """
import sys, uuid
from pathlib import Path
from publisher.outbox import Outbox
with Outbox(Path(sys.argv[1])) as outbox, outbox.claim(uuid.UUID(int=1)):
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_a_kill_lets_go_of_a_claim(outbox: Outbox, tmp_path: Path) -> None:
    add(outbox, 1)
    command = [sys.executable, "-c", CLAIMING, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        assert outbox.claim(uuid.UUID(int=1)) is None
        process.kill()
    claim = outbox.claim(uuid.UUID(int=1))
    assert claim is not None
    with claim:
        assert claim.read() == SEALED


def test_an_image_whose_file_is_gone_is_told_once(outbox: Outbox, tmp_path: Path) -> None:
    add(outbox, 1, 2)
    (tmp_path / FOLDER / f"{uuid.UUID(int=1)}.cms").unlink()
    with pytest.raises(ConfigurationError) as raised:
        outbox.claim(uuid.UUID(int=1))
    told = raised.value
    assert (told.code, told.message, told.hint) == (
        "outbox",
        "the sealed image is gone from the outbox",
        "post it again",
    )
    assert outbox.claim(uuid.UUID(int=1)) is None
    assert waiting(outbox) == [2]


class Killed(BaseException):
    """The end of the process, at this very line: nothing below may tidy up after it."""


def before(_original: Callable[..., Any], *_arguments: Any) -> None:  # noqa: ANN401 - those of whatever is replaced
    raise Killed


def after(original: Callable[..., Any], *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - the same
    original(*arguments, **more)
    raise Killed


def halfway(original: Callable[..., Any], path: Path, content: bytes) -> None:
    original(path, content[: len(content) // 2])
    raise Killed


# where the process ends, at which call of those, and whether the image is in the outbox afterwards
STEPS: dict[str, tuple[Any, str, Callable[..., None], int, bool]] = {
    "nothing yet": (LocalDatabase, "write", before, 1, False),
    "writing noted": (LocalDatabase, "write", after, 1, False),
    "half the file": (outbox_module, "write_new", halfway, 1, False),
    "the file": (outbox_module, "write_new", after, 1, False),
    "folder flushed": (outbox_module, "flush_folder", after, 1, False),
    "waiting not noted": (LocalDatabase, "write", before, 2, False),
    "waiting noted": (LocalDatabase, "write", after, 2, True),
    "attempt noted": (LocalDatabase, "write", after, 3, True),
    "stored not noted": (LocalDatabase, "write", before, 4, True),
    "stored noted": (LocalDatabase, "write", after, 4, False),
    "file removed": (Path, "unlink", after, 1, False),
}


@contextlib.contextmanager
def trap(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, act: Callable[..., None], call: int) -> Iterator[None]:  # noqa: ANN401 - a module or a class
    original, calls = getattr(place, name), 0

    def trapped(*arguments: Any, **more: Any) -> object:  # noqa: ANN401 - those of whatever is replaced
        nonlocal calls
        calls += 1
        return act(original, *arguments, **more) if calls == call else original(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, trapped)
        yield


def add_and_leave(outbox: Outbox) -> None:
    with outbox.add(item(), SEALED) as claim:
        outbox.note_attempt(claim, NOW)
        outbox.settle(claim.item, State.STORED, LATER)


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_leaves_what_can_be_sent_or_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str) -> None:
    *where, is_kept = STEPS[step]
    with Outbox(tmp_path) as outbox:
        add(outbox, 2)
    with Outbox(tmp_path) as outbox, trap(monkeypatch, *where), pytest.raises(Killed):
        add_and_leave(outbox)
    with Outbox(tmp_path) as outbox:
        assert waiting(outbox) == ([2, 1] if is_kept else [2])
        assert len(files(tmp_path)) == (2 if is_kept else 1)
        claim = outbox.claim(item().topic.image_id)
        assert (claim is not None) is is_kept
        if claim is not None:
            with claim:
                assert claim.read() == SEALED
                outbox.settle(claim.item, State.STORED, LATER)
    with Outbox(tmp_path) as outbox:
        assert waiting(outbox) == [2]
        assert len(files(tmp_path)) == 1
        assert {one.state for one in outbox.items()} <= {State.WAITING, State.STORED, State.FAILED}


def test_what_another_process_is_writing_is_not_cleared_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    earlier = Outbox(tmp_path).__enter__()
    with Outbox(tmp_path) as writing:
        # It was not the first to open it, and the first is gone.
        earlier.__exit__()
        with trap(monkeypatch, *STEPS["folder flushed"][:4]), pytest.raises(Killed):
            writing.add(item(), SEALED)
        with Outbox(tmp_path) as other:
            assert [one.state for one in other.items()] == [State.WRITING]
            assert len(files(tmp_path)) == 1
    with Outbox(tmp_path) as alone:
        assert [(one.state, one.code) for one in alone.items()] == [(State.FAILED, "interrupted")]
        assert files(tmp_path) == []


def test_who_only_looks_changes_nothing(tmp_path: Path) -> None:
    with Outbox(tmp_path, read_only=True) as looking:
        assert list(looking.items()) == []
    assert list(tmp_path.iterdir()) == []
    with Outbox(tmp_path) as outbox:
        add(outbox, 1)
    with Outbox(tmp_path, read_only=True) as looking:
        assert waiting(looking) == [1]


def test_a_lost_database_costs_no_image(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        add(outbox, 1)
    for path in tmp_path.glob(f"{DATABASE}*"):
        path.rename(path.with_suffix(".away"))
    for _ in range(2):
        with Outbox(tmp_path) as outbox:
            assert list(outbox.items()) == []
            assert len(files(tmp_path)) == 1


def test_a_full_disk_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, outbox: Outbox, tmp_path: Path) -> None:
    def fill(original: Callable[..., Any], path: Path, content: bytes) -> None:
        original(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with (
        trap(monkeypatch, outbox_module, "write_new", fill, 1),
        pytest.raises(ConfigurationError, match="no space left on device") as raised,
    ):
        outbox.add(item(), SEALED)
    assert raised.value.code == "outbox"
    assert files(tmp_path) == []
    assert [(one.state, one.code) for one in outbox.items()] == [(State.FAILED, "outbox")]
    add(outbox, 2)
    assert waiting(outbox) == [2]


@pytest.mark.parametrize("kind", ["damaged", "folder", "a file in place of the folder"])
def test_an_outbox_that_cannot_be_opened_is_explained(tmp_path: Path, kind: str) -> None:
    if kind == "damaged":
        (tmp_path / DATABASE).write_bytes(b"no database " * 1000)
    elif kind == "folder":
        (tmp_path / DATABASE).mkdir()
    else:
        (tmp_path / FOLDER).write_text("no folder")
    with pytest.raises(ConfigurationError) as raised, Outbox(tmp_path):
        pytest.fail("it opened")
    assert raised.value.hint
