"""The receipts of stored images, in both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import authorities
import pytest
from authorities import DAY, NOW
from sqlalchemy import func, select

from common.certificates import subject_key_identifier
from common.errors import RefusedError
from common.revocation_lists import Reason
from common.topics import new_image_id
from registrar.accounts import Accounts
from registrar.catalogue import Catalogue, Quota, Record, Removal
from registrar.database import transaction
from registrar.deletions import Deletions
from registrar.listing import Viewer
from registrar.receipts import Kept, Receipts
from registrar.revocations import Revocations
from registrar.tables import ReceiptRow

if TYPE_CHECKING:
    import uuid

    from sqlalchemy import Engine

    from common.messages import ReceiptOutcome

pytest_plugins = ("databases",)
AUTHORITIES = authorities.default()
LATER = NOW + DAY / 2
USERS = ("alice", "bob", "carol")


@pytest.fixture
def accounts(engine: Engine) -> Accounts:
    one = Accounts(engine)
    for user in USERS:
        one.create(user, "hash", NOW)
        one.add_certificate(user, AUTHORITIES.member(user).certificate, NOW)
    return one


def viewer(user: str) -> Viewer:
    return Viewer(user, subject_key_identifier(AUTHORITIES.member(user).certificate))


def store(engine: Engine, *to: str) -> uuid.UUID:
    """Store an image of alice's."""
    record = Record(
        image_id=new_image_id(NOW),
        owner="alice",
        channel="public",
        name=None,
        audience="named" if to else "members",
        size=1,
        sealed_size=2,
        sha256_sealed="ab" * 32,
        wrapped_key=None,
        stored_at=NOW,
        expires_at=None,
    )
    recipients = frozenset(viewer(user).key_identifier for user in to)
    return Catalogue(engine).add(record, recipients, Quota(10**6, 2**62)).image_id


def kept(image_id: uuid.UUID, outcome: ReceiptOutcome = "saved", signed: bytes = b"signed", day: int = 0) -> Kept:
    return Kept(image_id, outcome, NOW + day * DAY, signed)


def signed(engine: Engine, image_id: uuid.UUID) -> list[bytes]:
    return Receipts(engine).page(image_id, None, 100).signed


def test_what_is_saved_stays_saved_and_otherwise_the_latest_counts(engine: Engine) -> None:
    receipts, image_id, bob = Receipts(engine), store(engine), viewer("bob")
    for day, outcome, name, stays in (
        (2, "expired", b"first", b"first"),
        (1, "not_verified", b"earlier", b"first"),
        (3, "not_verified", b"later", b"later"),
        (2, "saved", b"saved", b"saved"),  # by a clock that has been put right
        (5, "saved", b"once more", b"saved"),
        (6, "expired", b"expired", b"saved"),
    ):
        assert receipts.add([kept(image_id, outcome, name, day)], bob) == [image_id]
        assert signed(engine, image_id) == [stays]
    receipts.add([kept(image_id, "expired", b"carol's")], viewer("carol"))
    assert set(signed(engine, image_id)) == {b"saved", b"carol's"}


def test_a_page_goes_on_where_the_one_before_ended(engine: Engine) -> None:
    receipts, image_id = Receipts(engine), store(engine)
    for number in range(5):
        receipts.add([kept(image_id, signed=bytes([number]))], Viewer(f"user{number}", bytes([9 - number]) * 20))
    found, mark = [], None
    for size, complete in ((2, False), (2, False), (1, True)):
        page = receipts.page(image_id, mark, 2)
        assert (len(page.signed), page.complete) == (size, complete)
        found += page.signed
        mark = page.mark
    assert found == [bytes([number]) for number in (4, 3, 2, 1, 0)]
    assert receipts.page(image_id, mark, 2).signed == []
    assert receipts.page(image_id, "no mark", 5).signed == found


def test_of_one_reader_so_many_devices_count(engine: Engine) -> None:
    receipts, image_id = Receipts(engine), store(engine)
    devices = [Viewer("bob", bytes([number]) * 20) for number in range(17)]
    taken = [receipts.add([kept(image_id)], device) for device in devices]
    assert taken == [[image_id]] * 16 + [[]]
    assert receipts.add([kept(image_id)], devices[0]) == [image_id]
    assert receipts.add([kept(image_id)], Viewer("carol", b"c" * 20)) == [image_id]


def test_an_image_is_for_the_members_of_now_or_for_those_who_are_named(engine: Engine, accounts: Accounts) -> None:
    receipts, for_all, for_bob = Receipts(engine), store(engine), store(engine, "bob")
    assert accounts.certificates_of("bob", LATER)
    assert receipts.readers(for_all, LATER) == ["bob", "carol"]
    assert receipts.readers(for_bob, LATER) == ["bob"]
    Revocations(engine).revoke("bob", Reason.PRIVILEGE_WITHDRAWN, NOW)
    assert receipts.readers(for_all, LATER) == ["carol"]
    assert receipts.readers(for_bob, LATER) == []
    assert receipts.readers(new_image_id(NOW), LATER) == []


def test_who_has_taken_a_new_key_is_named_still(engine: Engine, accounts: Accounts) -> None:
    image_id, old = store(engine, "bob"), AUTHORITIES.member("bob").certificate
    after_its_end = old.not_valid_after_utc + DAY
    assert Receipts(engine).readers(image_id, after_its_end) == []
    new = AUTHORITIES.new_member("bob", lifetime=(NOW, after_its_end + DAY)).certificate
    accounts.add_certificate("bob", new, NOW, occasion="renewal", predecessor=old)
    assert Receipts(engine).readers(image_id, after_its_end) == ["bob"]


def test_receipts_go_with_their_image(engine: Engine) -> None:
    image_id, other = store(engine), store(engine)
    Receipts(engine).add([kept(image_id), kept(other)], viewer("bob"))
    Catalogue(engine).remove(Removal(image_id, "alice", "public", "removed", NOW))
    assert Receipts(engine).add([kept(image_id)], viewer("carol")) == []
    assert signed(engine, other) == [b"signed"]
    with transaction(engine) as session:
        assert session.scalar(select(func.count()).select_from(ReceiptRow)) == 1


def test_receipts_go_with_their_reader_s_account_and_none_comes_after_it(engine: Engine, accounts: Accounts) -> None:
    image_id = store(engine)
    for user in ("bob", "carol"):
        Receipts(engine).add([kept(image_id, signed=user.encode())], viewer(user))
    assert accounts.password_hash("bob")
    Deletions(engine).delete("bob", NOW)
    assert signed(engine, image_id) == [b"carol"]
    with pytest.raises(RefusedError) as caught:
        Receipts(engine).add([kept(image_id)], viewer("bob"))
    assert caught.value.code == "revoked"
