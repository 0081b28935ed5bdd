"""What people and programs ask for of single alerts: that somebody looks after one, and alerts that others post."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.engine.acks import Ack
from alertd.engine.posted import Posted
from alertd.store import turns
from alertd.store.packing import slices
from alertd.store.schema import acks, posted

_acks = msgspec.json.Decoder(Ack)
_posted = msgspec.json.Decoder(Posted)
Join = Callable[[Posted | None, Posted], Posted]
"""What is to be kept of an alert that is posted, given what was known of it."""


async def put_ack(connection: AsyncConnection, ack: Ack) -> None:
    """Keep it in place of another of the same alert."""
    statement = turns.insert(connection, acks).values(
        fingerprint=ack.fingerprint, until=ack.until, body=msgspec.json.encode(ack)
    )
    new = {"until": statement.excluded.until, "body": statement.excluded.body}
    await connection.execute(statement.on_conflict_do_update(index_elements=["fingerprint"], set_=new))


async def drop_ack(connection: AsyncConnection, fingerprint: str) -> bool:
    """Forget it; False if there is none."""
    return (await connection.execute(delete(acks).where(acks.c.fingerprint == fingerprint))).rowcount > 0


async def all_acks(connection: AsyncConnection, at: int) -> tuple[Ack, ...]:
    """Those that have not run out by `at`, by fingerprint."""
    query = select(acks.c.body).where(acks.c.until > at).order_by(acks.c.fingerprint)
    return tuple([_acks.decode(body) for body in (await connection.execute(query)).scalars()])


async def post(connection: AsyncConnection, alerts: Sequence[Posted], join: Join) -> None:
    """Keep alerts that others post, each as `join` makes it of what was known and what comes."""
    await turns.take_turn(connection)
    known: dict[str, Posted] = {}
    for part in slices([one.fingerprint for one in alerts]):
        query = select(posted.c.body).where(posted.c.fingerprint.in_(part))
        found = [_posted.decode(body) for body in (await connection.execute(query)).scalars()]
        known |= {one.fingerprint: one for one in found}
    for one in alerts:  # the same one may stand there twice
        known[one.fingerprint] = join(known.get(one.fingerprint), one)
    rows = [_row(known[mark]) for mark in dict.fromkeys(one.fingerprint for one in alerts)]
    if rows:
        statement = turns.insert(connection, posted)
        new = {"ends_at": statement.excluded.ends_at, "body": statement.excluded.body}
        await connection.execute(statement.on_conflict_do_update(index_elements=["fingerprint"], set_=new), rows)


async def all_posted(connection: AsyncConnection, ended_after: int) -> tuple[Posted, ...]:
    """Those that had not ended by `ended_after`, by fingerprint."""
    query = select(posted.c.body).where(posted.c.ends_at > ended_after).order_by(posted.c.fingerprint)
    return tuple([_posted.decode(body) for body in (await connection.execute(query)).scalars()])


def _row(one: Posted) -> dict[str, object]:
    return {"fingerprint": one.fingerprint, "ends_at": one.ends_at, "body": msgspec.json.encode(one)}
