"""The command with which members shut out devices of their own: revoke."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import Annotated

import typer

from common import console
from common.certificates import fingerprint
from common.confirming import YesOption, demand_consent
from common.connection import Address
from common.console import (
    DEFAULT_BROKER,
    DEFAULT_PORT,
    BrokerOption,
    HomeOption,
    JsonOption,
    PortOption,
    Printer,
    VerboseOption,
    option,
)
from common.identity import Identity
from common.messages import OwnReason  # noqa: TC001 - Typer reads the annotations at run time
from common.option_values import parse_fingerprint, parser
from common.passphrases import PassphraseFileOption, Passphrases
from publisher.account_commands import reach_registrar


def add_revocation_commands(app: typer.Typer, default_home: Path) -> None:
    """Add revoke to the program."""

    @app.command()
    def revoke(
        context: typer.Context,
        *,
        device: Annotated[
            str | None,
            option(
                "--device",
                help="Another device of yours, by its fingerprint.",
                metavar="FINGERPRINT",
                parser=parser(parse_fingerprint),
            ),
        ] = None,
        every_device: Annotated[bool, option("--every-device", help="This device and all others of yours.")] = False,
        reason: Annotated[
            OwnReason, option("--reason", metavar=None, help="Why; key-compromise where it was lost or stolen.")
        ] = "cessation-of-operation",
        yes: YesOption = False,
        passphrase_file: PassphraseFileOption = None,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Shut a device of yours out, this one or another.

        To come back, log in with your password.
        """
        if device is not None and every_device:
            raise typer.BadParameter("--device and --every-device are not given together", context)
        console.start_logging(verbose=verbose)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        which = "all your devices" if every_device else f"the device {device}" if device else "this device"
        demand_consent(f"Shut {which} out?", yes=yes)
        with reach_registrar(identity, Address(broker, port)) as registrar:
            wanted = None if every_device else device or fingerprint(identity.certificate)
            revoked = registrar.revoke(wanted, reason)
        Printer(as_json=json).event(
            f"revoked    {which} of {identity.user}: {reason}",
            event="revoked",
            user=identity.user,
            reason=reason,
            certificates=revoked.certificates,
        )
