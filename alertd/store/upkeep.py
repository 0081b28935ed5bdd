"""What is too old to keep, how much there is, and a copy of it all."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.errors import StoreError
from alertd.store import turns
from alertd.store.database import Database, parse, sqlite_path
from alertd.store.decisions import ALERTS_REMEMBERED
from alertd.store.failures import explain
from alertd.store.schema import (
    acks,
    alerts,
    events,
    groups,
    open_rooms,
    outbox,
    posted,
    progress,
    rooms,
    sights,
    silences,
    troubles,
)

_newer = sights.alias("newer")
NOT_THE_LATEST = exists().where(_newer.c.account_id == sights.c.account_id, _newer.c.seen_until > sights.c.seen_until)
"""The latest sight of an account says from when on rooms may have been missed, however long ago that is."""
SLICE = 500
"""Rows deleted in one transaction: few enough that nobody waits long for their turn."""


async def prune(database: Database, now: int, keep: int) -> dict[str, int]:
    """Delete what was over `keep` seconds before `now`, in slices; returns how many rows of each table went.

    Rooms go by `ended`, but not before they have been known for as long; what is open, queued, lasting or failed
    later than that stays. An alert that is over goes when decisions no longer look at it.
    """
    cut = now - keep
    over = and_(alerts.c.state.in_(["inactive", "resolved"]), alerts.c.changed_at < min(cut, now - ALERTS_REMEMBERED))
    gone = {"rooms": await _in_slices(database, _room_pruner(cut))}
    for table, old in (
        (alerts, over),
        (events, events.c.at < cut),
        (outbox, outbox.c.finished_at < cut),
        (sights, and_(sights.c.seen_until < cut, NOT_THE_LATEST)),
        (troubles, troubles.c.until < cut),
        (silences, silences.c.ends_at < cut),
        (acks, acks.c.until < cut),
        (posted, posted.c.ends_at < cut),
    ):
        gone[table.name] = await _in_slices(database, _pruner(table, old))
    return gone


async def _in_slices(database: Database, delete_slice: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    total, deleted = 0, SLICE
    while deleted == SLICE:
        deleted = await database.write(delete_slice)
        total += deleted
        await asyncio.sleep(0)
    return total


def _pruner(table: Table, old: ColumnElement[bool]) -> Callable[[AsyncConnection], Awaitable[int]]:
    (key,) = table.primary_key.columns

    async def delete_slice(connection: AsyncConnection) -> int:
        await turns.take_turn(connection)
        oldest = select(key).where(old).limit(SLICE)
        return (await connection.execute(delete(table).where(key.in_(oldest)))).rowcount

    return delete_slice


def _room_pruner(cut: int) -> Callable[[AsyncConnection], Awaitable[int]]:
    settled_long_ago = and_(rooms.c.known_at < cut, or_(rooms.c.replaced_at.is_(None), rooms.c.replaced_at < cut))
    query = select(rooms.c.id, rooms.c.replaced_at, rooms.c.participants).where(rooms.c.ended < cut, settled_long_ago)

    async def delete_slice(connection: AsyncConnection) -> int:
        await turns.take_turn(connection)
        old = (await connection.execute(query.limit(SLICE))).all()
        await connection.execute(delete(rooms).where(rooms.c.id.in_([row.id for row in old])))
        current = [row.participants for row in old if row.replaced_at is None]
        await turns.tally(connection, -len(current), -sum(current))
        return len(old)

    return delete_slice


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """How much is stored: rooms (each once) and their participants, rooms that are open, alerts, groups."""
    totals = (await connection.execute(select(progress.c.rooms, progress.c.participants))).one()
    return {
        "rooms": totals.rooms,
        "participants": totals.participants,
        "open": await _count(connection, select(func.count()).select_from(open_rooms)),
        "alerts": await _count(connection, select(func.count()).select_from(alerts)),
        "groups": await _count(connection, select(func.count()).select_from(groups)),
    }


async def _count(connection: AsyncConnection, query: Select[int]) -> int:
    return (await connection.execute(query)).scalar_one()


async def backup(url: str, path: Path) -> None:
    """Write a consistent copy of a live SQLite database to `path`, a new file (mode 0600); StoreError says why not."""
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(
            "a PostgreSQL database is backed up by its own tool: pg_dump --format=custom --file FILE DATABASE"
        )
    await asyncio.to_thread(_copy, sqlite_path(parsed), path)


def _copy(source: Path, path: Path) -> None:
    """SQLite's VACUUM INTO: sees one moment of the database, and writers need not wait."""
    if not source.is_file():
        raise StoreError(f"there is no database {source} to back up; check [store] url")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise StoreError(
            f"cannot write the backup {path} ({error.strerror}); name a new file in a folder that exists"
        ) from None
    connection = sqlite3.connect(source, isolation_level=None)
    try:
        connection.execute("VACUUM INTO ?", (str(path),))
    except sqlite3.Error as error:
        path.unlink()
        raise explain(error, f"the database {source}") from error
    finally:
        connection.close()
