"""What a shell is offered when Tab is pressed: what is known here, nothing that it would carry out, and no noise."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import publisher.__main__
import registrar.__main__
import subscriber.__main__
from common.topics import ImageTopic
from publisher.items import Item
from publisher.outbox import Outbox
from subscriber.ledger import LEDGER, SAVED, Entry, Ledger

if TYPE_CHECKING:
    from types import ModuleType

NOW = dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)
FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)
HOSTILE = [
    "\\$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"$(touch pwned)"',
    "a\x1b[2Jb",
    "[red]x[/red]",
    "a\nb",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEALCAST_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def outbox(home: Path) -> None:
    with Outbox(home) as outbox:
        for image_id, channel in ((FIRST, "family"), (SECOND, "site-7/gate")):
            topic = ImageTopic("alice", channel, image_id)
            item = Item(topic, "members", "boats.png", 1, 2, "ab" * 32, (), NOW)
            outbox.add(item, b"sealed").__exit__()


@pytest.fixture
def ledger(home: Path) -> None:
    with Ledger(home) as ledger:
        for number, name in enumerate(HOSTILE, 1):
            entry = Entry("bob", uuid.UUID(int=number), "family", SAVED, NOW, Path("/x"), "ab" * 32, name)
            ledger.add(entry)


def ask(program: ModuleType, monkeypatch: pytest.MonkeyPatch, typed: str, shell: str = "bash") -> None:
    """Ask as the script of a shell does."""
    monkeypatch.setenv(f"_{program.PROGRAM.upper()}_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", typed)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 0


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("publisher remo", ["remove"]),
        ("publisher post --ca", ["--caption"]),
        ("publisher post --cipher aes-2", ["aes-256-gcm"]),
        ("publisher remove ", [str(SECOND), str(FIRST)]),
        (f"publisher remove {FIRST}", [str(FIRST)]),
        ("publisher remove x", []),
        ("publisher post --channel ", ["site-7/gate", "family"]),
        ("publisher post --to ", ["bob", "carol"]),
        ("publisher post --to bob --to c", ["carol"]),
        ("publisher --json --home=. post --cap", ["--caption"]),
        ("publisher post ", []),  # files, by the shell itself
    ],
)
@pytest.mark.usefixtures("outbox")
def test_what_is_known_here_is_offered_the_newest_first(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, offered: list[str]
) -> None:
    (home / "contacts").mkdir()
    for name in ("carol.pem", "bob.pem", "$(touch pwned).pem", ".bob.pem.0123"):
        (home / "contacts" / name).touch()
    ask(publisher.__main__, monkeypatch, typed)
    assert capsys.readouterr() == ("\n".join(offered) + "\n", "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("subscriber verify ", "bob"), ("subscriber run --channel f", "family"), ("subscriber fetch x", "")],
)
@pytest.mark.usefixtures("ledger")
def test_what_was_received_here_is_offered_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, offered: str
) -> None:
    ask(subscriber.__main__, monkeypatch, typed)
    assert capsys.readouterr() == (f"{offered}\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.usefixtures("ledger")
def test_nothing_that_others_have_written_means_anything_to_a_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    ask(subscriber.__main__, monkeypatch, "subscriber fetch ", shell)
    out, err = capsys.readouterr()
    assert err == ""
    assert all(str(uuid.UUID(int=number)) in out for number in range(1, len(HOSTILE) + 1))
    words = out.replace("_arguments '*: :((", "").replace("))'", "") if shell == "zsh" else out
    assert not set(words) & set("\\$`';[]()&|<>*?\x1b")
    assert shell == "bash" or "saved _touch pwned_ from bob" in out


@pytest.mark.parametrize("typed", ["subscriber fetch ", "subscriber run --channel ", "subscriber run --count x "])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_wrong_is_not_said_while_somebody_types(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, shell: str
) -> None:
    (home / "settings.toml").write_text("no TOML")
    (home / LEDGER).write_bytes(b"no database" * 1000)
    ask(subscriber.__main__, monkeypatch, typed, shell)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.strip() in {"", "_files"}


@pytest.mark.parametrize(
    "program", [publisher.__main__, subscriber.__main__, registrar.__main__], ids=lambda one: one.PROGRAM
)
def test_each_program_completes_its_commands_in_a_real_bash(program: ModuleType, tmp_path: Path) -> None:
    name = program.PROGRAM
    script = f"""
        eval "$(_{name.upper()}_COMPLETE=source_bash {name})"
        COMP_WORDS=({name} whoa); COMP_CWORD=1
        [ {name} = registrar ] && COMP_WORDS=({name} fingerp)
        complete -p {name}; _{name}_completion {name}; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", script],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": path, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines()[1:] == ["fingerprint" if name == "registrar" else "whoami"]
    assert (done.returncode, done.stderr) == (0, "")
