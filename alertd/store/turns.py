"""Whose turn it is: the one row that everybody locks before changing rooms or decisions, leases, and names of accounts.

SQLite lets one writer in at a time anyway; on PostgreSQL the lock on that row does the same, so both behave alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec
from sqlalchemy import Table, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.store.schema import accounts, leases, progress

CLOCKS_APART = 600
"""Seconds by which the clocks of those who share a database may differ."""


class Turn(msgspec.Struct, frozen=True):
    """How far evaluation came (None: never), and until when nothing can become known any more."""

    evaluated_until: int | None
    closed_until: int


def insert(connection: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may carry ON CONFLICT, which SQLAlchemy spells for each database apart."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


async def take_turn(connection: AsyncConnection) -> Turn:
    """Wait until nobody else changes rooms or decisions, and keep others out until this transaction ends."""
    row = (await connection.execute(select(progress).with_for_update())).one()
    return Turn(row.evaluated_until, row.closed_until)


async def evaluated_until(connection: AsyncConnection) -> int | None:
    """Up to when decisions are committed; None before the first."""
    found: int | None = (await connection.execute(select(progress.c.evaluated_until))).scalar_one()
    return found


async def is_closed(connection: AsyncConnection, upto: int) -> bool:
    """Whether nothing can become known at or before `upto` any more."""
    return bool((await connection.execute(select(progress.c.closed_until >= upto))).scalar_one())


async def close_until(connection: AsyncConnection, upto: int) -> None:
    """From here on nothing becomes known at or before `upto`; waits for those that settle rooms at this moment."""
    await connection.execute(update(progress).where(progress.c.closed_until < upto).values(closed_until=upto))


async def tally(connection: AsyncConnection, rooms: int, participants: int) -> None:
    """Keep the totals, so that showing them does not mean counting millions of rows."""
    grown = {"rooms": progress.c.rooms + rooms, "participants": progress.c.participants + participants}
    await connection.execute(update(progress).values(grown))


async def account_ids(connection: AsyncConnection, names: Iterable[str]) -> dict[str, int]:
    """The number of each account, given out now to those that have none."""
    wanted = sorted(set(names))
    known = await _known_ids(connection, wanted)
    missing = [{"name": name} for name in wanted if name not in known]
    if missing:
        await connection.execute(insert(connection, accounts).on_conflict_do_nothing(), missing)
        known = await _known_ids(connection, wanted)
    return known


async def _known_ids(connection: AsyncConnection, names: list[str]) -> dict[str, int]:
    rows = await connection.execute(select(accounts.c.name, accounts.c.id).where(accounts.c.name.in_(names)))
    return {row.name: row.id for row in rows}


async def take_lease(connection: AsyncConnection, name: str, holder: str, now: int, seconds: int) -> bool:
    """Whether `holder` has the lease until `now + seconds`: it was free or run out, or is its own and now longer.

    One that would last far longer than any is taken for was taken by a clock that was ahead, and is void.
    """
    row = insert(connection, leases).values(name=name, holder=holder, held_until=now + seconds)
    taken = row.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": row.excluded.holder, "held_until": row.excluded.held_until},
        where=or_(
            leases.c.holder == holder, leases.c.held_until <= now, leases.c.held_until > now + seconds + CLOCKS_APART
        ),
    )
    return bool((await connection.execute(taken)).rowcount)


async def release_lease(connection: AsyncConnection, name: str, holder: str) -> None:
    """Give the lease up, if `holder` has it."""
    await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


async def pseudonym_key(connection: AsyncConnection) -> bytes:
    """32 random bytes, made once for each database; they turn identities into pseudonyms."""
    fresh = update(progress).where(progress.c.pseudonym_key.is_(None)).values(pseudonym_key=os.urandom(32))
    await connection.execute(fresh)
    return bytes((await connection.execute(select(progress.c.pseudonym_key))).scalar_one())
