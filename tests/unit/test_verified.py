"""What a member has verified is a key, whatever certificate it has."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW

from common.certificates import fingerprint, key_fingerprint
from common.errors import ConfigurationError
from common.verified import VERIFIED, Standing, Verified, VerifiedKey

if TYPE_CHECKING:
    from pathlib import Path

AUTHORITIES = authorities.default()
LAPTOP = AUTHORITIES.member("alice")
RENEWED = AUTHORITIES.new_member("alice", key=LAPTOP.key).certificate
PHONE = AUTHORITIES.new_member("alice").certificate
BOB = AUTHORITIES.member("bob").certificate


def test_nobody_is_verified_at_first(tmp_path: Path) -> None:
    for read_only in (True, False):
        with Verified(tmp_path, read_only=read_only) as verified:
            assert verified.standing(LAPTOP.certificate) is Standing.UNKNOWN
            assert verified.entries() == []
            assert (tmp_path / VERIFIED).exists() != read_only


def test_a_renewed_certificate_is_no_change_and_another_key_is(tmp_path: Path) -> None:
    with Verified(tmp_path) as verified:
        verified.add([LAPTOP.certificate], NOW)
        found = [verified.standing(one) for one in (LAPTOP.certificate, RENEWED, PHONE, BOB)]
        assert found == [Standing.VERIFIED, Standing.VERIFIED, Standing.CHANGED, Standing.UNKNOWN]
        verified.add([PHONE], NOW + DAY)
        assert verified.standing(PHONE) is Standing.VERIFIED


def test_what_was_seen_is_told_by_its_fingerprint(tmp_path: Path) -> None:
    with Verified(tmp_path) as verified:
        verified.add([LAPTOP.certificate], NOW)
        assert verified.state("alice", fingerprint(RENEWED)) is Standing.UNKNOWN
        assert verified.see(RENEWED) is Standing.VERIFIED
        verified.see(PHONE)
        assert verified.see(PHONE) is Standing.CHANGED
    with Verified(tmp_path, read_only=True) as verified:
        assert verified.state("alice", fingerprint(LAPTOP.certificate)) is Standing.VERIFIED
        assert verified.state("alice", fingerprint(RENEWED)) is Standing.VERIFIED
        assert verified.state("alice", fingerprint(PHONE)) is Standing.CHANGED
        assert verified.state("alice", None) is Standing.UNKNOWN
        assert verified.state("bob", fingerprint(LAPTOP.certificate)) is Standing.UNKNOWN


def test_what_is_forgotten_is_unknown_again(tmp_path: Path) -> None:
    with Verified(tmp_path) as verified:
        verified.add([LAPTOP.certificate, BOB], NOW)
        verified.add([LAPTOP.certificate], NOW + DAY)
        keys = [key_fingerprint(one) for one in (LAPTOP.certificate, BOB)]
        assert verified.entries() == [VerifiedKey("alice", keys[0], NOW), VerifiedKey("bob", keys[1], NOW)]
        assert verified.forget("alice")
        assert not verified.forget("alice")
        assert verified.standing(PHONE) is Standing.UNKNOWN
        assert verified.standing(BOB) is Standing.VERIFIED


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / VERIFIED).write_bytes(b"no database" * 100)
    with pytest.raises(ConfigurationError) as error:
        Verified(tmp_path)
    assert error.value.code == "verified"
    with pytest.raises(sqlite3.Error):
        sqlite3.connect(tmp_path / VERIFIED).execute("SELECT 1 FROM verified")
