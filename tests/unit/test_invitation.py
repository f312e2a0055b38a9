from __future__ import annotations

import base64
import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigurationError
from common.invitation import CODE_BYTES, INVITATION_BYTES, Invitation, new_token, read_code, show_code

INVITATION = Invitation("broker.example.org", 8883, 8884, "ab" * 32, new_token(INVITATION_BYTES))


@pytest.mark.parametrize("gap", ["\n", "\r\n  ", " ", "\N{NO-BREAK SPACE}"])
def test_a_line_that_was_broken_on_its_way_is_read(gap: str) -> None:
    line = INVITATION.line()
    assert Invitation.read(line[:40] + gap + line[40:80] + gap + line[80:]) == INVITATION


@pytest.mark.parametrize("broker", ["localhost", "192.0.2.7", "2001:db8::1", "b" * 253])
def test_an_invitation_is_read_as_it_was_written(broker: str) -> None:
    one = Invitation(broker, 1, 65535, "0f" * 32, new_token(INVITATION_BYTES))
    assert Invitation.read(f" {one.line()}\n") == one


def test_the_line_is_short_enough_for_a_small_picture_and_needs_no_quotes() -> None:
    assert re.fullmatch(r"sealcast-invite:[A-Za-z0-9_-]{100}", INVITATION.line())


def coded(content: bytes) -> str:
    return "sealcast-invite:" + base64.urlsafe_b64encode(content).decode().rstrip("=")


GOOD = base64.urlsafe_b64decode(INVITATION.line().removeprefix("sealcast-invite:") + "==")
BAD = {
    "nothing": "",
    "the scheme alone": "sealcast-invite:",
    "no scheme": INVITATION.line().removeprefix("sealcast-invite:"),
    "another version": coded(b"\x02" + GOOD[1:]),
    "port 0": coded(GOOD[:1] + b"\0\0" + GOOD[3:]),
    "no broker": coded(GOOD[:57]),
    "cut off": INVITATION.line()[:60],
    "a quotation mark in it": INVITATION.line()[:60] + "> " + INVITATION.line()[60:],
    "a broker with a slash": coded(GOOD + b"/"),
    "a broker that is no ASCII": coded(GOOD + "ü".encode()),
    "a broker too long": coded(GOOD + b"b" * 300),
    "one digit too many": INVITATION.line() + "A" * 3,
}


def test_the_example_that_is_spoilt_below_is_a_good_one() -> None:
    assert Invitation.read(coded(GOOD)) == INVITATION


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_invitation_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Invitation.read(BAD[name])
    assert caught.value.code == "invalid_invitation"


@given(text=st.text(max_size=200), content=st.binary(max_size=200))
def test_no_line_is_too_strange_to_read(text: str, content: bytes) -> None:
    for line in (text, f"sealcast-invite:{text}", coded(content)):
        with contextlib.suppress(ConfigurationError):
            read = Invitation.read(line)
            assert Invitation.read(read.line()) == read


@pytest.mark.parametrize("broker", ["", "two words", "ünreachable", "b" * 254])
def test_nobody_is_invited_to_a_broker_that_cannot_be(broker: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Invitation(broker, 1, 2, "00" * 32, new_token(INVITATION_BYTES)).line()
    assert caught.value.code == "invalid_host"


def test_tokens_are_fresh_and_without_look_alikes() -> None:
    made = {new_token(CODE_BYTES) for _ in range(1000)}
    assert len(made) == 1000
    assert set("".join(made)) == set("0123456789abcdefghjkmnpqrstvwxyz")


def test_a_code_is_read_however_it_is_typed() -> None:
    token = "0123456789abcdefghjkmn1" + "0"
    assert show_code(token) == "0123-4567-89ab-cdef-ghjk-mn10"
    for typed in (show_code(token), show_code(token).upper(), " o123 4567-89abcdefGHJKmnlO\n", token.replace("1", "i")):
        assert read_code(typed) == token


@pytest.mark.parametrize("typed", ["", "0123", "0" * 25, "u" * 24, "0" * 23 + "!", "0" * 23 + "ü"])
def test_what_is_no_code_is_refused(typed: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_code(typed)
    assert caught.value.code == "invalid_code"
