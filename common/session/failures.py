"""What a person is told when a session does not come about, or when nobody answers over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import SessionError

if TYPE_CHECKING:
    from common.connection import Address


def silent(address: Address) -> SessionError:
    """Return what to say where something takes connections and then says nothing."""
    return SessionError(
        f"the broker at {address} does not answer",
        hint="check that it is Sealcast's broker and not another service on that port",
        code="broker_silent",
    )


def refused(address: Address, cause: str) -> SessionError:
    """Return what to say where the broker's CONNACK says no."""
    return SessionError(
        f"the broker at {address} refused the session: {cause}",
        hint="see the broker's log for the cause",
        code="session_refused",
    )


def closed(address: Address) -> SessionError:
    """Return what to say where the connection has ended before its CONNACK."""
    return SessionError(
        f"the broker at {address} closed the connection",
        hint="see `whoami`: the certificate may be expired or revoked; or check --port, which may be another door",
        code="connection_closed",
    )


def unacknowledged(address: Address, what: str) -> SessionError:
    """Return what to say where the broker has not acknowledged ``what`` in time."""
    return SessionError(
        f"the broker at {address} did not acknowledge {what}",
        hint="check the connection and the broker's log, then try again",
        code="broker_silent",
    )


def no_registrar(address: Address) -> SessionError:
    """Return what to say where the broker is there, and what only the registrar sends does not come."""
    return SessionError(
        f"the broker at {address} answers, but no registrar behind it",
        hint="start the registrar (registrar serve), then try again",
        code="no_registrar",
    )
