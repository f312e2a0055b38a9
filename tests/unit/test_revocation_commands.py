"""A revocation has the time at which it was made, however long the program had to wait before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW

from common import console
from common.revocation_lists import Reason
from common.settings import Settings
from registrar import deletion_commands, revocation_commands
from registrar.__main__ import app
from registrar.accounts import Accounts
from registrar.database import open_current
from registrar.making import create
from registrar.revocations import Revocations

if TYPE_CHECKING:
    from pathlib import Path

    from registrar.authority import Authority

KEY = authorities.new_key()


@pytest.mark.parametrize("command", [["revoke", "alice"], ["delete", "alice", "--yes"]])
def test_a_revocation_is_not_dated_before_what_it_has_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    authority = create(tmp_path, hosts=[], settings=Settings(), now=NOW)
    url, times = f"sqlite:///{tmp_path / 'registrar.sqlite3'}", [NOW]
    engine = open_current(url)
    accounts = Accounts(engine)
    accounts.create("alice", "hash", NOW)
    accounts.add_certificate("alice", authority.sign_member(KEY.public_key(), "alice", NOW), NOW)

    def meet_slowly(*_: Authority | Revocations) -> None:
        times.append(times[-1] + DAY)

    monkeypatch.setattr(console, "now", lambda: times[-1])
    for module in (revocation_commands, deletion_commands):
        monkeypatch.setattr(module, "issue_when_due", meet_slowly)
    app([*command, "--home", str(tmp_path), "--database", url], standalone_mode=False)
    [revocation] = Revocations(engine).listed(NOW)[1]
    engine.dispose()
    assert revocation.revoked_at == NOW + DAY
    assert revocation.reason in {Reason.PRIVILEGE_WITHDRAWN, Reason.CESSATION_OF_OPERATION}
