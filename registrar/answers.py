"""Publishes what the registrar says: an answer to whoever asked, and what the broker retains for everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import topics
from registrar.requests import Replies

if TYPE_CHECKING:
    import datetime as dt
    from concurrent.futures import Future

    from common import messages
    from common.arrivals import Message
    from common.errors import SealcastError
    from common.session import Session
    from registrar.handlers import Handlers, Outcome, Publication


class Answers:
    """Answers the requests of both doors, over the members' session: a flood holds up that of the enrolments."""

    def __init__(self, handlers: Handlers, members: Session) -> None:
        self._members = members
        self._handlers = handlers

    def give(
        self, message: Message, request: messages.Request, outcome: Outcome, *, sent: bytes, now: dt.datetime
    ) -> None:
        """Publish an outcome: what everyone learns, then the reply; ``sent`` is the request as it came."""
        reply = self._replies().result(request, sent, outcome.result, now)
        for publication in outcome.publications:
            publish_retained(self._members, publication)
        self._reply(message, reply)

    def refuse(
        self, message: Message, json: bytes, error: SealcastError, *, operation: str, sent: bytes, now: dt.datetime
    ) -> None:
        """Publish a refusal, unless the request has no nonce to bind it to."""
        self._reply(message, self._replies().error(json, operation, sent, error, now))

    def clear(self, message: Message) -> None:
        """Take a retained message out of the broker's memory: nothing that is for the registrar may stay in it."""
        # That comes back too, without a payload.
        if message.payload:
            self._members.publish(message.topic, b"", retain=True)

    def _replies(self) -> Replies:
        """Sign with the registrar's certificate of now: it may have been renewed since the last reply."""
        return Replies(self._handlers.key, self._handlers.certificate)

    def _reply(self, message: Message, reply: bytes | None) -> None:
        response_topic = message.response_topic or ""
        answered = topics.parse_reply(response_topic)
        asked = topics.parse_request(message.topic)
        # The client id in a request's topic is checked by the broker; nobody gets a reply sent to somebody else.
        if reply is None or answered is None or (asked is not None and asked.client_id != answered[0]):
            return
        self._members.publish(response_topic, reply, content_type="application/cms", correlation=message.correlation)


def publish_retained(session: Session, publication: Publication) -> Future[bool]:
    """Have the broker retain a message; the future is done with its acknowledgement."""
    return session.publish(
        publication.topic,
        publication.payload,
        retain=True,
        content_type=_content_type(publication.topic),
        expiry=publication.expiry,
    )


def _content_type(topic: str) -> str:
    if topic == topics.AUDIT_HEAD:
        return "application/cms"
    return "application/json" if topics.parse_announcement(topic) else "application/x-pem-file"
