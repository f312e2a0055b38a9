"""The command that lists the members and their devices: members."""

from __future__ import annotations

import itertools
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING

from common import certificates, console
from common.connection import Address, session_options
from common.console import (
    DEFAULT_BROKER,
    DEFAULT_PORT,
    BrokerOption,
    HomeOption,
    JsonOption,
    PortOption,
    Printer,
    VerboseOption,
)
from common.identity import Identity
from common.member_commands import member_session
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import PACKET_MARGIN, load_settings
from publisher.people import find_devices
from publisher.reporting import SHOWN_DIGITS, local_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

    from publisher.people import Device


def add_people_command(app: typer.Typer, default_home: Path) -> None:
    """Add members to the program."""

    @app.command()
    def members(
        *,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """List the members, their devices, and who is online."""
        console.start_logging(verbose=verbose)
        settings = load_settings(home)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        client_id = identity.device.client_id("people", fresh=True)
        # What a member may have put on a topic of its own is no larger than this, or it does not come.
        options = session_options(settings, maximum_packet_size=PACKET_MARGIN)
        with member_session(identity, Address(broker, port), client_id, options) as (session, registrar):
            devices = find_devices(session, registrar, identity, console.now())
        printer = Printer(as_json=json)
        for user, theirs in itertools.groupby(devices, key=lambda device: device.user):
            _show_member(user, list(theirs), printer)


def _show_member(user: str, devices: Sequence[Device], printer: Printer) -> None:
    is_online = any(device.presence and device.presence.state == "online" for device in devices)
    seen = [device.presence.last_seen for device in devices if device.presence and device.presence.last_seen]
    last_seen = None if is_online else max(seen, default=None)
    state = "online" if is_online else f"last seen {local_time(last_seen)}" if last_seen else ""
    printer.event(
        f"{user:32}  {state}".rstrip(),
        event="member",
        user=user,
        devices=len(devices),
        online=is_online,
        last_seen=last_seen and last_seen.isoformat(),
    )
    for device in devices:
        _show_device(device, printer)


def _show_device(device: Device, printer: Printer) -> None:
    fingerprint, presence = certificates.fingerprint(device.certificate), device.presence
    begin, end = device.certificate.not_valid_before_utc, device.certificate.not_valid_after_utc
    last_seen = presence.last_seen if presence else None
    printer.event(
        f"  device {fingerprint[:SHOWN_DIGITS]}  until {end:%Y-%m-%d}{f'  {presence.state}' if presence else ''}",
        event="device",
        user=device.user,
        fingerprint=fingerprint,
        issued_at=begin.isoformat(),
        expires_at=end.isoformat(),
        presence=presence and presence.state,
        last_seen=last_seen and last_seen.isoformat(),
    )
