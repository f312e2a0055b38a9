"""A broker killed after it has acknowledged, started again with the data that it had saved, or with none."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from faults.installation import REGISTRAR, let_pass
from real_broker import next_message

from common import topics
from common.connection import Address, verified_context
from common.device import KEY
from common.identity import AUTHORITIES, CERTIFICATE
from common.session import Session

if TYPE_CHECKING:
    from faults.conftest import Sweep
    from faults.installation import Installation

    from common.arrivals import Message

SIZE = 1_000_000  # bytes of an image whose upload takes a moment
DATA = pytest.mark.parametrize("empty", [False, True], ids=["with its data", "with none"])


@DATA
@pytest.mark.parametrize("sweep", range(2), indirect=True)
def test_a_broker_killed_at_any_moment_loses_nothing(sweep: Sweep, *, empty: bool) -> None:
    installation = sweep.installation
    postings = [installation.make_posting("alice", count=3, to=to) for to in ((), ("bob",))]
    for posting in postings:
        posting.program.start()
    let_pass(sweep.chance.uniform(0, 1))
    installation.save_broker()
    let_pass(sweep.chance.uniform(0, 1))
    installation.broker.end()
    let_pass(sweep.chance.uniform(0, 1))
    installation.restart_broker(empty=empty)
    for posting in postings:
        installation.complete(posting)
    sweep.oracle.wait_and_judge()


@DATA
@pytest.mark.parametrize("sweep", range(1), indirect=True)
def test_what_only_a_killed_broker_had_for_a_reader_is_fetched(sweep: Sweep, *, empty: bool) -> None:
    installation = sweep.installation
    sweep.links["bob"].partition()
    installation.post("alice", count=3)
    installation.broker.end()
    installation.restart_broker(empty=empty)
    sweep.links["bob"].heal()
    sweep.oracle.wait_and_judge()


@DATA
@pytest.mark.parametrize("sweep", range(1), indirect=True)
def test_what_only_a_killed_broker_had_for_the_registrar_is_sent_again(sweep: Sweep, *, empty: bool) -> None:
    installation = sweep.installation
    posting = installation.make_posting("alice", size=SIZE)
    sweep.upload_unseen(posting, SIZE)
    installation.broker.end()
    sweep.links[REGISTRAR].heal()
    installation.restart_broker(empty=empty)
    installation.complete(posting)
    sweep.oracle.wait_and_judge()


@pytest.mark.parametrize("sweep", range(1), indirect=True)
def test_the_data_folder_deleted_under_a_running_system_is_rebuilt(sweep: Sweep) -> None:
    installation = sweep.installation
    for to in ((), ("bob",)):
        installation.post("alice", count=2, to=to)
    installation.broker.end()
    installation.restart_broker(empty=True)
    installation.register("dave")
    installation.start(installation.make_reader("dave"))
    announced = {topics.parse_announcement(message.topic) for message in retained(installation, "dave")}
    sweep.oracle.wait_and_judge()
    assert {str(one.image_id) for one in announced if one} == {
        image["image_id"] for image in installation.outbox("alice")
    }


def retained(installation: Installation, user: str) -> list[Message]:
    """Return the announcements that the broker retains, as a member's own client sees them."""
    home = installation.system.home_of(user)
    context = verified_context((home / AUTHORITIES).read_bytes(), home / CERTIFICATE, home / KEY)
    door = Address("localhost", installation.system.port)
    with Session(door, f"{secrets.token_hex(16)}-watching", context) as session:
        session.subscribe(topics.ALL_ANNOUNCEMENTS)
        return [next_message(session) for _ in installation.oracle.posted]
