"""What --expires takes: a number and a unit."""

from __future__ import annotations

import datetime as dt

import pytest

from common.errors import ConfigurationError
from common.option_values import parse_lifetime


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("1s", dt.timedelta(seconds=1)),
        ("45m", dt.timedelta(minutes=45)),
        ("12h", dt.timedelta(hours=12)),
        ("7d", dt.timedelta(days=7)),
        ("2w", dt.timedelta(weeks=2)),
        ("36500d", dt.timedelta(days=36500)),
    ],
)
def test_a_lifetime_is_a_number_and_a_unit(text: str, lifetime: dt.timedelta) -> None:
    assert parse_lifetime(text) == lifetime


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "-1d", "1.5h", "7 d", "7D", "1y", "7d\n", "\u0667d", "36501d", "9" * 11 + "s"]
)
def test_nothing_else_is_a_lifetime(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_lifetime(text)
    assert caught.value.code == "invalid_lifetime"
