"""Opens what a registrar works with: its key, its database and its archive."""

from __future__ import annotations

from common import console
from registrar.accounts import Accounts
from registrar.archive import open_archive
from registrar.audit import AuditLog
from registrar.authority import Authority, load_registrar
from registrar.catalogue import Catalogue
from registrar.database import open_current
from registrar.deletions import Deletions
from registrar.handlers import Handlers
from registrar.receipts import Receipts
from registrar.revocations import Revocations
from registrar.tokens import Tokens


def open_handlers(authority: Authority, *, database: str, archive: str, make_archive: bool = True) -> Handlers:
    """Open the registrar's key, the database (migrated) and the archive; raises ConfigurationError."""
    key, _ = load_registrar(authority.home, authority.passphrase)
    engine = open_current(database)
    store = open_archive(archive, make=make_archive)
    store.sweep(console.now())
    accounts, revocations, deletions, tokens = Accounts(engine), Revocations(engine), Deletions(engine), Tokens(engine)
    log, catalogue, receipts = AuditLog(engine), Catalogue(engine), Receipts(engine)
    return Handlers(
        authority, key, accounts, revocations, deletions, tokens, log, catalogue, receipts, store, authority.settings
    )
