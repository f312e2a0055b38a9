"""The end of an authority is said in time, and not all the time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import authorities
import pytest

from common.settings import Settings
from registrar.authority import Authority
from registrar.ends import Reminder, near_ends
from registrar.making import create
from registrar.rotating import rotate

if TYPE_CHECKING:
    from pathlib import Path

NOW, DAY = authorities.NOW, authorities.DAY
SETTINGS = Settings(issuing_certificate_days=30, root_certificate_days=60)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registrar") / "home"
    create(folder, hosts=[], settings=SETTINGS, now=NOW)
    return folder


def said(authority: Authority, days: float) -> list[str]:
    """Return the commands that are named so many days later."""
    lines = near_ends(authority.root, authority.newest.certificate, NOW + days * DAY)
    return [word for line in lines for word in ("registrar init", "registrar rotate") if word in line]


def test_each_is_named_while_a_third_of_its_life_is_left_and_something_can_be_done(home: Path) -> None:
    one = Authority.load(home, SETTINGS)
    ages = (0, 19.9, 20.1, 30, 39.9, 40.1)
    assert [said(one, age) for age in ages] == [
        [],
        [],
        ["registrar rotate"],
        ["registrar rotate"],
        ["registrar rotate"],
        ["registrar init", "registrar rotate"],
    ]
    two = rotate(home, SETTINGS, NOW + 25 * DAY)
    assert [said(two, age) for age in (25, 40.1)] == [[], ["registrar init"]]
    assert said(two, 46) == ["registrar init", "registrar rotate"]
    # One that ends with the root cannot be replaced by one that lasts longer.
    three = rotate(home, SETTINGS, NOW + 50 * DAY)
    assert said(three, 59) == ["registrar init"]


def test_it_is_said_once_a_day(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, reminder = Authority.load(home, SETTINGS), Reminder()
    caplog.set_level(logging.WARNING)
    for age, lines in ((0, 0), (45, 1), (45.9, 1), (46.1, 2), (46.2, 2), (47.2, 3)):
        reminder.remind(one.root, one.newest.certificate, NOW + age * DAY)
        found = [record for record in caplog.records if "the root ends on" in record.getMessage()]
        assert (age, len(found)) == (age, lines)
