"""Which starts of rooms were listed, and when; and when the rooms started that are waited for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Each account was seen whole at the end of its latest sight, over the day and an hour that looks reached back."""
    op.add_column("open_rooms", sa.Column("started", sa.BigInteger()))
    op.create_table(
        "coverage",
        sa.Column(
            "account_id", sa.Integer(), sa.ForeignKey("accounts.id", name="fk_coverage_account_id"), nullable=False
        ),
        sa.Column("started_from", sa.BigInteger(), nullable=False),
        sa.Column("started_until", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger()),
        sa.Column("rooms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "started_from", name="pk_coverage"),
    )
    op.execute(
        "INSERT INTO coverage (account_id, started_from, started_until, seen_at, rooms) "
        "SELECT account_id, MAX(seen_until) - 90000, MAX(seen_until), MAX(seen_until), ("
        "SELECT COUNT(*) FROM rooms WHERE rooms.account_id = sights.account_id AND rooms.replaced_at IS NULL "
        "AND rooms.created >= MAX(sights.seen_until) - 90000) FROM sights GROUP BY account_id"
    )
