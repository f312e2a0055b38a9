"""Who can write to the registrar's database, and knows all that Sealcast knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import text

from registrar import audit
from registrar.audit import FIRST, AuditLog
from registrar.database import transaction

if TYPE_CHECKING:
    from sqlalchemy import Engine


def execute(engine: Engine, *statements: str, **values: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), values)


def rewrite(engine: Engine, *, without: str) -> None:
    """Write the whole audit log anew, a sound chain, without what is about somebody."""
    kept = [entry for entry in AuditLog(engine).entries() if entry.user != without]
    execute(engine, "DELETE FROM audit", "UPDATE audit_head SET ordinal = 0, hash = :first", first=FIRST)
    for entry in kept:
        with transaction(engine) as session:
            audit.append(session, "registered", entry.user, entry.time, **json.loads(entry.details))
