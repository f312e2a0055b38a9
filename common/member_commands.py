"""The commands that publisher and subscriber share: register and whoami, and how both open their session."""

from __future__ import annotations

import contextlib
import functools
import uuid
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from common import console, topics
from common.certificates import fingerprint
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
    option,
)
from common.errors import ConfigurationError
from common.identity import AUTHORITIES, CERTIFICATE, KEY, Identity
from common.registrar_client import RegistrarClient
from common.session import Session
from common.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# One folder serves publisher and subscriber, so each meets the other's options in its settings.toml.
SHARED_OPTIONS = frozenset(
    {"all", "caption", "channel", "cipher", "count", "expires", "inbox", "keep_metadata", "queue", "to"}
)

_KEY_SIZES = (2048, 3072, 4096)  # bits
_Arguments = ParamSpec("_Arguments")
_Parsed = TypeVar("_Parsed")


def parser(check: Callable[_Arguments, _Parsed]) -> Callable[_Arguments, _Parsed]:
    """Return ``check`` for an option or an argument: what it refuses with ConfigurationError is wrong usage."""

    @functools.wraps(check)
    def parse(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Parsed:
        try:
            return check(*arguments, **named)
        except ConfigurationError as error:
            raise typer.BadParameter(error.message) from error

    return parse


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
    typer.Argument(metavar="IMAGE-ID", parser=read_image_id, help="As post, outbox and list print it."),
]


@parser
def check_key_size(bits: int) -> int:
    """Return how many bits a new key is to have; raises typer.BadParameter."""
    if bits not in _KEY_SIZES:
        raise ConfigurationError(
            f"a key of {bits} bits is not possible", hint="use 2048, 3072 or 4096", code="invalid_key_size"
        )
    return bits


def add_member_commands(app: typer.Typer, default_home: Path) -> None:
    """Add register and whoami to a program."""

    @app.command()
    def register(
        user: Annotated[str, typer.Argument(help="The user name: small letters, digits, hyphens.")],
        *,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        enrol_port: EnrolPortOption = DEFAULT_ENROL_PORT,
        ca_fingerprint: Annotated[
            str | None, option("--ca-fingerprint", help="What `registrar fingerprint` prints.")
        ] = None,
        ca: Annotated[Path | None, option("--ca", help="The root certificate, PEM.")] = None,
        password_stdin: Annotated[bool, option("--password-stdin", help="Read the password from stdin.")] = False,
        key_size: Annotated[
            int, option("--key-size", help="RSA bits of a new key: 2048, 3072 or 4096.", callback=check_key_size)
        ] = 3072,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Register a new user, or log in as a known one on this device."""
        from common.enrolment import (  # noqa: PLC0415 - 40 ms that no other command needs
            Contact,
            enrol,
            parse_pin,
            read_root,
        )

        console.start_logging(verbose=verbose)
        root = read_root(ca) if ca else None
        pin = fingerprint(root) if root else parse_pin(_demand_pin(ca_fingerprint))
        if ca_fingerprint is not None and parse_pin(ca_fingerprint) != pin:
            raise ConfigurationError(
                f"{ca} is not the certificate authority with the fingerprint that was given, or is remembered",
                hint="give one of --ca and --ca-fingerprint; another authority's members have another --home",
                code="wrong_pin",
            )
        password = console.read_password(
            from_stdin=password_stdin, prompt="Password", confirm=not (home / CERTIFICATE).exists()
        )
        enrolled = enrol(
            home,
            user,
            password,
            Contact(Address(broker, enrol_port), pin, root),
            key_size=key_size,
            options=session_options(load_settings(home)),
            clock=console.now,
        )
        console.remember(home, broker=broker, port=port, enrol_port=enrol_port, ca_fingerprint=pin)
        _describe(Printer(as_json=json), enrolled.identity, "registered", enrolled.message)

    @app.command()
    def whoami(*, home: HomeOption = default_home, json: JsonOption = False, verbose: VerboseOption = False) -> None:
        """Show whose identity this folder holds."""
        console.start_logging(verbose=verbose)
        _describe(Printer(as_json=json), Identity.load(home, now=console.now()), "whoami", None)


@contextlib.contextmanager
def member_session(
    identity: Identity, door: Address, client_id: str, options: SessionOptions
) -> Iterator[tuple[Session, RegistrarClient]]:
    """Open a session at the members' door, trust brought up to date and the certificate renewed when due."""
    home = identity.home
    context = verified_context((home / AUTHORITIES).read_bytes(), home / CERTIFICATE, home / KEY)
    with Session(door, client_id, context, options) as session:
        registrar = RegistrarClient(session, identity, console.now)
        registrar.join()
        registrar.renew_when_due()
        yield session, registrar


def _demand_pin(ca_fingerprint: str | None) -> str:
    if ca_fingerprint is None:
        raise ConfigurationError(
            "there is no pin, so nobody could tell this broker from an impostor's",
            hint="ask who runs the registrar for the line that `registrar fingerprint` prints, "
            "and give it with --ca-fingerprint",
            code="no_pin",
        )
    return ca_fingerprint


def _describe(printer: Printer, identity: Identity, event: str, message: str | None) -> None:
    members = {
        "event": event,
        "user": identity.user,
        "fingerprint": fingerprint(identity.certificate),
        "not_after": identity.certificate.not_valid_after_utc.isoformat(),
        "home": str(identity.home.absolute()),
    }
    if message is not None:
        members["message"] = message
    heading = [message] if message else []
    lines = [f"user:        {members['user']}", f"fingerprint: {members['fingerprint']}"]
    lines += [f"valid until: {members['not_after']}", f"folder:      {members['home']}"]
    printer.event("\n".join(heading + lines), **members)
