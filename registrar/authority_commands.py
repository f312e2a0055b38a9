"""The commands about the authority itself: fingerprint, renew, rotate, passphrase."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import certificates, console
from common.console import HomeOption, JsonOption, Printer, VerboseOption, option
from common.passphrases import NewPassphraseFileOption, PassphraseFileOption, Passphrases, RemoveOption
from common.settings import load_settings
from common.words import to_words
from registrar.archive_commands import DatabaseOption, database_url
from registrar.audit import AuditLog
from registrar.authority import ISSUING, read_root
from registrar.authority_files import read_certificates
from registrar.database import open_current
from registrar.ends import Reminder
from registrar.locking import encrypt_keys
from registrar.renewing import note_renewed
from registrar.renewing import renew as renew_certificates
from registrar.revocations import Revocations
from registrar.rotating import rotate as rotate_authority

if TYPE_CHECKING:
    import typer


def add_authority_commands(app: typer.Typer, default_home: Path) -> None:
    """Add fingerprint, renew, rotate and passphrase to the program."""

    @app.command()
    def fingerprint(
        *,
        words: Annotated[bool, option("--words", help="Print it in 24 words, to read aloud.")] = False,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Print the root's fingerprint, which members pin."""
        console.start_logging(verbose=verbose)
        root = read_root(home)
        pin = certificates.fingerprint(root)
        in_words = to_words(bytes.fromhex(pin))
        Printer(as_json=json).event(in_words if words else pin, event="fingerprint", fingerprint=pin, words=in_words)
        Reminder().remind(root, read_certificates(home / ISSUING)[0], console.now())

    @app.command()
    def renew(
        *,
        host: Annotated[
            list[str] | None,
            option(
                "--host",
                metavar="NAME",
                help="A name or address of the broker from now on, besides localhost; may be repeated.",
            ),
        ] = None,
        database: DatabaseOption = None,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Renew the certificates of broker and registrar now.

        A running registrar takes them over within seconds, and renews them by itself when it is time.
        """
        console.start_logging(verbose=verbose)
        settings, now, printer = load_settings(home), console.now(), Printer(as_json=json)
        read_root(home)
        # Opened first: without it nothing is renewed that nobody would find there.
        log = AuditLog(open_current(database_url(home, database)))
        renewed = renew_certificates(home, settings, now, hosts=host, passphrase=Passphrases(passphrase_file))
        note_renewed(log, renewed, now)
        for name, certificate in renewed.items():
            end = certificate.not_valid_after_utc
            printer.event(
                f"renewed    {name:9}  until {end:%Y-%m-%d %H:%M} UTC",
                event="renewed",
                certificate=name,
                expires_at=end.isoformat(),
            )

    @app.command()
    def rotate(
        *,
        root_key: Annotated[
            Path | None,
            option("--root-key", metavar="FILE", help="The file with the root's key, where it is kept elsewhere."),
        ] = None,
        distrust_former: Annotated[
            bool,
            option(
                "--distrust-former", help="Trust no earlier one, as where a key was stolen: every member logs in anew."
            ),
        ] = False,
        database: DatabaseOption = None,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Make a new issuing authority, beside the old one.

        A running registrar goes on with it within seconds.
        """
        console.start_logging(verbose=verbose)
        settings, now = load_settings(home), console.now()
        read_root(home)
        engine = open_current(database_url(home, database))
        issuing = rotate_authority(
            home,
            settings,
            now,
            root_key=root_key,
            distrust_former=distrust_former,
            passphrase=Passphrases(passphrase_file),
        ).issuing
        fingerprint, end = certificates.fingerprint(issuing[0]), issuing[0].not_valid_after_utc
        trusted = [certificates.fingerprint(one) for one in issuing]
        AuditLog(engine).add("rotated", None, now, certificate=fingerprint, expires_at=end.isoformat(), trusted=trusted)
        if distrust_former:
            Revocations(engine).supersede_all(now)
        name = issuing[0].subject.rfc4514_string().removeprefix("CN=")
        Printer(as_json=json).event(
            f"rotated    {name}, until {end:%Y-%m-%d}\n"
            f"Trusted beside it: {len(issuing) - 1}. Keep the root's key away from this machine."
            + (
                "\nRestart broker and registrar now: until then the broker goes by what it has read."
                if distrust_former
                else ""
            ),
            event="rotated",
            name=name,
            fingerprint=fingerprint,
            expires_at=end.isoformat(),
            trusted=len(issuing),
        )

    @app.command()
    def passphrase(
        *,
        new_passphrase_file: NewPassphraseFileOption = None,
        remove: RemoveOption = False,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Encrypt the registrar's keys with a new passphrase.

        It takes the place of today's, if there is one. The broker's key stays as it is.
        """
        console.start_logging(verbose=verbose)
        new = None if remove else Passphrases(new_passphrase_file).new("--new-passphrase-file")
        encrypted = encrypt_keys(home, Passphrases(passphrase_file), new)
        printer = Printer(as_json=json)
        for file in encrypted:
            outcome = "not encrypted any more" if remove else "encrypted with the new passphrase"
            printer.event(f"{file} is {outcome}", event="passphrase", file=file, encrypted=not remove)
