"""The commands that publisher and subscriber share: register, whoami, renew; and how both open their session."""

from __future__ import annotations

import contextlib
import sys
import uuid
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from common import console, topics
from common.certificates import fingerprint, key_fingerprint
from common.completion import offering
from common.connection import Address, SessionOptions, session_options, verified_context
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
    VerboseOption,
    examples,
    option,
)
from common.device import KEY, has_plain_key
from common.errors import ConfigurationError
from common.identity import AUTHORITIES, CERTIFICATE, Identity
from common.invitation import Invitation, read_code
from common.key_commands import KeySizeOption, add_key_commands
from common.option_values import demand_one_pin, parse_pin, parser
from common.passphrases import PassphraseFileOption, Passphrases
from common.passwords import read_password, use_password
from common.registrar_client import RegistrarClient
from common.session import Session
from common.settings import load_settings
from common.words import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

# One folder serves publisher and subscriber, so each meets the other's options in its settings.toml.
SHARED_OPTIONS = frozenset(
    {
        "all",
        "caption",
        "chain",
        "channel",
        "channels_by_folder",
        "cipher",
        "count",
        "device",
        "every_device",
        "exec",
        "expires",
        "follow",
        "gallery",
        "gallery_port",
        "inbox",
        "include_existing",
        "keep_metadata",
        "no_presence",
        "no_receipts",
        "output",
        "queue",
        "reason",
        "signature",
        "to",
        "yes",
    }
)

read_channel = parser(topics.check_channel)
read_channel_filter = parser(topics.check_channel_filter)


@parser
def read_image_id(text: str) -> uuid.UUID:
    """Return the image id that was given; raises typer.BadParameter."""
    image_id = topics.parse_image_id(text)
    if image_id is None:
        raise ConfigurationError(f"{text!r} cannot be an image id", hint="give it as post, outbox and list print it")
    return image_id


ImageIdArgument = Annotated[
    uuid.UUID,
    typer.Argument(
        metavar="IMAGE-ID",
        parser=read_image_id,
        help="As post, outbox and list print it.",
        autocompletion=offering("images"),
    ),
]


def add_member_commands(app: typer.Typer, default_home: Path) -> None:
    """Add register, whoami, renew and passphrase to a program."""

    @app.command(epilog=examples(f"{app.info.name} register bob --invite -"))
    def register(
        context: typer.Context,
        user: Annotated[str, typer.Argument(metavar="USER", help="The user name: small letters, digits, hyphens.")],
        *,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        enrol_port: EnrolPortOption = DEFAULT_ENROL_PORT,
        ca_fingerprint: Annotated[
            str | None, option("--ca-fingerprint", help="The registrar's pin: what `registrar fingerprint` prints.")
        ] = None,
        ca: Annotated[Path | None, option("--ca", metavar="FILE", help="The root certificate, PEM.")] = None,
        invite: Annotated[
            str | None,
            option("--invite", metavar="LINE", help="The line that `registrar invite` prints; - asks for it."),
        ] = None,
        code: Annotated[
            str | None, option("--code", help="What `registrar reset` prints, to set a new password; - asks for it.")
        ] = None,
        password_stdin: Annotated[bool, option("--password-stdin", help="Read the password from stdin.")] = False,
        key_size: KeySizeOption = 3072,
        with_passphrase: Annotated[
            bool, option("--with-passphrase", help="Encrypt the new key with a passphrase.")
        ] = False,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Register a new user, or log in as one on this device."""
        from common.enrolment import (  # noqa: PLC0415 - 40 ms that no other command needs
            Contact,
            Enrolment,
            check_place,
            enrol,
            read_root,
        )

        console.start_logging(verbose=verbose)
        invitation = _read_invitation(context, invite)
        if invitation is not None:
            broker, port, enrol_port = invitation.broker, invitation.port, invitation.enrol_port
        token = invitation.token if invitation else code and read_code(_given_or_read(code, "Code"))
        root = read_root(ca) if ca else None
        pins = {parse_pin(ca_fingerprint)} if ca_fingerprint is not None else set()
        pins |= {fingerprint(root)} if root else set()
        pins |= {invitation.pin} if invitation else set()
        pin = demand_one_pin(pins)
        check_place(home, user)  # before a password is typed for nothing
        passphrases = Passphrases(passphrase_file)
        new_passphrase = _new_passphrase(home, passphrases) if with_passphrase else None

        def enrol_with(password: str) -> Enrolment:
            return enrol(
                home,
                user,
                password,
                Contact(Address(broker, enrol_port), pin, root),
                token=token,
                key_size=key_size,
                passphrase=passphrases,
                new_passphrase=new_passphrase,
                options=session_options(load_settings(home)),
                clock=console.now,
            )

        is_new = code is not None or not (home / CERTIFICATE).exists()
        enrolled = use_password(enrol_with, from_stdin=password_stdin, confirm=is_new)
        console.remember(home, broker=broker, port=port, enrol_port=enrol_port, ca_fingerprint=pin)
        _describe(Printer(as_json=json), enrolled.identity, "registered", enrolled.message)

    @app.command()
    def whoami(
        *,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Show whose identity this folder holds.

        Fails where its certificate has expired.
        """
        console.start_logging(verbose=verbose)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        _describe(Printer(as_json=json), identity, "whoami", None)
        identity.demand_current(console.now())

    @app.command()
    def renew(
        *,
        new_key: Annotated[
            bool, option("--new-key", help="Make a new key; the old one still opens what it did.")
        ] = False,
        key_size: KeySizeOption = 3072,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Renew this device's certificate now.

        It is renewed without being asked once two thirds of its life are over.
        """
        console.start_logging(verbose=verbose)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        client_id = identity.device.client_id("renewing", fresh=True)
        options = session_options(load_settings(home))
        with member_session(identity, Address(broker, port), client_id, options) as (_, registrar):
            registrar.renew(identity.next_key(key_size) if new_key else None)
        _describe(Printer(as_json=json), identity, "renewed", "Certificate renewed")

    add_key_commands(app, default_home)


@contextlib.contextmanager
def member_session(
    identity: Identity, door: Address, client_id: str, options: SessionOptions
) -> Iterator[tuple[Session, RegistrarClient]]:
    """Open a session at the members' door, trust brought up to date and the certificate renewed when due.

    Raises ConfigurationError, ``certificate_expired``, where it is too late for that.
    """
    identity.demand_current(console.now())
    context = verified_context((identity.home / AUTHORITIES).read_bytes(), *identity.credentials)
    with Session(door, client_id, context, options) as session:
        registrar = RegistrarClient(session, identity, console.now)
        registrar.join()
        registrar.renew_when_due()
        yield session, registrar


def _read_invitation(context: typer.Context, given: str | None) -> Invitation | None:
    """Return the invitation that was given; what else was given, and does not agree with it, is wrong usage."""
    if given is None:
        return None
    if context.params["code"] is not None:
        raise typer.BadParameter("--invite and --code are not given together", context)
    invitation = Invitation.read(_given_or_read(given, "Invitation"))
    for name in ("broker", "port", "enrol_port"):
        source = context.get_parameter_source(name)
        is_explicit = source is not None and source.name in {"COMMANDLINE", "ENVIRONMENT"}
        if is_explicit and context.params[name] != getattr(invitation, name):
            raise typer.BadParameter(
                f"--{name.replace('_', '-')} is not what the invitation says, {getattr(invitation, name)}", context
            )
    return invitation


def _new_passphrase(home: Path, passphrases: Passphrases) -> bytes | None:
    """Return the passphrase for the key that is made now, or None where there is an encrypted one already."""
    if has_plain_key(home):
        raise ConfigurationError(
            f"the key in {home} has no passphrase",
            hint="set one first: publisher passphrase",
            code="key_exists",
        )
    return None if (home / KEY).exists() else passphrases.new()


def _given_or_read(text: str, prompt: str) -> str:
    """Return what was given, or for ``-`` what is typed or stands on the next line of stdin."""
    if text != "-":
        return text
    return read_password(from_stdin=not sys.stdin.isatty(), prompt=prompt, confirm=False)


def _describe(printer: Printer, identity: Identity, event: str, message: str | None) -> None:
    own, words = fingerprint(identity.certificate), spoken(key_fingerprint(identity.certificate))
    end, home = identity.certificate.not_valid_after_utc.isoformat(), identity.home.absolute()
    heading = [message] if message else []
    lines = [f"user:        {identity.user}", f"fingerprint: {own}", f"words:       {words}"]
    lines += [f"valid until: {end}", f"folder:      {home}"]
    printer.event(
        "\n".join(heading + lines),
        event=event,
        user=identity.user,
        fingerprint=own,
        words=words,
        not_after=end,
        home=home,
        **({"message": message} if message else {}),
    )
