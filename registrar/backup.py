"""Backups: a folder with the authority, the database and every image, checked while it is copied; and the way back.

The database is copied first, as it is at one moment, and then the images that it names: so each of them is there, but
for what is removed meanwhile. The registrar may serve all the while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.device import DEVICE_SECRET
from common.errors import ConfigurationError
from common.files import make_private_folder, reason, write_private
from common.settings import SETTINGS_FILE
from registrar import authority
from registrar.archive import FolderArchive
from registrar.catalogue import Catalogue, Removal
from registrar.making import making
from registrar.snapshot import demand_empty, restore_snapshot, write_snapshot
from registrar.verifying import whole_image

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from registrar.archive import Archive
    from registrar.catalogue import Record

ARCHIVE, DATABASE = "archive", "registrar.sqlite3"
_PLACES = (b"archive", b"database")  # the settings that say where these are
_COMPLETE = "complete"  # written last: a backup without it is none
_ALWAYS = (
    authority.ROOT,
    authority.ISSUING,
    authority.REGISTRAR,
    authority.REGISTRAR_KEY,
    authority.BROKER,
    authority.BROKER_KEY,
    authority.BROKER_AUTHORITIES,
    authority.BROKER_CRL,
)
# The root's key may be kept elsewhere; the others come with the first use.
_SOMETIMES = (authority.ROOT_KEY, authority.REGISTRAR_FORMER, DEVICE_SECRET, SETTINGS_FILE)


def back_up(home: Path, engine: Engine, archive: Archive, folder: Path, now: dt.datetime) -> Iterator[Record]:
    """Write a backup into ``folder``, which must not be there yet; yields each image that could not be copied.

    Raises ConfigurationError where the folder cannot be written, RefusedError where database or archive fail.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already", hint="name a new folder", code="unwritable")
    copy = FolderArchive(make_private_folder(folder) / ARCHIVE)
    _copy_files(home, folder)
    snapshot = write_snapshot(engine, folder / DATABASE)
    try:
        for record in _copy_images(Catalogue(snapshot), archive, copy, now):
            if Catalogue(engine).get(record.image_id) is not None:
                yield record
    finally:
        snapshot.dispose()
    write_private(folder / _COMPLETE, now.isoformat().encode() + b"\n")


def restore(folder: Path, home: Path, engine: Engine, archive: Archive, now: dt.datetime) -> Iterator[Record]:
    """Make the registrar of a backup anew under ``home``; yields each image that is damaged in the backup.

    Where the old one kept its database and its archive is not taken over: they may be another's by now.

    Raises ConfigurationError where ``folder`` holds no complete backup, or something is in the way.
    """
    backup = open_backup(folder)
    # Before anything is marked as begun: nobody's database is ever taken for what an interrupted try has left.
    demand_empty(engine)
    with making(home):
        restore_snapshot(folder / DATABASE, engine, now)
        yield from _copy_images(Catalogue(engine), backup, archive, now)
        _copy_files(folder, home)
        _forget_places(home / SETTINGS_FILE)


def open_backup(folder: Path) -> FolderArchive:
    """Return the archive of a backup; raises ConfigurationError, ``backup``, where it is none."""
    if not (folder / _COMPLETE).exists():
        raise ConfigurationError(
            f"{folder} holds no complete backup", hint="name a folder that `registrar backup` has made", code="backup"
        )
    return FolderArchive(folder / ARCHIVE)


def _copy_files(source: Path, target: Path) -> None:
    issuing_keys = authority.issuing_key_files(source)
    for name in (*_ALWAYS, *issuing_keys, *(name for name in _SOMETIMES if (source / name).exists())):
        make_private_folder((target / name).parent)
        try:
            write_private(target / name, (source / name).read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"cannot read {source / name}: {reason(error)}",
                hint="mend its permissions, or name another backup",
                code="unreadable",
            ) from error


def _forget_places(settings: Path) -> None:
    """Take out of the settings where database and archive are."""
    if settings.exists():
        lines = settings.read_bytes().splitlines(keepends=True)
        write_private(settings, b"".join(line for line in lines if line.split(b"=")[0].strip() not in _PLACES))


def _copy_images(catalogue: Catalogue, source: Archive, target: Archive, now: dt.datetime) -> Iterator[Record]:
    """Copy every image of the catalogue; those that are not whole are taken out of it, and yielded."""
    for page in catalogue.pages():
        for record in page:
            sealed = whole_image(source, record)
            if sealed is not None:
                target.put(record.image_id, sealed, mend=True)
            else:
                catalogue.remove(Removal(record.image_id, record.owner, record.channel, "lost", now))
                yield record
