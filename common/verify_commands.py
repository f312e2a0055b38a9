"""The command that publisher and subscriber share for knowing people: verify."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from common import console, topics
from common.certificates import check_member, fingerprint, key_fingerprint
from common.completion import offering
from common.confirming import YesOption  # noqa: TC001 - Typer reads the annotations at run time
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
    examples,
    option,
)
from common.device import demand_device
from common.errors import ConfigurationError, VerificationError
from common.identity import Identity
from common.member_commands import member_session
from common.option_values import parse_fingerprint, parser
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import load_settings
from common.verified import Standing, Verified
from common.words import SPOKEN_BYTES, from_words, spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509


def add_verify_commands(app: typer.Typer, default_home: Path) -> None:
    """Add verify to a program."""

    @app.command(epilog=examples(f"{app.info.name} verify bob", f"{app.info.name} verify --list"))
    def verify(
        context: typer.Context,
        user: Annotated[
            str | None,
            typer.Argument(
                metavar="USER",
                help="Whose devices to verify.",
                parser=parser(topics.check_user_name),
                autocompletion=offering("people"),
            ),
        ] = None,
        words: Annotated[
            list[str] | None, typer.Argument(help="The 12 words that whoami shows on one of them.", metavar="WORD")
        ] = None,
        *,
        fingerprint: Annotated[
            str | None,
            option(
                "--fingerprint",
                help="The fingerprint that whoami shows, in place of words.",
                parser=parser(parse_fingerprint),
            ),
        ] = None,
        list: Annotated[bool, option("--list", help="Show who is verified.")] = False,  # noqa: A002 - its name in settings
        forget: Annotated[bool, option("--forget", help="Forget what was verified of this user.")] = False,
        yes: YesOption = False,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Compare the words of a friend's devices, once.

        They are those that whoami shows there. From then on you are told when the friend has another device.
        """
        console.start_logging(verbose=verbose)
        printer = Printer(as_json=json)
        if user is None and (forget or not list):
            raise typer.BadParameter("name a user, or give --list alone", context)
        if list or forget or user is None:
            demand_device(home)
            _forget(home, user, printer) if forget and user else _show_verified(home, user, printer)
            return
        given = _read_given(words or [], fingerprint)
        identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
        client_id = identity.device.client_id("verifying", fresh=True)
        options = session_options(load_settings(home))
        with member_session(identity, Address(broker, port), client_id, options) as (_, registrar):
            devices, _registrar = registrar.members([user])
        for device in devices:
            _check(device, user, identity)
        with Verified(home) as verified:
            agreed = _choose(devices, user, given) if given else ask_person(devices, user, verified, printer, yes=yes)
            verified.add(agreed, console.now())
            others = [device for device in devices if verified.standing(device) is Standing.CHANGED]
        _tell(user, agreed, others, printer)


def _read_given(words: Sequence[str], certificate_fingerprint: str | None) -> str | None:
    """Return what was given to compare with: words, put right, or a fingerprint; raises ConfigurationError."""
    if not words:
        return certificate_fingerprint
    text = " ".join(words).lower()
    if len(from_words(text)) != SPOKEN_BYTES:
        raise ConfigurationError(
            "these are 24 words, and a device has 12",
            hint="give those that whoami shows; 24 are those of the registrar",
            code="invalid_words",
        )
    return " ".join(text.split())


def _check(device: x509.Certificate, user: str, identity: Identity) -> None:
    now = console.now()
    if check_member(device, identity.trust, at=now, now=now) != user:
        raise VerificationError(
            f"the certificate is not {user}'s", message="the registrar has named somebody else's device"
        )


def _choose(devices: Sequence[x509.Certificate], user: str, given: str) -> list[x509.Certificate]:
    """Return the device with these words, or this fingerprint; raises VerificationError where there is none."""
    chosen = [device for device in devices if given in {_words(device), fingerprint(device)}]
    if not chosen:
        raise VerificationError(
            f"no device of {user}'s is {given}",
            message=f"{user} has no device with {'these words' if ' ' in given else 'this fingerprint'}",
            hint="have whoami run there once more; if it shows the same again, somebody else may be certified in this "
            "name: ask whoever runs the registrar",
            code="unknown_device",
        )
    return chosen


def ask_person(
    devices: Sequence[x509.Certificate], user: str, verified: Verified, printer: Printer, *, yes: bool
) -> list[x509.Certificate]:
    """Return the devices, once a person has compared the words of those that are new; raises ConfigurationError."""
    for device in devices:
        standing = "known" if verified.standing(device) is Standing.VERIFIED else "new"
        printer.event(
            f"{standing:9}  {_words(device)}",
            event="device",
            user=user,
            words=_words(device),
            fingerprint=fingerprint(device),
            known=standing == "known",
        )
    if yes or all(verified.standing(device) is Standing.VERIFIED for device in devices):
        return list(devices)
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "there is no terminal to ask whether the words agree",
            hint=f"give the words that {user} reads to you, or --yes where you have compared them",
            code="unconfirmed",
        )
    question = f"Are these the words that whoami shows on {user}'s {'devices' if len(devices) > 1 else 'device'}?"
    if not typer.confirm(question, err=True):
        raise ConfigurationError(
            f"{user} is not verified",
            hint=f"give the words of one device to verify it; if one is not {user}'s, tell whoever runs the registrar",
            code="unconfirmed",
        )
    return list(devices)


def _tell(user: str, agreed: Sequence[x509.Certificate], others: Sequence[x509.Certificate], printer: Printer) -> None:
    lines = [f"verified   {user}: {_words(device)}" for device in agreed]
    lines += [f"not yet    {user}: {_words(device)}" for device in others]
    printer.event(
        "\n".join(lines),
        event="verified",
        user=user,
        words=[_words(device) for device in agreed],
        not_verified=[_words(device) for device in others],
    )


def _show_verified(home: Path, user: str | None, printer: Printer) -> None:
    with Verified(home, read_only=True) as verified:
        keys = [one for one in verified.entries() if user in {None, one.user}]
    for one in keys:
        printer.event(
            f"{one.at.astimezone():%Y-%m-%d %H:%M}  {one.user:16}  {spoken(one.key)}",
            event="verified_device",
            user=one.user,
            words=spoken(one.key),
            at=one.at.isoformat(),
        )
    if not keys:
        printer.remark("nobody is verified yet" if user is None else f"{user} is not verified")


def _forget(home: Path, user: str, printer: Printer) -> None:
    with Verified(home) as verified:
        if not verified.forget(user):
            raise ConfigurationError(f"{user} is not verified", hint="see who is: subscriber verify --list")
    printer.event(f"forgotten  {user}", event="forgotten", user=user)


def _words(device: x509.Certificate) -> str:
    return spoken(key_fingerprint(device))
