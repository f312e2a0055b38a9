"""Make the tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table; CRL numbers begin above 0."""
    op.create_table(
        "accounts",
        sa.Column("user_name", sa.String(32), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("user_name", name="pk_accounts"),
    )
    op.create_table(
        "devices",
        sa.Column("key_identifier", sa.LargeBinary, nullable=False),
        sa.Column("user_name", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("key_identifier", name="pk_devices"),
        sa.ForeignKeyConstraint(["user_name"], ["accounts.user_name"], name="fk_devices_user_name"),
    )
    op.create_index("ix_devices_user_name", "devices", ["user_name"])
    op.create_table(
        "certificates",
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("key_identifier", sa.LargeBinary, nullable=False),
        sa.Column("pem", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("ordinal", name="pk_certificates"),
        sa.UniqueConstraint("fingerprint", name="uq_certificates_fingerprint"),
        sa.ForeignKeyConstraint(["key_identifier"], ["devices.key_identifier"], name="fk_certificates_key_identifier"),
    )
    op.create_index("ix_certificates_key_identifier", "certificates", ["key_identifier"])
    crl_number = op.create_table(
        "crl_number",
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_crl_number"),
    )
    op.bulk_insert(crl_number, [{"number": 0}])
    op.create_table(
        "images",
        sa.Column("image_id", sa.Uuid, nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(131), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("audience", sa.String(7), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sealed_size", sa.BigInteger, nullable=False),
        sa.Column("sha256_sealed", sa.String(64), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary),
        sa.Column("recipients", sa.Text, nullable=False),
        sa.Column("stored_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.PrimaryKeyConstraint("image_id", name="pk_images"),
    )
