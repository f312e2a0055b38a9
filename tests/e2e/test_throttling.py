"""Guessing passwords with the real programs, on the real broker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from system import System

WRONG = "nine loud carts before dawn"
MOST_GUESSES = 12  # a command takes less than the wait before the last of them


def test_guesses_have_to_wait_and_neither_the_owner_nor_others_do(system: System) -> None:
    home = system.register("guessed")
    for guess in range(MOST_GUESSES):
        done = system.try_to_register("guessed", system.home_of(f"guess-{guess}"), password=WRONG)
        assert done.returncode == 1
        if "error: Login Failed" not in done.stderr:
            break
    assert guess >= 5
    assert re.fullmatch(
        r"error: too many attempts with this user name\n"
        r"hint: try again in \d+ seconds?; a device that has been logged in before need not wait\n",
        done.stderr,
    )
    assert system.try_to_register("guessed", home).returncode == 0
    assert system.try_to_register("not-guessed", system.home_of("not-guessed")).returncode == 0
