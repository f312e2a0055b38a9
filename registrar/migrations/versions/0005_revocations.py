"""Keep why a certificate is revoked, and in which CRL that stood first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add both to the certificates; of what was revoked before, nobody knows."""
    op.add_column("certificates", sa.Column("revocation_reason", sa.String(32)))
    op.add_column("certificates", sa.Column("crl_number", sa.BigInteger))
    op.create_index("ix_certificates_crl_number", "certificates", ["crl_number"])
