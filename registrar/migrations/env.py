"""Runs the steps inside the transaction that ``registrar.database.migrate`` has begun."""

from __future__ import annotations

from alembic import context

from registrar.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
context.run_migrations()
