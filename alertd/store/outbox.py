"""Which notifications are still to be sent, in what order, by whom, and how it went.

A notification is queued, then sent or failed. Those of one group to one integration stand in a line: only the first
that is unfinished may be claimed, and nobody else may while the claim lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, Select, and_, case, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.engine.groups import Notification
from alertd.store import turns
from alertd.store.packing import hashed, slices
from alertd.store.schema import deliveries, outbox

State = Literal["queued", "sent", "failed", "withheld"]
ANSWER_LIMIT = 2000
"""Characters kept of what the other side answered."""

_notifications = msgspec.json.Decoder(Notification)


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A notification to send now; `attempts` were made before, `created_at` is when it was queued."""

    notification: Notification
    attempts: int
    created_at: int


class OutboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as people see it in the outbox; `alerts` are the alertnames (or fingerprints), each once.

    `withheld` is why it was not sent, of one that was kept back.
    """

    id: str
    created_at: int
    receiver: str
    integration: str
    reason: str
    status: str
    state: State
    attempts: int
    send_at: int
    sent_at: int | None
    last_answer: str | None
    group_key: str
    alerts: tuple[str, ...]
    withheld: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery: when it was tried, whether it was sent, to be tried again or failed, and what came back."""

    at: int
    outcome: str
    answer: str


async def queue(
    connection: AsyncConnection, notifications: Sequence[Notification], now: int, *, withheld: bool = False
) -> None:
    """Put notifications behind those that wait; one whose id is there already is left as it is.

    Those that are `withheld` are only kept to be shown, and to be sent by hand all the same.
    """
    rows = [
        {
            "id": one.id,
            "line": hashed(one.group_key, one.integration),
            "state": "withheld" if withheld else "queued",
            "created_at": now,
            "send_at": now,
            "finished_at": now if withheld else None,
            "attempts": 0,
            "body": msgspec.json.encode(one),
        }
        for one in notifications
    ]
    if rows:
        await connection.execute(turns.insert(connection, outbox).on_conflict_do_nothing(index_elements=["id"]), rows)


_older = outbox.alias("older")
_FIRST_IN_LINE = and_(
    outbox.c.state == "queued",
    ~exists().where(_older.c.line == outbox.c.line, _older.c.state == "queued", _older.c.n < outbox.c.n),
)


async def claim(connection: AsyncConnection, now: int, holder: str, lease: int, limit: int) -> list[Claimed]:
    """Up to `limit` notifications that are due, oldest first; they are `holder`'s for `lease` seconds."""
    free = or_(outbox.c.held_until.is_(None), outbox.c.held_until <= now)
    due = (
        select(outbox.c.n, outbox.c.body, outbox.c.attempts, outbox.c.created_at)
        .where(_FIRST_IN_LINE, outbox.c.send_at <= now, free)
        .order_by(outbox.c.n)
        .limit(limit)
        .with_for_update(of=outbox, skip_locked=True)
    )
    rows = (await connection.execute(due)).all()
    mine = update(outbox).where(outbox.c.n.in_([row.n for row in rows]))
    await connection.execute(mine.values(holder=holder, held_until=now + lease))
    return [
        Claimed(notification=_notifications.decode(row.body), attempts=row.attempts, created_at=row.created_at)
        for row in rows
    ]


async def attempted(
    connection: AsyncConnection, /, notification_id: str, now: int, outcome: str, answer: str, **columns: object
) -> None:
    """Record an attempt; while the notification is queued also set `columns` and let go of it.

    What another holder finished meanwhile (the lease had run out) stays finished.
    """
    query = select(outbox.c.n).where(outbox.c.id == notification_id).with_for_update()
    n = (await connection.execute(query)).scalar_one_or_none()
    if n is None:
        return
    short = answer[:ANSWER_LIMIT]
    await connection.execute(deliveries.insert().values(outbox_n=n, at=now, outcome=outcome, answer=short))
    values = {"attempts": outbox.c.attempts + 1, "last_answer": short, "holder": None, "held_until": None, **columns}
    await connection.execute(update(outbox).where(outbox.c.n == n, outbox.c.state == "queued").values(values))


async def attempts(connection: AsyncConnection, notification_id: str) -> list[Attempt]:
    """Every attempt at a notification, in order."""
    query = select(deliveries).join_from(deliveries, outbox).where(outbox.c.id == notification_id)
    rows = await connection.execute(query.order_by(deliveries.c.id))
    return [Attempt(at=row.at, outcome=row.outcome, answer=row.answer) for row in rows]


async def give_back(connection: AsyncConnection, ids: Sequence[str], holder: str) -> None:
    """Let go of what `holder` claimed and did not send, so that others need not wait for its lease."""
    for part in slices(ids):
        mine = and_(outbox.c.id.in_(part), outbox.c.holder == holder, outbox.c.state == "queued")
        await connection.execute(update(outbox).where(mine).values(holder=None, held_until=None))


async def give_back_all(connection: AsyncConnection, holder: str) -> None:
    """Let go of all that `holder` claimed and did not send."""
    mine = and_(outbox.c.holder == holder, outbox.c.state == "queued")
    await connection.execute(update(outbox).where(mine).values(holder=None, held_until=None))


async def retry(connection: AsyncConnection, notification_id: str, now: int) -> bool:
    """Send it again as soon as its turn comes; False if there is no such notification or it was sent."""
    unsent = and_(outbox.c.id == notification_id, outbox.c.state != "sent")
    again = update(outbox).where(unsent).values(state="queued", send_at=now, finished_at=None)
    return bool((await connection.execute(again)).rowcount)


async def next_send_at(connection: AsyncConnection) -> int | None:
    """The first instant at which `claim` can find something; None if nothing waits."""
    claimable = case((outbox.c.held_until > outbox.c.send_at, outbox.c.held_until), else_=outbox.c.send_at)
    return await _number(connection, select(func.min(claimable)).where(_FIRST_IN_LINE))


async def oldest_queued_at(connection: AsyncConnection) -> int | None:
    """When the oldest notification that still waits was queued."""
    return await _number(connection, select(func.min(outbox.c.created_at)).where(outbox.c.state == "queued"))


async def _number(connection: AsyncConnection, query: Select[Any]) -> int | None:
    found: int | None = (await connection.execute(query)).scalar_one()
    return found


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """How many notifications are in each state."""
    query = select(outbox.c.state, func.count().label("how_many")).group_by(outbox.c.state)
    found = {row.state: row.how_many for row in await connection.execute(query)}
    return {"queued": 0, "sent": 0, "failed": 0, "withheld": 0} | found


async def entries(connection: AsyncConnection, failed: bool, limit: int) -> list[OutboxEntry]:
    """The newest notifications (or those that failed), newest first."""
    query = select(outbox).order_by(outbox.c.n.desc()).limit(limit)
    if failed:
        query = query.where(outbox.c.state == "failed")
    return [_entry(row, _notifications.decode(row.body)) for row in await connection.execute(query)]


def _entry(row: Row[*tuple[object, ...]], told: Notification) -> OutboxEntry:
    return OutboxEntry(
        id=told.id,
        created_at=row.created_at,
        receiver=told.receiver,
        integration=told.integration,
        reason=told.reason,
        status=told.status,
        state=row.state,
        attempts=row.attempts,
        send_at=row.send_at,
        sent_at=row.finished_at if row.state == "sent" else None,
        last_answer=row.last_answer,
        group_key=told.group_key,
        alerts=tuple(dict.fromkeys(alert.labels.get("alertname", alert.fingerprint) for alert in told.alerts)),
        withheld=told.withheld,
    )
