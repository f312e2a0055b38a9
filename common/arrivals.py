"""What arrives on a session: messages, and word that the connection stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Message:
    """An arrived PUBLISH; ``connection`` counts the connections of its session, since each has packet ids anew."""

    topic: str
    payload: bytes
    retained: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    user_properties: Mapping[str, str] = field(default_factory=dict)
    packet_id: int = 0
    connection: int = 0


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection stands; ``again`` after it had been lost, ``resumed`` where the broker kept the session."""

    again: bool
    resumed: bool
