"""Certificates of others that are kept for sealing without a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW

from publisher.contacts import FOLDER, Contacts

if TYPE_CHECKING:
    from pathlib import Path

    from authorities import Authorities


@pytest.fixture
def everybody() -> Authorities:
    return authorities.default()


def test_who_is_remembered_is_known_again(tmp_path: Path, everybody: Authorities) -> None:
    bob, carol = (everybody.member(name).certificate for name in ("bob", "carol"))
    second = everybody.new_member("bob").certificate
    Contacts(tmp_path).remember([bob, carol, second])
    contacts = Contacts(tmp_path)
    assert contacts.recall("bob", everybody.trust(), now=NOW) == [bob, second]
    assert contacts.recall("carol", everybody.trust(), now=NOW) == [carol]
    assert contacts.recall("dave", everybody.trust(), now=NOW) == []


def test_the_newest_word_counts(tmp_path: Path, everybody: Authorities) -> None:
    bob, second = everybody.member("bob").certificate, everybody.new_member("bob").certificate
    contacts = Contacts(tmp_path)
    contacts.remember([bob])
    contacts.remember([second])
    assert contacts.recall("bob", everybody.trust(), now=NOW) == [second]


def test_what_is_known_already_is_not_written_again(tmp_path: Path, everybody: Authorities) -> None:
    bob = everybody.member("bob").certificate
    contacts = Contacts(tmp_path)
    contacts.remember([bob])
    before = (tmp_path / FOLDER / "bob.pem").stat().st_ino
    contacts.remember([bob])
    assert (tmp_path / FOLDER / "bob.pem").stat().st_ino == before
    contacts.remember([everybody.new_member("bob").certificate])
    assert (tmp_path / FOLDER / "bob.pem").stat().st_ino != before


def test_what_is_over_or_revoked_or_another_s_is_not_used(tmp_path: Path, everybody: Authorities) -> None:
    bob, second = everybody.member("bob").certificate, everybody.new_member("bob").certificate
    over = everybody.new_member("bob", lifetime=(NOW - 90 * DAY, NOW - DAY)).certificate
    contacts = Contacts(tmp_path)
    contacts.remember([bob, second, over])
    assert contacts.recall("bob", everybody.trust(), now=NOW) == [bob, second]
    assert contacts.recall("bob", everybody.trust({bob: NOW - DAY}), now=NOW) == [second]
    (tmp_path / FOLDER / "bob.pem").rename(tmp_path / FOLDER / "carol.pem")
    assert contacts.recall("carol", everybody.trust(), now=NOW) == []


def test_a_damaged_file_is_nobody(tmp_path: Path, everybody: Authorities) -> None:
    contacts = Contacts(tmp_path)
    contacts.remember([everybody.member("bob").certificate])
    (tmp_path / FOLDER / "bob.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    assert contacts.recall("bob", everybody.trust(), now=NOW) == []
    contacts.remember([everybody.member("bob").certificate])
    assert contacts.recall("bob", everybody.trust(), now=NOW) == [everybody.member("bob").certificate]
