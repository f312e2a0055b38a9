"""The commands about what the registrar keeps: verify, backup, and the way back from a backup."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from common import console
from common.console import HomeOption, JsonOption, Printer, VerboseOption, option
from common.errors import SealcastError
from common.files import make_private_folder
from common.passphrases import PassphraseFileOption, Passphrases
from common.settings import load_settings
from registrar.archive import open_archive
from registrar.authority import Authority, is_unfinished, read_root
from registrar.backup import DATABASE, back_up, open_backup, restore
from registrar.catalogue import Catalogue
from registrar.database import open_current, open_database
from registrar.host_names import host_names
from registrar.making import refuse_initialised
from registrar.opening import open_handlers
from registrar.renewing import renew_broker
from registrar.running import Running
from registrar.verifying import Verification

if TYPE_CHECKING:
    from common.key_files import Passphrase
    from registrar.catalogue import Record
    from registrar.verifying import Fault

DatabaseOption = Annotated[
    str | None,
    option(
        "--database", metavar="URL", help="Where accounts are kept, a URL; a SQLite file in the folder unless said."
    ),
]
ArchiveOption = Annotated[
    str | None, option("--archive", metavar="URL", help="Where sealed images are kept; a folder here unless said.")
]


def add_archive_commands(app: typer.Typer, default_home: Path) -> None:
    """Add verify and backup to the program."""

    @app.command()
    def verify(
        *,
        repair: Annotated[bool, option("--repair", help="Mend what can be mended.")] = False,
        backup: Annotated[
            Path | None, option("--backup", metavar="FOLDER", help="A backup to take sound images from.")
        ] = None,
        database: DatabaseOption = None,
        archive: ArchiveOption = None,
        passphrase_file: PassphraseFileOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Compare every stored image with the catalogue.

        An image whose bytes have not the SHA-256 that was noted, or that is missing, is a fault.
        """
        console.start_logging(verbose=verbose)
        printer = Printer(as_json=json)
        settings = load_settings(home)
        authority = Authority.load(home, settings, Passphrases(passphrase_file))
        database_at = database_url(home, database)
        handlers = open_handlers(
            authority,
            database=database_at,
            archive=archive_url(home, archive),
            make_archive=_may_make(archive, Catalogue(open_current(database_at))),
        )
        # Images for members are held against the revocation list, and that of an old backup is out of date.
        if repair:
            Running(home, settings, handlers).issue_crls_when_due()
        verification = Verification(handlers, repair, open_backup(backup) if backup else None, console.now())
        faults = [report_fault(printer, fault) for fault in verification.faults()]
        unmended, lost = (sum(fault.mended == outcome for fault in faults) for outcome in (None, "taken_out"))
        found = f"faults: {len(faults)}, not mended: {unmended}, lost: {lost}" if faults else "no faults"
        if verification.young:
            found += f"; passed over as too young to tell: {verification.young}"
        printer.event(
            f"verified   {verification.images:,} images, {verification.bytes:,} bytes: {found}",
            event="verified",
            images=verification.images,
            bytes=verification.bytes,
            faults=len(faults),
            unmended=unmended,
            lost=lost,
            young=verification.young,
        )
        if unmended or lost:
            hint = (
                "run it with --repair, and with --backup FOLDER where there is a backup"
                if unmended
                else "post them again, who has them"
            )
            raise SealcastError(f"images are not as they should be: {unmended + lost}", hint=hint, code="damaged")

    @app.command("backup")
    def backup_command(
        folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.", metavar="FOLDER")],
        *,
        database: DatabaseOption = None,
        archive: ArchiveOption = None,
        home: HomeOption = default_home,
        json: JsonOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Copy authority, accounts and images into a folder.

        The registrar may serve meanwhile. The copy holds the authority's keys.
        """
        console.start_logging(verbose=verbose)
        printer = Printer(as_json=json)
        read_root(home)
        engine = open_current(database_url(home, database))
        store = open_archive(archive_url(home, archive), make=_may_make(archive, Catalogue(engine)))
        left_out = 0
        for record in back_up(home, engine, store, folder, console.now()):
            left_out += 1
            report_damaged(printer, record)
        printer.event(
            f"backed up to {folder}\nIt holds the authority's keys: keep it as safe as the registrar itself.",
            event="backed_up",
            folder=folder,
            left_out=left_out,
        )
        if left_out:
            raise SealcastError(
                f"images are missing or damaged, so they are not in the backup: {left_out}",
                hint="see `registrar verify`",
                code="damaged",
            )


def restore_from(
    folder: Path,
    home: Path,
    *,
    hosts: list[str],
    database: str | None,
    archive: str | None,
    passphrase: Passphrase,
    printer: Printer,
) -> Authority:
    """Make the registrar of a backup anew under ``home``; raises ConfigurationError where that cannot be.

    ``hosts`` are names of the broker on its new machine; without any it keeps its certificate.
    """
    open_backup(folder)
    refuse_initialised(home)
    make_private_folder(home)
    if is_unfinished(home):
        # An earlier try was interrupted; another database than the folder's own is for its owner to empty.
        for suffix in ("", "-wal", "-shm"):
            (home / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    engine = open_database(database_url(home, database))
    for record in restore(folder, home, engine, open_archive(archive_url(home, archive)), console.now()):
        report_damaged(printer, record)
    authority = Authority.load(home, load_settings(home), passphrase)
    if hosts:
        renew_broker(authority, host_names(hosts), console.now())
    return authority


def _may_make(archive: str | None, catalogue: Catalogue) -> bool:
    """Tell whether an archive that is not there is that in the folder of a registrar that has stored nothing yet."""
    return archive is None and catalogue.is_empty()


def report_fault(printer: Printer, fault: Fault) -> Fault:
    """Say what is wrong with an image, and what was done about it; return the fault."""
    outcome = fault.mended.replace("_", " ") if fault.mended else "not mended"
    printer.event(
        f"{fault.kind:9}  {fault.image_id}  of {fault.owner or 'nobody known'}: {outcome}",
        event="fault",
        kind=fault.kind,
        image_id=fault.image_id,
        owner=fault.owner,
        mended=fault.mended,
    )
    return fault


def report_damaged(printer: Printer, record: Record) -> None:
    """Say that an image is damaged, and so left out."""
    printer.event(
        f"left out   {record.image_id}  of {record.owner}: missing or damaged",
        event="left_out",
        image_id=record.image_id,
        owner=record.owner,
    )


def database_url(home: Path, url: str | None) -> str:
    """Return where the database is."""
    return url or f"sqlite:///{home / DATABASE}"


def archive_url(home: Path, url: str | None) -> str:
    """Return where the archive is."""
    return url or str(home / "archive")
