"""Rebuilds what a broker should retain and does not: trust, members, announcements (the broker is a cache).

Over a session of its own and at a bounded rate, so that a hundred thousand announcements hold up nobody's request.
"""

from __future__ import annotations

import itertools
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from common import certificates, topics
from common.arrivals import Message
from common.device import anonymous_client_id
from common.errors import SessionError
from registrar.answers import publish_retained
from registrar.handlers import Publication, announcement

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator

    from common.session import Session
    from registrar.authority import Authority
    from registrar.handlers import Handlers

_LONGEST_SILENCE = 10.0  # seconds between two messages; all of them take longer (measured: 3,000 a second)
_RETAINED = (
    topics.ALL_TRUST,
    topics.ALL_MEMBERS,
    topics.ALL_ANNOUNCEMENTS,
    topics.ALL_PRESENCE,
    # Nothing is to be retained of these; but members may write there.
    topics.ALL_RECEIPTS,
    topics.ALL_REQUESTS,
)
_CHUNK = 100  # messages; then the others get their turn


def rebuild(session: Session, handlers: Handlers, clock: Callable[[], dt.datetime]) -> int:
    """Have the broker retain exactly what it should, and return how many messages that took.

    Raises SessionError where the broker falls silent, RefusedError while the database does not answer.
    """
    retained = read_retained(session)
    rate = handlers.settings.rebuild_rate
    known = _read_known(handlers, clock())
    published = _publish(session, _lost(itertools.starmap(Publication, known.items()), retained), rate)
    # What was changed or withdrawn while that was published may have been put back by it.
    while (current := _read_known(handlers, clock())) != known:
        changed = [Publication(*one) for one in current.items() if one not in known.items()]
        withdrawn = [Publication(topic, b"") for topic in known.keys() - current.keys()]
        published += _publish(session, [*changed, *withdrawn], rate)
        known = current
    for page in handlers.catalogue.pages():
        now = clock()
        lost = list(_lost((announcement(record, now) for record in page), retained))
        published += _publish(session, lost, rate)
        # What was removed while this page was published has been announced once more.
        kept = handlers.catalogue.known([record.image_id for record in page]) if lost else set()
        gone = [record for record in page if lost and record.image_id not in kept]
        published += _publish(session, (Publication(announcement(one, now).topic, b"") for one in gone), rate)
    # What is left of the broker's belongs to nobody, unless it was stored since the broker was asked.
    stale = (Publication(topic, b"") for topic in retained if not _is_known(topic, handlers))
    return published + _publish(session, stale, rate)


def trust(authority: Authority, now: dt.datetime) -> Iterator[Publication]:
    """Yield what everybody needs before anything else."""
    trusted = authority.trust(now)
    # In this order, nobody ever sees a certificate of an authority without that, or an authority without its list.
    yield Publication(topics.TRUST_CRL, trusted.crl_pem)
    yield Publication(topics.TRUST_CA, trusted.ca_pem)
    yield Publication(topics.TRUST_REGISTRAR, certificates.to_pem(authority.registrar[0]))


def members(handlers: Handlers, now: dt.datetime) -> Iterator[Publication]:
    """Yield the certificate of every member's device."""
    for certificate in handlers.accounts.all_certificates(now):
        topic = topics.member(certificates.user_of(certificate), certificates.fingerprint(certificate))
        yield Publication(topic, certificates.to_pem(certificate))


def _read_known(handlers: Handlers, now: dt.datetime) -> dict[str, bytes]:
    """Return the payloads of trust and members by their topics, in the order in which they are published."""
    publications = itertools.chain(trust(handlers.authority, now), members(handlers, now))
    return {publication.topic: publication.payload for publication in publications}


def read_retained(session: Session) -> dict[str, bytes]:
    """Return the SHA-256 of every message that the broker retains, by its topic."""
    session.subscribe(*_RETAINED)
    # A message to nobody else comes behind all that the subscriptions brought, since a broker keeps the order.
    mark = topics.reply(anonymous_client_id(), "mark")
    session.subscribe(mark)
    session.publish(mark, b"mark")
    retained: dict[str, bytes] = {}
    while (arrived := session.receive(_LONGEST_SILENCE)) is not None:
        if isinstance(arrived, Message):
            if arrived.topic == mark:
                session.unsubscribe(*_RETAINED)
                return retained
            if arrived.retained:
                retained[arrived.topic] = sha256(arrived.payload).digest()
    raise SessionError("the broker does not send what it retains", hint="see the broker's log", code="broker_silent")


def _lost(wanted: Iterable[Publication], retained: dict[str, bytes]) -> Iterator[Publication]:
    """Yield what the broker does not retain; takes out of ``retained`` what is wanted."""
    for publication in wanted:
        if retained.pop(publication.topic, None) != sha256(publication.payload).digest():
            yield publication


def _publish(session: Session, publications: Iterable[Publication], rate: int) -> int:
    """Publish at most ``rate`` messages a second, each acknowledged; return how many there were."""
    remaining, count = iter(publications), 0
    while chunk := list(itertools.islice(remaining, _CHUNK)):
        begin = time.monotonic()
        for delivered in [publish_retained(session, publication) for publication in chunk]:
            try:
                delivered.result(_LONGEST_SILENCE)
            except TimeoutError:
                raise SessionError(
                    "the broker does not acknowledge", hint="see the broker's log", code="broker_silent"
                ) from None
        count += len(chunk)
        time.sleep(max(0.0, begin + len(chunk) / rate - time.monotonic()))
    return count


def _is_known(topic: str, handlers: Handlers) -> bool:
    if (device := topics.parse_presence(topic)) is not None:
        return handlers.accounts.has_had_certificate(*device)
    announced = topics.parse_announcement(topic)
    return announced is not None and handlers.catalogue.get(announced.image_id) is not None
