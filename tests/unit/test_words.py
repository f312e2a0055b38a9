"""Fingerprints as words: the published list and encoding, and what is wrong in them is noticed."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from system import ROOT

from common.errors import ConfigurationError
from common.option_values import parse_pin
from common.words import from_words, spoken, to_words

# vectors.json of the reference implementation (github.com/trezor/python-mnemonic)
VECTORS = {
    "00" * 16: "abandon " * 11 + "about",
    "80" * 16: "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
    "23db8160a31d3e0dca3688ed941adbf3": "cat swing flag economy stadium alone churn speed unique patch report train",
    "ff" * 32: "zoo " * 23 + "vote",
    "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c": (
        "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis "
        "maple dilemma loan word shrug inflict delay length"
    ),
}
TRAIN = VECTORS["23db8160a31d3e0dca3688ed941adbf3"]


def test_the_list_is_the_published_one() -> None:
    published = (ROOT / "common" / "words.txt").read_bytes()
    assert sha256(published).hexdigest() == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    assert len({word[:4] for word in published.split()}) == 2048


@pytest.mark.parametrize(("value", "words"), VECTORS.items())
def test_the_encoding_is_the_published_one(value: str, words: str) -> None:
    assert to_words(bytes.fromhex(value)) == words
    assert from_words(words).hex() == value


@given(st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32))
def test_words_say_the_very_bytes(value: bytes) -> None:
    assert from_words(f"  {to_words(value).upper()} ") == value


def test_people_compare_the_words_of_the_first_half() -> None:
    assert spoken("23db8160a31d3e0dca3688ed941adbf3" + "ab" * 16) == TRAIN


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        TRAIN.removesuffix(" train"),
        f"{TRAIN} train",
        TRAIN.replace("train", "trein"),
        TRAIN.replace("train", "trap"),
        TRAIN.replace("cat swing", "swing cat"),
    ],
)
def test_a_wrong_word_is_noticed(wrong: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        from_words(wrong)
    assert refusal.value.code == "invalid_words"


def test_a_pin_may_be_given_in_words() -> None:
    pin = "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c"
    assert parse_pin(VECTORS[pin]) == pin
    assert parse_pin(pin.upper()) == pin


@pytest.mark.parametrize("wrong", [TRAIN, "zoo " * 24])
def test_words_that_are_no_pin(wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_pin(wrong)
