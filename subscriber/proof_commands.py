"""The commands about proofs: proof makes one, verify-proof explains one."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common import console, topics
from common.certificates import fingerprint, key_fingerprint
from common.completion import offering
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
from common.decoder import Decoder
from common.device import demand_device
from common.errors import ConfigurationError, ImageError, SessionError, VerificationError
from common.files import make_private_folder
from common.identity import AUTHORITIES, Identity, trust_in
from common.images import read_image_file
from common.member_commands import member_session
from common.option_values import parse_pin
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import load_settings
from common.verified import Standing, Verified
from common.words import spoken
from subscriber.examining import Finding, examine
from subscriber.ledger import SAVED, Entry, Ledger
from subscriber.obtaining import Obtainer
from subscriber.proof import CHAIN, SIGNATURE, fetch_signature, make_proof, write_proof

if TYPE_CHECKING:
    from common.settings import Settings

_LARGEST_SIGNATURE, _LARGEST_CHAIN = 1 << 20, 16 << 20  # bytes: of 1,024 recipients, of 100,000 who are revoked
_KNOWN = {
    Standing.VERIFIED: ", which you have verified",
    Standing.CHANGED: ", which you have not verified, and others of this user you have",
    Standing.UNKNOWN: "",
}


def add_proof_commands(app: typer.Typer, default_home: Path) -> None:
    """Add proof and verify-proof to the program."""

    @app.command(epilog=examples("subscriber proof ~/Pictures/kyle.png --output ~/for-dora"))
    def proof(
        image: Annotated[
            str,
            typer.Argument(
                metavar="IMAGE",
                help="An image id as list prints it, or a saved file.",
                autocompletion=offering("images"),
            ),
        ],
        *,
        output: Annotated[
            Path | None, option("--output", metavar="FOLDER", help="A folder for the proof and a copy of the image.")
        ] = None,
        broker: BrokerOption = DEFAULT_BROKER,
        port: PortOption = DEFAULT_PORT,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Prove to others who has signed an image.

        Writes a signature and a chain beside the saved file.
        """
        console.start_logging(verbose=verbose)
        demand_device(home)
        settings = load_settings(home)
        with Ledger(home) as ledger:
            entry = _find(image, ledger)
            if entry.path is not None and ledger.signature(entry.owner, entry.image_id) is None:
                identity = Identity.load(home, Passphrases(passphrase_file), now=console.now())
                _fetch_signature(entry, ledger, identity, Address(broker, port), settings)
            made = make_proof(entry, ledger, trust_in(home), maximum_size=settings.maximum_image_size)
        folder = made.path.parent if output is None else make_private_folder(output.absolute())
        signature, chain = write_proof(made, folder, with_image=output is not None)
        path = folder / made.name
        Printer(as_json=json).event(
            f"proof      {signature}\n           {chain}\n"
            f"Give both away with {path.name}. To check them, and to read what they show:\n"
            f"  subscriber verify-proof {shlex.quote(str(path))}\nor without Sealcast:\n  {made.command(folder)}",
            event="proof",
            image_id=entry.image_id,
            owner=entry.owner,
            path=path,
            signature=signature,
            chain=chain,
            command=made.command(folder),
        )

    @app.command("verify-proof", epilog=examples("subscriber verify-proof ~/for-dora/kyle.png"))
    def verify_proof(
        context: typer.Context,
        file: Annotated[Path, typer.Argument(metavar="FILE", help="The image that somebody gave you.")],
        *,
        signature: Annotated[
            Path | None,
            option("--signature", metavar="FILE", help="Its signature; the file's name and .p7s unless said."),
        ] = None,
        chain: Annotated[
            Path | None,
            option("--chain", metavar="FILE", help="Its chain; the file's name and .chain.pem unless said."),
        ] = None,
        ca_fingerprint: Annotated[
            str | None, option("--ca-fingerprint", help="The registrar's pin: what `registrar fingerprint` prints.")
        ] = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Say who has signed an image, and what that shows.

        Fails where it shows nothing.
        """
        console.start_logging(verbose=verbose)
        pin = None if ca_fingerprint is None else parse_pin(ca_fingerprint)
        source = context.get_parameter_source("ca_fingerprint")
        is_own = source is not None and source.name == "DEFAULT_MAP"
        trust = trust_in(home) if (home / AUTHORITIES).exists() else None
        own_crls = trust.crls if trust is not None and fingerprint(trust.root) == pin else ()
        finding = examine(
            _read_image(file, load_settings(home)),
            _read(signature or file.with_name(file.name + SIGNATURE), "--signature", _LARGEST_SIGNATURE),
            _read(chain or file.with_name(file.name + CHAIN), "--chain", _LARGEST_CHAIN),
            pin=pin,
            crls=own_crls,
        )
        with Verified(home, read_only=True) as verified:
            standing = verified.standing(finding.signer)
        tell(finding, Printer(as_json=json), pin=pin, is_own=is_own, standing=standing)


def tell(finding: Finding, printer: Printer, *, pin: str | None, is_own: bool, standing: Standing) -> None:
    """Print what a proof shows, and what it does not; raises VerificationError where that does not count.

    ``is_own`` says that the pin is the device's, and ``standing`` whether its member has verified the signer's.
    """
    header, signer, revocation = finding.header, finding.signer, finding.revocation
    audience = "every member" if header.audience == "members" else "the people that the owner has named"
    if pin is None:
        vouching = "which anybody could have made"
    else:
        vouching = "which this device has pinned" if is_own else "as you have given it"
    if revocation is not None:
        revoked = _time(revocation.revocation_date_utc)
    elif finding.crl is not None:
        revoked = f"no, as of {_time(finding.crl.last_update_utc)}"
    else:
        revoked = "not known, since no revocation list came with it"
    rows = {
        "signed by": header.owner,
        "device": spoken(key_fingerprint(signer)) + _KNOWN[standing],
        "certificate": fingerprint(signer),
        "valid": f"{_time(signer.not_valid_before_utc)} to {_time(signer.not_valid_after_utc)}",
        "revoked": revoked,
        "authority": f"{fingerprint(finding.root)}, {vouching}",
        "image": f"{header.name}, {header.width} x {header.height} pixels, {header.size:,} bytes",
        "image id": header.image_id,
        "caption": header.caption or "none",
        "channel": finding.channel,
        "for": f"{audience}; certificates that it is encrypted to: {len(header.recipients)}",
        "sent": f"{_time(header.sent_at)}, by the owner's own clock",
    }
    lines = [f"{name + ':':13}{value}" for name, value in rows.items()]
    lines += [f"This does not show when {header.owner} signed, since that time is {header.owner}'s word, nor who has"]
    lines += ["received the image, nor who has made it."]
    printer.event(
        "\n".join(lines),
        event="proof",
        valid=pin is not None and not finding.is_signed_by_a_revoked_key,
        owner=header.owner,
        words=spoken(key_fingerprint(signer)),
        fingerprint=fingerprint(signer),
        authority=fingerprint(finding.root),
        pinned=pin is not None,
        verified_owner=standing,
        revoked_at=revocation and revocation.revocation_date_utc.isoformat(),
        revocations_of=None if finding.crl is None else finding.crl.last_update_utc.isoformat(),
        header=header.model_dump(mode="json"),
    )
    if pin is None:
        raise VerificationError(
            "no pin",
            message="anybody can make such an authority, so this does not show who has signed",
            hint="ask somebody you trust for what `registrar fingerprint` prints, and give it with --ca-fingerprint",
            code="no_pin",
        )
    if finding.is_signed_by_a_revoked_key:
        raise VerificationError(
            "the certificate is revoked",
            message=f"the certificate was revoked on {revoked}, so {header.owner} need not be who has signed",
            hint="ask whoever gave you the image when it came, and whoever runs the registrar why it was revoked",
            code="revoked",
        )


def _time(time: dt.datetime) -> str:
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _find(image: str, ledger: Ledger) -> Entry:
    """Return the entry of the image with this id, or of the one that was saved to this path."""
    image_id = topics.parse_image_id(image)
    path = Path(image).absolute()
    entries = ledger.entries(image_id) if image_id else [entry for entry in ledger.entries() if entry.path == path]
    saved = [entry for entry in entries if entry.outcome == SAVED and not entry.is_replaced]
    if len(saved) != 1:
        what = "several owners' images have this id" if saved else f"no image was saved here as {image}"
        raise ConfigurationError(what, hint="give the id, or the file, that `subscriber list` shows", code="no_proof")
    return saved[0]


def _fetch_signature(entry: Entry, ledger: Ledger, identity: Identity, door: Address, settings: Settings) -> None:
    client_id = identity.device.client_id("fetching", fresh=True)
    try:
        with (
            Decoder(settings) as decoder,
            member_session(identity, door, client_id, session_options(settings)) as (_, registrar),
        ):
            obtainer = Obtainer(
                identity,
                registrar,
                inspect=decoder.inspect,
                settings=settings,
                clock=console.now,
                seen=lambda *_: False,
            )
            fetch_signature(entry, ledger, obtainer)
    except SessionError as error:
        hint = f"the signature was not kept when the image was saved, so the archive is needed; {error.hint}"
        raise SessionError(error.message, hint=hint, code=error.code) from error


def _read_image(file: Path, settings: Settings) -> bytes:
    try:
        return read_image_file(file, maximum_bytes=settings.maximum_image_size)
    except ImageError as error:
        hint = "name the image that the proof is for"
        raise ImageError(f"{file}: {error.message}", hint=hint, code=error.code) from error


def _read(file: Path, option_name: str, maximum_bytes: int) -> bytes:
    try:
        return read_image_file(file, maximum_bytes=maximum_bytes)
    except ImageError as error:
        hint = f"it is made by subscriber proof; where it has another name, give it with {option_name}"
        raise ConfigurationError(f"{file}: {error.message}", hint=hint, code=error.code) from error
