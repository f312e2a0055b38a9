"""Opens what a registrar works with: its authority, its database and its archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import console
from registrar.accounts import Accounts
from registrar.archive import open_archive
from registrar.audit import AuditLog
from registrar.authority import Authority, load_registrar
from registrar.catalogue import Catalogue
from registrar.database import open_current
from registrar.deletions import Deletions
from registrar.handlers import Handlers
from registrar.revocations import Revocations
from registrar.tokens import Tokens

if TYPE_CHECKING:
    from pathlib import Path

    from common.settings import Settings


def open_handlers(
    home: Path, settings: Settings, *, database: str, archive: str, make_archive: bool = True
) -> Handlers:
    """Open the authority, the database (migrated) and the archive; raises ConfigurationError."""
    authority = Authority.load(home, settings)
    key, _ = load_registrar(home)
    engine = open_current(database)
    store = open_archive(archive, make=make_archive)
    store.sweep(console.now())
    accounts, revocations, deletions, tokens = Accounts(engine), Revocations(engine), Deletions(engine), Tokens(engine)
    log, catalogue = AuditLog(engine), Catalogue(engine)
    return Handlers(authority, key, accounts, revocations, deletions, tokens, log, catalogue, store, settings)
