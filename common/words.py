"""Fingerprints as words, to compare them by voice (docs/protocol.md, "Words"; BIP-39, "Generating the mnemonic").

``words.txt`` is BIP-39's English list as the reference implementation has it (github.com/trezor/python-mnemonic, under
the MIT licence): 2,048 words that differ in their first four letters.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources

from common.errors import ConfigurationError

_BITS = 11  # of a word
SPOKEN_BYTES = 16  # of a fingerprint, in 12 words: no other key with the same can be made (2 ** 128 attempts)
_WORDS_OF = {SPOKEN_BYTES: 12, 32: 24}  # how many words for so many bytes


def spoken(fingerprint: str) -> str:
    """Return the 12 words of a fingerprint (64 hexadecimal digits), which people compare."""
    return to_words(bytes.fromhex(fingerprint)[:SPOKEN_BYTES])


def to_words(value: bytes) -> str:
    """Return 16 bytes as 12 words, or 32 bytes as 24, with a space between them."""
    checksum_bits = len(value) // 4
    bits = int.from_bytes(value + hashlib.sha256(value).digest()[:1]) >> (8 - checksum_bits)
    count = _WORDS_OF[len(value)]
    return " ".join(_list()[bits >> _BITS * place & (1 << _BITS) - 1] for place in reversed(range(count)))


def from_words(text: str) -> bytes:
    """Return the bytes that these words say; raises ConfigurationError, ``invalid_words``, where a word is wrong."""
    words = text.lower().split()
    size = next((size for size, count in _WORDS_OF.items() if count == len(words)), None)
    if size is None:
        raise ConfigurationError(
            f"12 or 24 words are needed, and these are {len(words)}",
            hint="give all of them, in their order",
            code="invalid_words",
        )
    places = {word: place for place, word in enumerate(_list())}
    if unknown := [word for word in words if word not in places]:
        raise ConfigurationError(
            f"{unknown[0]!r} is none of the words", hint="have it spelled, and mind the order", code="invalid_words"
        )
    bits = 0
    for word in words:
        bits = bits << _BITS | places[word]
    value = (bits >> size // 4).to_bytes(size)
    if to_words(value).split() != words:
        raise ConfigurationError(
            "one of the words is not right, or two have changed places",
            hint="have them read again",
            code="invalid_words",
        )
    return value


@functools.cache
def _list() -> tuple[str, ...]:
    return tuple(importlib.resources.files("common").joinpath("words.txt").read_text().split())
