"""Which tables and columns the store keeps; instants are whole seconds since the epoch, bodies are msgspec JSON."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

VERSIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every version of the schema that this program knows, oldest first; the last is the one it works with."""


class Words(TypeDecorator[str]):
    """Text written by strangers: what a database would refuse (NUL, lone surrogates) becomes U+FFFD or `?`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """The nearest text that both databases take."""
        return None if value is None else value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


Serial = BigInteger().with_variant(Integer, "sqlite")
"""A key that counts up by itself; SQLite does so for INTEGER only."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

progress = Table(
    "progress",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("evaluated_until", BigInteger),
    Column("closed_until", BigInteger, nullable=False),  # nothing becomes known at or before this any more
    Column("rooms", BigInteger, nullable=False),
    Column("participants", BigInteger, nullable=False),
    Column("pseudonym_key", LargeBinary),
)
"""One row: how far evaluation came, what is stored in all; whoever changes rooms or decisions locks it first."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Words, nullable=False, unique=True),
)

rooms = Table(
    "rooms",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("sid", LargeBinary, nullable=False),
    Column("created", BigInteger),
    Column("ended", BigInteger, nullable=False),
    Column("listed_at", BigInteger),
    Column("known_at", BigInteger, nullable=False),
    Column("replaced_at", BigInteger),
    Column("partial", Boolean, nullable=False),
    Column("participants", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
CURRENT = text("replaced_at IS NULL")
Index("uq_rooms_current", rooms.c.account_id, rooms.c.sid, unique=True, sqlite_where=CURRENT, postgresql_where=CURRENT)
REPLACED = text("replaced_at IS NOT NULL")
Index("ix_rooms_replaced_at", rooms.c.replaced_at, sqlite_where=REPLACED, postgresql_where=REPLACED)
Index("ix_rooms_known_at", rooms.c.known_at)
Index("ix_rooms_ended", rooms.c.ended)

open_rooms = Table(
    "open_rooms",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("sid", LargeBinary, primary_key=True),
    Column("listed_at", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("look_again_at", BigInteger, nullable=False),
    Column("why", Words, nullable=False),
    Column("started", BigInteger),
)

going = Table(
    "going",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("sid", LargeBinary, primary_key=True),
    Column("started", BigInteger, nullable=False),
)
"""Rooms that were listed while they went on: that they started is known before they end."""

coverage = Table(
    "coverage",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("started_from", BigInteger, primary_key=True),
    Column("started_until", BigInteger, nullable=False),
    Column("seen_at", BigInteger),
    Column("rooms", Integer, nullable=False),
)

sights = Table(
    "sights",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("seen_from", BigInteger, nullable=False),
    Column("seen_until", BigInteger, nullable=False),
)
Index("ix_sights_account_id_seen_until", sights.c.account_id, sights.c.seen_until)

leases = Table(
    "leases",
    metadata,
    Column("name", Words, primary_key=True),
    Column("holder", Words, nullable=False),
    Column("held_until", BigInteger, nullable=False),
)

troubles = Table(
    "troubles",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", LargeBinary, nullable=False),  # kind and subject, hashed
    Column("kind", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("message", Words, nullable=False),
)
LASTING = text("until IS NULL")
Index("uq_troubles_lasting", troubles.c.name, unique=True, sqlite_where=LASTING, postgresql_where=LASTING)

alerts = Table(
    "alerts",
    metadata,
    Column("fingerprint", Words, primary_key=True),
    Column("state", Words, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

groups = Table(
    "alert_groups",  # GROUPS is a keyword of SQL
    metadata,
    Column("name", LargeBinary, primary_key=True),  # the key, hashed: it holds labels of any length
    Column("body", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index("ix_events_at", events.c.at)

outbox = Table(
    "outbox",
    metadata,
    Column("n", Serial, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    Column("line", LargeBinary, nullable=False),  # group and integration, hashed: these are sent one after the other
    Column("state", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("send_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("last_answer", Words),
    Column("holder", Words),
    Column("held_until", BigInteger),
    Column("body", LargeBinary, nullable=False),
)
QUEUED = text("state = 'queued'")
Index("ix_outbox_line", outbox.c.line, outbox.c.n, sqlite_where=QUEUED, postgresql_where=QUEUED)
Index("ix_outbox_state", outbox.c.state, outbox.c.n)
FINISHED = text("finished_at IS NOT NULL")
Index("ix_outbox_finished_at", outbox.c.finished_at, sqlite_where=FINISHED, postgresql_where=FINISHED)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("outbox_n", BigInteger, ForeignKey("outbox.n", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("answer", Words, nullable=False),
)
Index("ix_deliveries_outbox_n", deliveries.c.outbox_n)

silences = Table(
    "silences",
    metadata,
    Column("id", Words, primary_key=True),
    Column("ends_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index("ix_silences_ends_at", silences.c.ends_at)

acks = Table(
    "acks",
    metadata,
    Column("fingerprint", Words, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

posted = Table(
    "posted_alerts",
    metadata,
    Column("fingerprint", Words, primary_key=True),
    Column("ends_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index("ix_posted_alerts_ends_at", posted.c.ends_at)

window_states = Table(
    "window_states",
    metadata,
    Column("made_by", Words, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""At most one row: what was counted, as of an instant."""
