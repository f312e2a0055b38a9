"""Who is a member, with which devices, and whether they are online (docs/protocol.md, "Presence")."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from common import certificates, messages, topics
from common.arrivals import Message
from common.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

    from common.identity import Identity
    from common.registrar_client import RegistrarClient
    from common.session import Session


@dataclass(frozen=True, slots=True)
class Presence:
    """What a device says of itself; ``last_seen`` is when it went offline, by the broker's clock and this one."""

    state: Literal["online", "offline"]
    last_seen: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a member, by its valid certificate; ``presence`` is None where it says nothing of itself."""

    fingerprint: str
    certificate: x509.Certificate
    presence: Presence | None


@dataclass(frozen=True, slots=True)
class Person:
    """A member; ``presences`` are those of all devices, also of one whose certificate is another one by now."""

    user: str
    devices: tuple[Device, ...]
    presences: tuple[Presence, ...]

    @property
    def is_online(self) -> bool:
        """Whether any device says so."""
        return any(presence.state == "online" for presence in self.presences)

    @property
    def last_seen(self) -> dt.datetime | None:
        """When the last device went offline, if that is known and none is online."""
        seen = [presence.last_seen for presence in self.presences if presence.last_seen is not None]
        return None if self.is_online else max(seen, default=None)


def find_people(session: Session, registrar: RegistrarClient, identity: Identity, now: dt.datetime) -> list[Person]:
    """Return the members with their devices, by user name; raises SessionError, and RefusedError.

    The registrar names them where there are few, and the broker retains every one; each is verified.
    """
    session.subscribe(topics.ALL_MEMBERS, topics.ALL_PRESENCE)
    # Its reply comes behind all that the subscriptions brought, since a broker keeps the order.
    named, _ = registrar.members(None)
    retained: list[bytes] = []
    presences: dict[tuple[str, str], Presence] = {}
    while (arrived := session.receive(timeout=0)) is not None:
        if isinstance(arrived, Message) and topics.parse_member(arrived.topic) and arrived.payload:
            retained.append(arrived.payload)
        elif isinstance(arrived, Message) and (device := topics.parse_presence(arrived.topic)):
            _note(presences, device, arrived, now)
    found: dict[str, dict[str, Device]] = {}
    for certificate in (*named, *_read(retained)):
        try:
            user = certificates.check_member(certificate, identity.trust, at=now, now=now)
        except VerificationError:
            continue
        fingerprint = certificates.fingerprint(certificate)
        presence = presences.get((user, fingerprint))
        found.setdefault(user, {})[fingerprint] = Device(fingerprint, certificate, presence)
    return [
        Person(
            user,
            tuple(devices.values()),
            tuple(presence for (whose, _), presence in presences.items() if whose == user),
        )
        for user, devices in sorted(found.items())
    ]


def _note(
    presences: dict[tuple[str, str], Presence], device: tuple[str, str], message: Message, now: dt.datetime
) -> None:
    if message.payload == messages.ONLINE:
        presences[device] = Presence("online", None)
    elif message.payload == messages.OFFLINE:
        presences[device] = Presence("offline", _since(message.expiry, now))
    else:
        presences.pop(device, None)


def _since(expiry: int | None, now: dt.datetime) -> dt.datetime | None:
    """Return since when a broker has kept a message, of which it tells how long it would keep it still."""
    if expiry is None or expiry > messages.OFFLINE_SECONDS:
        return None
    return (now - dt.timedelta(seconds=messages.OFFLINE_SECONDS - expiry)).replace(microsecond=0)


def _read(pems: Iterable[bytes]) -> Iterable[x509.Certificate]:
    for pem in pems:
        try:
            yield certificates.read_certificate(pem)
        except VerificationError:
            continue
