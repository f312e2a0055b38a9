from __future__ import annotations

import os
import re
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from common.errors import RefusedError
from common.settings import Settings
from registrar.passwords import LOCKED, PasswordPool, check_policy, hash_password, verify_password

SETTINGS = Settings()
GOOD = "lamp gravel pencil orbit"
# In the full-width letters of U+FF00, which look much the same.
WIDE = "".join(chr(ord(character) + 0xFEE0) for character in "passwordpassword1")


def refuse(password: str, user: str = "alice") -> str:
    with pytest.raises(RefusedError) as caught:
        check_policy(password, user=user, settings=SETTINGS)
    assert caught.value.hint is not None
    assert password not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "x#9!kQ%2&mZ*7^pL",
        "zebra quilt monsoon 4",
        "Übergröße Kännchen Öl",
        "密码很长而且没有人能猜到它的样子",
        "MyDogBarksAtTheMoon",
        "alice grows leeks on volcanoes",
        "nur Kamele tanzen Polka",
    ],
)
def test_a_password_that_nobody_guesses_is_taken(password: str) -> None:
    check_policy(password, user="alice", settings=SETTINGS)


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PASSWORDpassword",
        WIDE,
        "P@ssw0rd12345678",
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababab",
        "xk7rm2qpxk7rm2qp",
        "123456789012345",
        "987654321098765",
        "abcdefghijklmnop",
        "qwertyuiopasdfgh",
        "!@#$%^&*()_+!@#$",
        "1q2w3e4r5t6y7u8i",
        "alicealicealicealice",
        "alice-alice-2026",
        "Alice123456789!",
        "sealcast sealcast 1",
        "correct horse battery staple",
        "CorrectHorseBatteryStaple!",
        "the quick brown fox jumps over the lazy dog",
        "may the force be with you",
        "letmeinletmeinplease",
        "summer2024summer2025",
        "monkey dragon shadow master",
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(password: str) -> None:
    assert refuse(password) == "password_common"


def test_the_user_name_is_not_common_to_others() -> None:
    password = "anneliese42anneliesex"
    assert refuse(password, user="anne-liese") == "password_common"
    check_policy(password, user="bob", settings=SETTINGS)


def test_length_counts_characters_and_has_two_ends() -> None:
    check_policy(GOOD[:15], user="alice", settings=SETTINGS)
    assert refuse(GOOD[:14]) == "password_too_short"
    # Fourteen characters, each written as two.
    assert refuse(unicodedata.normalize("NFD", "éàüñôéàüñôéàüñ")) == "password_too_short"
    longest = "".join(chr(0x4E00 + number) for number in range(1024))
    check_policy(longest, user="alice", settings=SETTINGS)
    assert refuse(longest + "x") == "password_too_long"


def test_a_hash_is_of_its_password_only() -> None:
    one = hash_password(GOOD)
    assert re.fullmatch(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", one)
    assert verify_password(GOOD, one)
    assert not verify_password(GOOD + " ", one)
    assert hash_password(GOOD) != one


def test_a_password_is_the_same_however_its_accents_are_composed() -> None:
    assert verify_password("cafe\u0301 gravel pencil", hash_password("caf\u00e9 gravel pencil"))
    assert not verify_password("cafe gravel pencil", hash_password("caf\u00e9 gravel pencil"))


def test_what_is_no_text_is_hashed_all_the_same() -> None:
    assert verify_password("\udcff" * 15, hash_password("\udcff" * 15))


def test_nobody_logs_in_to_a_locked_account() -> None:
    for password in (GOOD, "", "A" * 32, "\0" * 32):
        assert not verify_password(password, LOCKED)


def test_hashing_in_many_threads_ends() -> None:
    # Two Argon2 of several lanes at once wait for each other for ever (cryptography 50.0.2, measured).
    with ThreadPoolExecutor(4) as pool:
        hashes = list(pool.map(lambda _: hash_password(GOOD), range(8)))
    assert len(set(hashes)) == 8


def test_the_pool_does_what_there_is_room_for_and_refuses_the_rest() -> None:
    go, started = threading.Event(), threading.Event()

    def wait() -> str:
        started.set()
        assert go.wait(60)
        return "done"

    pool = PasswordPool(Settings(password_queue=2))
    futures = [pool.submit(lambda: wait)]
    assert started.wait(60)
    futures += [pool.submit(lambda: wait) for _ in range(2)]
    with pytest.raises(RefusedError) as caught:
        pool.submit(lambda: wait)
    assert caught.value.code == "busy"
    assert caught.value.retry_after
    go.set()
    assert [future.result(60) for future in futures] == ["done"] * 3
    pool.close()


def test_the_pool_has_room_again_after_work_that_failed() -> None:
    pool = PasswordPool(Settings(password_queue=0))
    for _ in range(3):
        with pytest.raises(ValueError, match="nothing"):
            pool.submit(lambda: partial(int, "nothing")).result(60)
    pool.close()


def test_hashing_gives_way_to_everything_else() -> None:
    hash_password(GOOD)
    (hasher,) = (thread for thread in threading.enumerate() if thread.name.startswith("argon2"))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, hasher.native_id or 0) == min(own + 10, 19)
