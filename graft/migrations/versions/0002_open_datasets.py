"""Datasets that are filled by several calls, what their check found, and idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("boxes", sa.String(length=10), nullable=False, server_default="crop"))
    op.add_column("datasets", sa.Column("files", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("datasets", sa.Column("batches", sa.JSON(), nullable=True))
    op.add_column("datasets", sa.Column("sealed", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("datasets", sa.Column("checks", sa.JSON(), nullable=True))
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
    )
