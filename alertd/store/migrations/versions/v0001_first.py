"""The first schema: rooms and what waits, alerts and groups, the outbox and its deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _serial(name: str = "id") -> sa.Column[int]:
    return sa.Column(name, SERIAL, nullable=False)


def _int(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _words(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _account(table: str) -> sa.Column[int]:
    return sa.Column(
        "account_id", sa.Integer(), sa.ForeignKey("accounts.id", name=f"fk_{table}_account_id"), nullable=False
    )


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _index(name: str, table: str, columns: list[str], where: str | None = None, *, unique: bool = False) -> None:
    some = None if where is None else sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=some, postgresql_where=some)


def upgrade() -> None:
    """Make all tables, and the one row of `progress`."""
    _progress()
    _rooms()
    _seeing()
    _judging()
    _outbox()


def _progress() -> None:
    op.create_table(
        "progress",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        _int("evaluated_until", nullable=True),
        _int("closed_until"),
        _int("rooms"),
        _int("participants"),
        _bytes("pseudonym_key", nullable=True),
        _key("progress", "id"),
    )
    op.execute("INSERT INTO progress (id, closed_until, rooms, participants) VALUES (1, -1, 0, 0)")


def _rooms() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        _words("name"),
        _key("accounts", "id"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
    )
    op.create_table(
        "rooms",
        _serial(),
        _account("rooms"),
        _bytes("sid"),
        _int("created", nullable=True),
        _int("ended"),
        _int("listed_at", nullable=True),
        _int("known_at"),
        _int("replaced_at", nullable=True),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("participants", sa.Integer(), nullable=False),
        _bytes("digest"),
        _bytes("body"),
        _key("rooms", "id"),
    )
    _index("uq_rooms_current", "rooms", ["account_id", "sid"], "replaced_at IS NULL", unique=True)
    _index("ix_rooms_replaced_at", "rooms", ["replaced_at"], "replaced_at IS NOT NULL")
    _index("ix_rooms_known_at", "rooms", ["known_at"])
    _index("ix_rooms_ended", "rooms", ["ended"])


def _seeing() -> None:
    op.create_table(
        "open_rooms",
        _account("open_rooms"),
        _bytes("sid"),
        _int("listed_at"),
        _int("ended", nullable=True),
        _int("look_again_at"),
        _words("why"),
        _key("open_rooms", "account_id", "sid"),
    )
    op.create_table(
        "sights", _serial(), _account("sights"), _int("seen_from"), _int("seen_until"), _key("sights", "id")
    )
    _index("ix_sights_account_id_seen_until", "sights", ["account_id", "seen_until"])
    op.create_table("leases", _words("name"), _words("holder"), _int("held_until"), _key("leases", "name"))


def _judging() -> None:
    op.create_table(
        "alerts",
        _words("fingerprint"),
        _words("state"),
        _int("changed_at"),
        _bytes("body"),
        _key("alerts", "fingerprint"),
    )
    op.create_table("alert_groups", _bytes("name"), _bytes("body"), _key("alert_groups", "name"))
    op.create_table("events", _serial(), _int("at"), _bytes("body"), _key("events", "id"))
    _index("ix_events_at", "events", ["at"])
    op.create_table(
        "troubles",
        _serial(),
        _bytes("name"),
        _words("kind"),
        _words("subject"),
        _int("since"),
        _int("until", nullable=True),
        _words("message"),
        _key("troubles", "id"),
    )
    _index("uq_troubles_lasting", "troubles", ["name"], "until IS NULL", unique=True)


def _outbox() -> None:
    op.create_table(
        "outbox",
        _serial("n"),
        _words("id"),
        _bytes("line"),
        _words("state"),
        _int("created_at"),
        _int("send_at"),
        _int("finished_at", nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _words("last_answer", nullable=True),
        _words("holder", nullable=True),
        _int("held_until", nullable=True),
        _bytes("body"),
        _key("outbox", "n"),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
    )
    _index("ix_outbox_line", "outbox", ["line", "n"], "state = 'queued'")
    _index("ix_outbox_state", "outbox", ["state", "n"])
    _index("ix_outbox_finished_at", "outbox", ["finished_at"], "finished_at IS NOT NULL")
    entry = sa.ForeignKey("outbox.n", name="fk_deliveries_outbox_n", ondelete="CASCADE")
    op.create_table(
        "deliveries",
        _serial(),
        sa.Column("outbox_n", sa.BigInteger(), entry, nullable=False),
        _int("at"),
        _words("outcome"),
        _words("answer"),
        _key("deliveries", "id"),
    )
    _index("ix_deliveries_outbox_n", "deliveries", ["outbox_n"])
