"""What people have asked to hear nothing of, kept for as long as it may be asked who did."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.engine.routes import Matcher
from alertd.engine.silences import Silence, Step
from alertd.store import turns
from alertd.store.schema import silences

Change = Callable[[Silence | None], Iterable[Silence]]
"""What is to be written of a silence as it stands; None where there is none. What it raises undoes all."""


class _Body(msgspec.Struct):
    """A silence as it is written down: its matchers as text."""

    matchers: list[str]
    starts_at: int
    updated_at: int
    created_by: str
    comment: str
    annotations: dict[str, str]
    history: list[Step]


_bodies = msgspec.json.Decoder(_Body)


async def change(connection: AsyncConnection, id: str, how: Change) -> tuple[Silence, ...]:  # noqa: A002 - its name
    """Write what `how` makes of the silence with this id; returns it. Changes come one after the other."""
    await turns.take_turn(connection)
    query = select(silences).where(silences.c.id == id)
    row = (await connection.execute(query)).one_or_none()
    written = tuple(how(None if row is None else _silence(row.id, row.ends_at, row.body)))
    for one in written:
        statement = turns.insert(connection, silences).values(id=one.id, ends_at=one.ends_at, body=_packed(one))
        new = {"ends_at": statement.excluded.ends_at, "body": statement.excluded.body}
        await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new))
    return written


async def ending_after(connection: AsyncConnection, instant: int) -> tuple[Silence, ...]:
    """The silences that end, or ended, later than `instant`; by id."""
    query = select(silences).where(silences.c.ends_at > instant).order_by(silences.c.id)
    return tuple([_silence(row.id, row.ends_at, row.body) for row in await connection.execute(query)])


def _packed(one: Silence) -> bytes:
    return msgspec.json.encode(
        _Body(
            matchers=[str(matcher) for matcher in one.matchers],
            starts_at=one.starts_at,
            updated_at=one.updated_at,
            created_by=one.created_by,
            comment=one.comment,
            annotations=dict(one.annotations),
            history=list(one.history),
        )
    )


def _silence(id: str, ends_at: int, body: bytes) -> Silence:  # noqa: A002 - its name
    found = _bodies.decode(body)
    return Silence(
        id=id,
        matchers=tuple(map(Matcher.parse, found.matchers)),
        starts_at=found.starts_at,
        ends_at=ends_at,
        updated_at=found.updated_at,
        created_by=found.created_by,
        comment=found.comment,
        annotations=found.annotations,
        history=tuple(found.history),
    )
