"""Keep which key has taken the place of another one at its device."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add it to the devices: none has changed its key so far."""
    op.add_column("devices", sa.Column("successor", sa.LargeBinary))
    op.create_index("ix_devices_successor", "devices", ["successor"])
