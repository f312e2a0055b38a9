"""Keep when an account was deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add it to the accounts."""
    op.add_column("accounts", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.create_index("ix_accounts_deleted_at", "accounts", ["deleted_at"])
