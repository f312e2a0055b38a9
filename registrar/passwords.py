"""What passwords are taken, how they are kept (Argon2id), and how many are hashed at once."""

from __future__ import annotations

import importlib.resources
import math
import os
import sys
import threading
import unicodedata
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from common.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from common.settings import Settings

# 94 ms of two cores (measured); RFC 9106, section 4, gives these as the second recommended option.
_MEMORY_KIBIBYTES, _PASSES, _LANES = 64 * 1024, 3, 4
_SALT_BYTES, _HASH_BYTES = 16, 32
_SECONDS_EACH = 0.2
_GIVES_WAY_BY = 10  # a tenth of the processor where everything is busy
_LOWEST_PRIORITY = 19

# A well-formed hash that no known password has: the hash of an account that nobody may log in to.
LOCKED = f"$argon2id$v=19$m={_MEMORY_KIBIBYTES},t={_PASSES},p={_LANES}${'A' * 22}${'A' * 43}"

# What must remain of a password once everything common is taken out of it, and how many characters it must use.
_LONGEST_SEARCHED = 256  # characters
_LEAST_UNCOMMON, _LEAST_DISTINCT = 8, 5
_RUN, _SHORTEST_NAME = 4, 3
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "12345678901234567890",
    "!@#$%^&*()_+",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
)
_SEPARATORS = str.maketrans("", "", " -_.,'")
_LOOK_ALIKES = str.maketrans("01345789@$!", "oleastbgasi")

_Result = TypeVar("_Result")


def check_policy(password: str, *, user: str, settings: Settings) -> None:
    """Raise RefusedError unless the password may be set (docs/protocol.md, "enrol").

    Codes: ``password_too_short``, ``password_too_long``, ``password_common``. No composition rules, a blocklist instead
    (NIST SP 800-63B, section 3.1.1.2).
    """
    length = len(unicodedata.normalize("NFC", password))
    if length < settings.minimum_password_length:
        raise RefusedError(
            f"the password has {length} characters, at least {settings.minimum_password_length} are needed",
            hint="use several words that do not belong together",
            code="password_too_short",
        )
    if length > settings.maximum_password_length:
        raise RefusedError(
            f"the password has more than {settings.maximum_password_length} characters",
            hint="use a shorter one",
            code="password_too_long",
        )
    if _is_common(password, user):
        raise RefusedError(
            "the password is too easy to guess",
            hint="use several words that do not belong together",
            code="password_common",
        )


def _is_common(password: str, user: str) -> bool:
    """Tell whether the password is a repetition, or little more than names, runs on the keyboard and the blocklist."""
    text = unicodedata.normalize("NFKC", password).casefold().translate(_SEPARATORS)
    # One character may become eighteen here, and the search below takes time: its beginning will tell.
    text = text[:_LONGEST_SEARCHED]
    if len(set(text)) < _LEAST_DISTINCT or _is_repetition(text):
        return True
    name = user.translate(_SEPARATORS)
    names = (name,) if len(name) >= _SHORTEST_NAME else ()
    common = set[int]()
    for word in (*names, *_BLOCKLIST, *_RUNS):
        for spelling in (text, text.translate(_LOOK_ALIKES)):
            for start in _find_all(word, spelling):
                common.update(range(start, start + len(word)))
    return len(text) - len(common) < _LEAST_UNCOMMON


def _is_repetition(text: str) -> bool:
    # A text that occurs in its own double, away from both ends, consists of one part repeated.
    return (text + text).find(text, 1) < len(text)


def _find_all(word: str, text: str) -> Iterator[int]:
    start = text.find(word)
    while start >= 0:
        yield start
        start = text.find(word, start + 1)


def _read_blocklist() -> tuple[str, ...]:
    return tuple(importlib.resources.files("registrar").joinpath("common_passwords.txt").read_text().split())


def _make_runs() -> frozenset[str]:
    rows = [row[::step] for row in _ROWS for step in (1, -1)]
    return frozenset(row[start : start + _RUN] for row in rows for start in range(len(row) - _RUN + 1))


_BLOCKLIST = _read_blocklist()
_RUNS = _make_runs()


def _give_way() -> None:
    """Leave the processor to everybody else: Argon2's own threads inherit the priority of the one that starts them."""
    # Elsewhere that would be the priority of the whole program.
    if sys.platform == "linux":
        own = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(own + _GIVES_WAY_BY, _LOWEST_PRIORITY))


# OpenSSL 4.0.3 under cryptography 50.0.2: two Argon2 with several lanes at once wait for each other's threads for ever
# (measured, within eight hashes), and two at once would not be faster. This thread does nothing else: one of low
# priority that holds the interpreter's lock would hold up the others.
_hasher = ThreadPoolExecutor(1, thread_name_prefix="argon2", initializer=_give_way)


def login_failed() -> RefusedError:
    """Return the one refusal for a wrong name, password, invitation or code: it never tells which."""
    return RefusedError(
        "Login Failed",
        hint="check the user name and the password, and the invitation or the code if there is one; "
        "if you are new here, the name may be taken: choose another",
        code="login_failed",
    )


def hash_password(password: str) -> str:
    """Return a fresh Argon2id hash in PHC string format."""
    argon2 = Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_PASSES,
        lanes=_LANES,
        memory_cost=_MEMORY_KIBIBYTES,
    )
    return _hasher.submit(argon2.derive_phc_encoded, _encode(password)).result()


def verify_password(password: str, password_hash: str) -> bool:
    """Tell whether the hash is that of the password."""
    try:
        _hasher.submit(Argon2id.verify_phc_encoded, _encode(password), password_hash).result()
    except InvalidKey:
        return False
    return True


def _encode(password: str) -> bytes:
    # One password however a keyboard composes its accents (RFC 8265, section 4.2).
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


class PasswordPool:
    """Runs work that hashes a password in a thread of its own, with room for ``password_queue`` more to wait.

    One thread, since only one hash can be made at a time; it leaves the interpreter to the others meanwhile (longest
    pause of another thread: 13 ms, measured).
    """

    def __init__(self, settings: Settings) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="password")
        self._places = threading.BoundedSemaphore(1 + settings.password_queue)
        self._longest_wait = math.ceil(settings.password_queue * _SECONDS_EACH)

    def busy(self) -> RefusedError:
        """Return the refusal of who has to come back."""
        return RefusedError(
            "too many people are registering or logging in just now",
            hint="try again in a few seconds",
            code="busy",
            retry_after=self._longest_wait,
        )

    def submit(self, prepare: Callable[[], Callable[[], _Result]]) -> Future[_Result]:
        """Queue the work that ``prepare`` returns; raises RefusedError, code ``busy``, where the queue is full.

        What ``prepare`` counts or raises is done where there is a place, and not for who has to come back.
        """
        if not self._places.acquire(blocking=False):
            raise self.busy()
        try:
            work = prepare()
        except BaseException:
            self._places.release()
            raise

        def do() -> _Result:
            try:
                return work()
            finally:
                self._places.release()

        return self._executor.submit(do)

    def close(self) -> None:
        """Finish what is queued."""
        self._executor.shutdown()
