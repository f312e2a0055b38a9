"""Keep which client ids each user has connected with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table of connections; those before are not known."""
    op.create_table(
        "connections",
        sa.Column("client_id", sa.String(1024), nullable=False),
        sa.Column("user_name", sa.String(32), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_end", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_connections"),
    )
    op.create_index("ix_connections_user_name", "connections", ["user_name"])
    op.create_index("ix_connections_to_end", "connections", ["to_end"])
