"""The command that lists the members and their devices: members."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING

from common import console
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
from publisher.people import find_people
from publisher.reporting import SHOWN_DIGITS, local_time

if TYPE_CHECKING:
    import typer

    from publisher.people import Device, Person


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
            people = find_people(session, registrar, identity, console.now())
        printer = Printer(as_json=json)
        for person in people:
            _show_member(person, printer)


def _show_member(person: Person, printer: Printer) -> None:
    last_seen = person.last_seen
    state = "online" if person.is_online else f"last seen {local_time(last_seen)}" if last_seen else ""
    printer.event(
        f"{person.user:32}  {state}".rstrip(),
        event="member",
        user=person.user,
        devices=len(person.devices),
        online=person.is_online,
        last_seen=last_seen and last_seen.isoformat(),
    )
    for device in person.devices:
        _show_device(person.user, device, printer)


def _show_device(user: str, device: Device, printer: Printer) -> None:
    fingerprint, presence = device.fingerprint, device.presence
    begin, end = device.certificate.not_valid_before_utc, device.certificate.not_valid_after_utc
    last_seen = presence.last_seen if presence else None
    printer.event(
        f"  device {fingerprint[:SHOWN_DIGITS]}  until {end:%Y-%m-%d}{f'  {presence.state}' if presence else ''}",
        event="device",
        user=user,
        fingerprint=fingerprint,
        issued_at=begin.isoformat(),
        expires_at=end.isoformat(),
        presence=presence and presence.state,
        last_seen=last_seen and last_seen.isoformat(),
    )
