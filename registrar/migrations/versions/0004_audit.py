"""Keep an audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table of entries and that of its head; what was done before is in neither."""
    op.create_table(
        "audit",
        sa.Column("ordinal", sa.BigInteger, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(24), nullable=False),
        sa.Column("user_name", sa.String(32)),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("ordinal", name="pk_audit"),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("ordinal", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("ordinal", name="pk_audit_head"),
    )
    op.bulk_insert(head, [{"ordinal": 0, "hash": "0" * 64}])
