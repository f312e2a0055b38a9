"""The commands about the authority itself: fingerprint, renew, rotate."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

from common import certificates, console
from common.console import HomeOption, JsonOption, Printer, VerboseOption, option
from common.settings import load_settings
from registrar.authority import BROKER, Authority
from registrar.authority_files import read_certificates
from registrar.renewing import renew as renew_certificates
from registrar.rotating import rotate as rotate_authority

if TYPE_CHECKING:
    import typer


def add_authority_commands(app: typer.Typer, default_home: Path) -> None:
    """Add fingerprint, renew and rotate to the program."""

    @app.command()
    def fingerprint(
        *, home: HomeOption = default_home, json: JsonOption = False, verbose: VerboseOption = False
    ) -> None:
        """Print the root's fingerprint, which members pin."""
        console.start_logging(verbose=verbose)
        pin = certificates.fingerprint(Authority.load(home, load_settings(home)).root)
        Printer(as_json=json).event(pin, event="fingerprint", fingerprint=pin)

    @app.command()
    def renew(
        *,
        host: Annotated[
            list[str] | None,
            option("--host", help="A name or address of the broker from now on, besides localhost; may be repeated."),
        ] = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Renew the certificates of broker and registrar now; a running registrar takes them over within seconds."""
        console.start_logging(verbose=verbose)
        authority = renew_certificates(home, load_settings(home), console.now(), hosts=host)
        registrar, broker = authority.registrar[0], read_certificates(home / BROKER)[0]
        ends = {"registrar": registrar.not_valid_after_utc, "broker": broker.not_valid_after_utc}
        printer = Printer(as_json=json)
        for name, end in ends.items():
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
            Path | None, option("--root-key", help="The file with the root's key, where it is kept elsewhere.")
        ] = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Make a new issuing authority, beside the old; a running registrar goes on with it within seconds."""
        console.start_logging(verbose=verbose)
        issuing = rotate_authority(home, load_settings(home), console.now(), root_key=root_key).issuing
        end = issuing[0].not_valid_after_utc
        name = issuing[0].subject.rfc4514_string().removeprefix("CN=")
        Printer(as_json=json).event(
            f"rotated    {name}, until {end:%Y-%m-%d}\n"
            f"Trusted beside it: {len(issuing) - 1}. Keep the root's key away from this machine.",
            event="rotated",
            name=name,
            fingerprint=certificates.fingerprint(issuing[0]),
            expires_at=end.isoformat(),
            trusted=len(issuing),
        )
