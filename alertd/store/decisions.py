"""What a decision starts from and what it leaves behind, committed whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Table, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.engine.alerts import Alert
from alertd.engine.groups import Group
from alertd.engine.health import Trouble
from alertd.engine.outcome import PASSED, Event, Outcome, Snapshot
from alertd.store import outbox, requests, rooms, silences, turns, waiting
from alertd.store.packing import hashed
from alertd.store.schema import alerts, events, groups, progress, troubles

DAY = 86400
ALERTS_REMEMBERED = 40 * DAY
"""How long an alert that is over still bounds its windows: longer than any window is (30 days) and rooms are kept."""
TROUBLES_REMEMBERED = 7 * DAY

_alerts = msgspec.json.Decoder(Alert)
_groups = msgspec.json.Decoder(Group)
_events = msgspec.json.Decoder(Event)


async def snapshot(connection: AsyncConnection, at: int) -> Snapshot:
    """All that a decision at `at` looks at; alerts that have been over for 40 days are history."""
    return Snapshot(
        alerts={alert.fingerprint: alert for alert in await _remembered(connection, at)},
        groups={group.key: group for group in await _all_groups(connection)},
        troubles=await _known_troubles(connection, at),
        sights=await waiting.seen(connection),
        open_rooms=await waiting.waiting_rooms(connection),
        coverage=await waiting.all_covered(connection),
        going=await waiting.going_on(connection),
        settled=await rooms.settled_since(connection, at - PASSED),
        silences=await silences.ending_after(connection, at - PASSED),
        acks=await requests.all_acks(connection, at - PASSED),
        posted=await requests.all_posted(connection, at - PASSED),
        taken_at=at,
    )


async def _remembered(connection: AsyncConnection, at: int) -> list[Alert]:
    lively = or_(alerts.c.state.in_(["pending", "firing"]), alerts.c.changed_at > at - ALERTS_REMEMBERED)
    query = select(alerts.c.body).where(lively).order_by(alerts.c.fingerprint)
    return [_alerts.decode(body) for body in (await connection.execute(query)).scalars()]


async def _all_groups(connection: AsyncConnection) -> list[Group]:
    found = [_groups.decode(body) for body in (await connection.execute(select(groups.c.body))).scalars()]
    return sorted(found, key=lambda group: group.key)


async def commit(connection: AsyncConnection, outcome: Outcome, expected: int | None, until: int) -> bool:
    """Write all that a decision up to `until` changed; False, and nothing written, if another one came first.

    `expected` is `evaluated_until` as the decision found it. A notification whose id is there already is left as it is.
    """
    turn = await turns.take_turn(connection)
    if turn.evaluated_until != expected:
        return False
    await _put(connection, alerts, [_alert_row(alert) for alert in outcome.alerts])
    await _put(connection, groups, [_row(group, name=hashed(group.key)) for group in outcome.groups])
    gone = [hashed(key) for key in outcome.gone_groups]
    await connection.execute(delete(groups).where(groups.c.name.in_(gone)))
    if outcome.events:
        await connection.execute(events.insert(), [_row(event, at=event.at) for event in outcome.events])
    await outbox.queue(connection, outcome.notifications, until)
    await outbox.queue(connection, outcome.withheld, until, withheld=True)
    closed = max(turn.closed_until, until)
    await connection.execute(update(progress).values(evaluated_until=until, closed_until=closed))
    return True


def _row(value: Alert | Group | Event, **columns: object) -> dict[str, object]:
    return {**columns, "body": msgspec.json.encode(value)}


def _alert_row(alert: Alert) -> dict[str, object]:
    return _row(alert, fingerprint=alert.fingerprint, state=alert.state, changed_at=alert.changed_at)


async def _put(connection: AsyncConnection, table: Table, rows: list[dict[str, object]]) -> None:
    """Insert rows, or overwrite those with the same key."""
    if not rows:
        return
    statement = turns.insert(connection, table)
    keys = [column.name for column in table.primary_key]
    others = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)


async def history(connection: AsyncConnection, after: int, limit: int) -> list[Event]:
    """The newest events later than `after`, at most `limit`, oldest first."""
    query = (
        select(events.c.body).where(events.c.at > after).order_by(events.c.at.desc(), events.c.id.desc()).limit(limit)
    )
    newest = [_events.decode(body) for body in (await connection.execute(query)).scalars()]
    return newest[::-1]


async def trouble(connection: AsyncConnection, kind: str, subject: str, message: str, now: int) -> None:
    """Note what cannot be done now; while it lasts its beginning stays and its message is the latest."""
    row = {"name": hashed(kind, subject), "kind": kind, "subject": subject, "since": now, "message": message}
    statement = turns.insert(connection, troubles).values(row)
    renewed = {"message": statement.excluded.message}
    lasting = troubles.c.until.is_(None)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], index_where=lasting, set_=renewed)
    )


async def clear_troubles(connection: AsyncConnection, kinds: Sequence[str], subject: str, now: int) -> None:
    """Note that these things can be done again."""
    names = [hashed(kind, subject) for kind in kinds]
    lasting = and_(troubles.c.name.in_(names), troubles.c.until.is_(None))
    await connection.execute(update(troubles).where(lasting).values(until=now))


async def _known_troubles(connection: AsyncConnection, at: int) -> tuple[Trouble, ...]:
    lately = or_(troubles.c.until.is_(None), troubles.c.until > at - TROUBLES_REMEMBERED)
    query = select(troubles).where(troubles.c.since <= at, lately).order_by(troubles.c.since, troubles.c.id)
    return tuple(
        Trouble(kind=row.kind, subject=row.subject, since=row.since, message=row.message, until=row.until)
        for row in await connection.execute(query)
    )
