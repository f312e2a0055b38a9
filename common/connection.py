"""The way to a door of the broker: its address, TLS context and session options, and what to say when it fails.

docs/protocol.md, "Connections".
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import SessionError
from common.key_files import wrong_passphrase

if TYPE_CHECKING:
    from pathlib import Path

    from common.settings import Settings

_HOST_NAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_ADDRESS_MISMATCH = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH


@dataclass(frozen=True, slots=True)
class Address:
    """Where a door of the broker is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def verified_context(
    authorities: bytes, certificate: Path | None = None, key: Path | None = None, passphrase: bytes | None = None
) -> ssl.SSLContext:
    """Return a TLS 1.3 context that trusts only ``authorities`` (PEM) and shows ``certificate`` if given.

    ``passphrase`` is that of the key, where it is encrypted: it is decrypted in memory only. Raises ConfigurationError,
    ``wrong_passphrase``, where it does not open the key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate is None:
        context.load_verify_locations(cadata=authorities.decode())
    else:
        show_certificate(context, authorities, certificate, key, passphrase)
    return context


def show_certificate(
    context: ssl.SSLContext, authorities: bytes, certificate: Path, key: Path | None, passphrase: bytes | None
) -> None:
    """Have the context show this certificate, and trust these authorities (PEM), too.

    OpenSSL sends along which of them has signed it: the broker may not know that one yet. Raises
    ConfigurationError, ``wrong_passphrase``, where the passphrase does not open the key.
    """
    context.load_verify_locations(cadata=authorities.decode())
    # Without a passphrase OpenSSL would ask for one itself.
    try:
        context.load_cert_chain(certificate, key, password=passphrase or b"")
    except ssl.SSLError as error:
        raise wrong_passphrase(key or certificate) from error


def unverified_context() -> ssl.SSLContext:
    """Return a context for the first contact, on which nothing is sent but a subscription to trust/ca."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker retains on a topic when the connection ends, however it does; it forgets it after ``expiry``."""

    topic: str
    payload: bytes
    expiry: int


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a program asks of its session; times in seconds, sizes in bytes, None for the broker's own limit.

    ``expiry`` is how long the broker keeps the session while the connection is lost; ``forgotten_on_leaving`` has it
    dropped at once when the program leaves by itself. A ``quiet`` session says nothing of a connection that is lost and
    comes back: it is for all but one of a program's sessions.
    """

    connect_timeout: float = 10.0
    reply_timeout: float = 30.0
    longest_reconnect_wait: float = 30.0
    expiry: int = 0
    receive_maximum: int | None = None
    maximum_packet_size: int | None = None
    manual_acknowledgement: bool = False
    forgotten_on_leaving: bool = False
    slowest_upload: int = 32 * 1024
    quiet: bool = False
    will: LastWill | None = None

    def delivery_timeout(self, size: int) -> float:
        """Return how many seconds a message of so many bytes may take to the broker, over a slow link too."""
        return self.reply_timeout + size / self.slowest_upload


def session_options(
    settings: Settings,
    *,
    expiry: int = 0,
    receive_maximum: int | None = None,
    maximum_packet_size: int | None = None,
    manual_acknowledgement: bool = False,
    forgotten_on_leaving: bool = False,
    quiet: bool = False,
    will: LastWill | None = None,
) -> SessionOptions:
    """Return session options with the timeouts of the settings."""
    return SessionOptions(
        connect_timeout=settings.connect_timeout,
        reply_timeout=settings.reply_timeout,
        longest_reconnect_wait=settings.reconnect_longest_wait,
        expiry=expiry,
        receive_maximum=receive_maximum,
        maximum_packet_size=maximum_packet_size,
        manual_acknowledgement=manual_acknowledgement,
        forgotten_on_leaving=forgotten_on_leaving,
        slowest_upload=settings.slowest_upload,
        quiet=quiet,
        will=will,
    )


def explain(error: OSError | ValueError, address: Address) -> SessionError:
    """Return what a person can do about a connection that did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in {_HOST_NAME_MISMATCH, _ADDRESS_MISMATCH}:
            return SessionError(
                f"the broker's certificate is not for {address.host}",
                hint="use a name that was given to `registrar init --host`",
                code="untrusted_broker",
            )
        return SessionError(
            f"the broker at {address} has a certificate of another authority",
            hint="do not go on; compare the fingerprint with what `registrar fingerprint` prints",
            code="untrusted_broker",
        )
    if isinstance(error, ssl.SSLError):
        return SessionError(
            f"no TLS 1.3 session with {address}",
            hint="check --port and --enrol-port: the members' door is 8883, the enrolment door 8884",
            code="no_tls",
        )
    if isinstance(error, socket.gaierror | ValueError):
        return SessionError(f"the host name {address.host!r} is not known", hint="check --broker", code="unknown_host")
    if isinstance(error, TimeoutError):
        return SessionError(
            f"the broker at {address} does not answer",
            hint="check --broker and the network",
            code="broker_silent",
        )
    return SessionError(
        f"no broker answers at {address}",
        hint="start it (registrar serve --with-broker), or check --broker, --port and --enrol-port",
        code="no_broker",
    )
