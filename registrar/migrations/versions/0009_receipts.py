"""Keep the receipts that readers sign for the owners of images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table of receipts; nobody has sent any so far."""
    op.create_table(
        "receipts",
        sa.Column("ordinal", sa.BigInteger, nullable=False),
        sa.Column("key_identifier", sa.LargeBinary, nullable=False),
        sa.Column("user_name", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signed", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["ordinal"], ["images.ordinal"], name="fk_receipts_ordinal_images"),
        sa.PrimaryKeyConstraint("ordinal", "key_identifier", name="pk_receipts"),
    )
    op.create_index("ix_receipts_user_name", "receipts", ["user_name"])
