"""The `registrar` command: init, serve, fingerprint, and those of the modules …_commands."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import Annotated

from common import certificates, console
from common.connection import Address
from common.console import (
    DEFAULT_BROKER,
    DEFAULT_ENROL_PORT,
    DEFAULT_PORT,
    BrokerOption,
    EnrolPortOption,
    HomeOption,
    JsonOption,
    PortOption,
    Printer,
    Stop,
    VerboseOption,
    examples,
    option,
)
from common.passphrases import PassphraseFileOption, Passphrases
from common.readiness import Readiness
from common.settings import load_settings
from registrar import authority
from registrar.account_commands import add_account_commands
from registrar.archive_commands import (
    ArchiveOption,
    DatabaseOption,
    add_archive_commands,
    archive_url,
    database_url,
    restore_from,
)
from registrar.audit_commands import add_audit_commands
from registrar.authority_commands import add_authority_commands
from registrar.broker import Doors, run_broker
from registrar.deletion_commands import add_deletion_commands
from registrar.making import create, refuse_initialised
from registrar.member_commands import add_member_commands
from registrar.revocation_commands import add_revocation_commands
from registrar.running import Running

PROGRAM = "registrar"
HOME = console.default_home(PROGRAM)
app = console.make_app("Look after members: certify, store and announce.", PROGRAM)


@app.command(epilog=examples("registrar init", "registrar init --host images.example.org --host 192.0.2.7"))
def init(
    *,
    host: Annotated[
        list[str] | None,
        option("--host", metavar="NAME", help="A name or address of the broker besides localhost; may be repeated."),
    ] = None,
    from_backup: Annotated[
        Path | None,
        option("--from-backup", metavar="FOLDER", help="Make it anew from what `registrar backup` has written."),
    ] = None,
    database: DatabaseOption = None,
    archive: ArchiveOption = None,
    with_passphrase: Annotated[
        bool, option("--with-passphrase", help="Encrypt the keys of the authority and the registrar with a passphrase.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make the certificate authority, before anything else.

    It signs certificates for the broker and the registrar too, and is made once: nothing is overwritten.
    """
    console.start_logging(verbose=verbose)
    printer = Printer(as_json=json)
    passphrases = Passphrases(passphrase_file)
    if from_backup is None:
        refuse_initialised(home)
        made = create(
            home,
            hosts=host or [],
            settings=load_settings(home),
            now=console.now(),
            passphrase=passphrases.new() if with_passphrase else None,
        )
    else:
        made = restore_from(
            from_backup,
            home,
            hosts=host or [],
            database=database,
            archive=archive,
            passphrase=passphrases,
            printer=printer,
        )
    # Where they are is known to every later command.
    if places := {name: value for name, value in (("database", database), ("archive", archive)) if value}:
        console.remember(home, **places)
    fingerprint = certificates.fingerprint(made.root)
    printer.event(
        f"{'restored' if from_backup else 'made'} the certificate authority in {home}\n"
        f"fingerprint: {fingerprint}\n"
        f"Members need this fingerprint to register. The root's key, {home / authority.ROOT_KEY}, can be moved away.",
        event="initialised",
        fingerprint=fingerprint,
        home=home,
    )


@app.command(epilog=examples("registrar serve --with-broker", "registrar serve --with-broker --listen 0.0.0.0"))
def serve(
    *,
    with_broker: Annotated[bool, option("--with-broker", help="Start mosquitto as a child process.")] = False,
    listen: Annotated[str, option("--listen", metavar="ADDRESS", help="Where the child broker listens.")] = "127.0.0.1",
    broker: BrokerOption = DEFAULT_BROKER,
    port: PortOption = DEFAULT_PORT,
    enrol_port: EnrolPortOption = DEFAULT_ENROL_PORT,
    database: DatabaseOption = None,
    archive: ArchiveOption = None,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Serve requests until stopped.

    Checks passwords, signs certificates, stores images and announces them.
    """
    console.start_logging(verbose=verbose)
    stop, readiness = Stop(), Readiness()
    settings = load_settings(home)
    running = Running.prepare(
        home,
        settings,
        database=database_url(home, database),
        archive=archive_url(home, archive),
        passphrase=Passphrases(passphrase_file),
    )
    printer = Printer(as_json=json)
    fingerprint = certificates.fingerprint(running.handlers.authority.root)
    with contextlib.ExitStack() as stack:
        if with_broker:
            running.broker = stack.enter_context(run_broker(home, Doors(listen, port, enrol_port)))
        service = stack.enter_context(running.connect(Address(broker, port)))
        line = f"ready: serving on {broker}:{port}, fingerprint {fingerprint}"
        readiness.announce(printer, line, fingerprint=fingerprint)
        running.serve(service, stop)


add_authority_commands(app, HOME)
add_archive_commands(app, HOME)
add_member_commands(app, HOME)
add_account_commands(app, HOME)
add_revocation_commands(app, HOME)
add_deletion_commands(app, HOME)
add_audit_commands(app, HOME)


def main() -> None:
    """Run the command line."""
    console.run(app, PROGRAM)


if __name__ == "__main__":
    main()
