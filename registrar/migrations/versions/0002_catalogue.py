"""Give images ordinals and their recipients rows of their own; count what owners use; remember what is removed."""

from __future__ import annotations

import secrets
from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)
_images = sa.table(
    "images",
    sa.column("image_id", sa.Uuid),
    sa.column("ordinal", sa.BigInteger),
    sa.column("owner", sa.String),
    sa.column("sealed_size", sa.BigInteger),
    sa.column("stored_at", _TIME),
    sa.column("recipients", sa.Text),
)


def upgrade() -> None:
    """Count the images in the order in which they were stored, and fill the new tables from them."""
    op.add_column("images", sa.Column("ordinal", sa.BigInteger))
    connection = op.get_bind()
    stored = connection.execute(sa.select(_images).order_by(_images.c.stored_at, _images.c.image_id)).all()
    numbered = list(enumerate(stored, start=1))
    for ordinal, image in numbered:
        connection.execute(sa.update(_images).where(_images.c.image_id == image.image_id).values(ordinal=ordinal))
    with op.batch_alter_table("images") as images:
        images.alter_column("ordinal", existing_type=sa.BigInteger, nullable=False)
        images.drop_column("recipients")
        images.create_unique_constraint("uq_images_ordinal", ["ordinal"])
        images.create_index("ix_images_audience_ordinal", ["audience", "ordinal"])
        images.create_index("ix_images_owner_ordinal", ["owner", "ordinal"])
        images.create_index("ix_images_expires_at", ["expires_at"])
    catalogue, recipients, usage = _make_tables()
    op.bulk_insert(catalogue, [{"epoch": secrets.token_hex(8), "ordinal": len(numbered)}])
    op.bulk_insert(
        recipients,
        [
            {"key_identifier": bytes.fromhex(identifier), "ordinal": ordinal}
            for ordinal, image in numbered
            for identifier in dict.fromkeys(image.recipients.split())
        ],
    )
    images_of = Counter(image.owner for image in stored)
    bytes_of = Counter[str]()
    for image in stored:
        bytes_of[image.owner] += image.sealed_size
    op.bulk_insert(
        usage, [{"owner": owner, "images": images_of[owner], "bytes": bytes_of[owner]} for owner in images_of]
    )


def _make_tables() -> tuple[sa.Table, sa.Table, sa.Table]:
    catalogue = op.create_table(
        "catalogue",
        sa.Column("epoch", sa.String(16), nullable=False),
        sa.Column("ordinal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_catalogue"),
    )
    recipients = op.create_table(
        "recipients",
        sa.Column("key_identifier", sa.LargeBinary, nullable=False),
        sa.Column("ordinal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key_identifier", "ordinal", name="pk_recipients"),
        sa.ForeignKeyConstraint(["ordinal"], ["images.ordinal"], name="fk_recipients_ordinal"),
    )
    op.create_index("ix_recipients_ordinal", "recipients", ["ordinal"])
    usage = op.create_table(
        "usage",
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_usage"),
    )
    op.create_table(
        "removals",
        sa.Column("image_id", sa.Uuid, nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(131)),
        sa.Column("reason", sa.String(7), nullable=False),
        sa.Column("removed_at", _TIME, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "owner", name="pk_removals"),
    )
    op.create_index("ix_removals_settled", "removals", ["settled"])
    return catalogue, recipients, usage
