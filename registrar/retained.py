"""Rebuilds what a broker should retain and does not: trust, members, announcements (the broker is a cache)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import topics
from common.arrivals import Message
from common.errors import SessionError
from common.identity import anonymous_client_id
from registrar.handlers import Publication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.session import Session

_LONGEST_SILENCE = 10.0  # seconds between two messages; all of them take longer (measured: 3,000 a second)


def find_differences(session: Session, wanted: Callable[[], Mapping[str, bytes]]) -> list[Publication]:
    """Return what has to be published so that the broker retains exactly ``wanted``.

    ``wanted`` is asked after the broker: what is announced meanwhile is in both. The session is one of its own, so that
    a hundred thousand retained messages delay no request. Raises SessionError where the broker falls silent.
    """
    found = _read_retained(session)
    expected = wanted()
    lost = [Publication(topic, payload) for topic, payload in expected.items() if found.get(topic) != payload]
    stale = [Publication(topic, b"") for topic in found if topic not in expected]
    return lost + stale


def _read_retained(session: Session) -> dict[str, bytes]:
    session.subscribe(topics.ALL_TRUST, topics.ALL_MEMBERS, topics.ALL_ANNOUNCEMENTS)
    # A message to nobody else comes behind all that the subscriptions brought, since a broker keeps the order.
    mark = topics.reply(anonymous_client_id(), "mark")
    session.subscribe(mark)
    session.publish(mark, b"mark")
    found: dict[str, bytes] = {}
    while (arrived := session.receive(_LONGEST_SILENCE)) is not None:
        if isinstance(arrived, Message):
            if arrived.topic == mark:
                return found
            if arrived.retained:
                found[arrived.topic] = arrived.payload
    raise SessionError("the broker does not send what it retains", hint="see the broker's log", code="broker_silent")
