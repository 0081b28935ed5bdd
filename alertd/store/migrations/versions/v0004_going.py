"""Rooms that go on: that they started is known before they end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """The next look lists those that go on."""
    op.create_table(
        "going",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("sid", sa.LargeBinary(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_going_account_id"),
        sa.PrimaryKeyConstraint("account_id", "sid", name="pk_going"),
    )
