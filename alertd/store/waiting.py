"""Which rooms were listed but are not final, and what has been seen of each account, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.engine.coverage import LAST_SHOWN, Coverage, Seen
from alertd.engine.outcome import Sight
from alertd.engine.settle import OpenRoom
from alertd.engine.windows import MINUTE
from alertd.store import turns
from alertd.store.packing import pack_sid, slices, unpack_sid
from alertd.store.schema import accounts, coverage, going, open_rooms, rooms, sights


async def note_open(connection: AsyncConnection, account: str, waiting: Iterable[OpenRoom]) -> None:
    """Keep these rooms, or what is new about them; when a room was first listed stays as it was."""
    await turns.take_turn(connection)
    account_id = (await turns.account_ids(connection, [account]))[account]
    rows = [_row(account_id, room) for room in waiting]
    statement = turns.insert(connection, open_rooms)
    renewed = {name: statement.excluded[name] for name in ("ended", "look_again_at", "why", "started")}
    if rows:
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["account_id", "sid"], set_=renewed), rows
        )


def _row(account_id: int, room: OpenRoom) -> dict[str, object]:
    return {
        "account_id": account_id,
        "sid": pack_sid(room.room_sid),
        "listed_at": room.listed_at,
        "ended": room.ended,
        "look_again_at": room.look_again_at,
        "why": room.why,
        "started": room.started,
    }


async def note_going(connection: AsyncConnection, account: str, started: Mapping[str, int], now: int) -> None:
    """Keep rooms that go on, by sid with the second of their start; those that are over by now are dropped here, since
    to do so wherever rooms settle would cost far more. None lasts longer than a day."""
    await turns.take_turn(connection)
    account_id = (await turns.account_ids(connection, [account]))[account]
    rows = [{"account_id": account_id, "sid": pack_sid(sid), "started": at} for sid, at in started.items()]
    if rows:
        await connection.execute(turns.insert(connection, going).on_conflict_do_nothing(), rows)
    is_over = or_(_settled, _open, going.c.started < now - LAST_SHOWN)
    await connection.execute(delete(going).where(going.c.account_id == account_id, is_over))


async def going_on(connection: AsyncConnection) -> dict[str, dict[int, int]]:
    """How many rooms go on, by account and the minute of their start."""
    minute = going.c.started // MINUTE
    query = select(accounts.c.name, minute, func.count()).join_from(going, accounts).where(~_settled, ~_open)
    found: dict[str, dict[int, int]] = {}
    for name, started, number in await connection.execute(query.group_by(accounts.c.name, minute)):
        found.setdefault(name, {})[started] = number
    return found


_settled = (
    exists()
    .where(rooms.c.account_id == going.c.account_id, rooms.c.sid == going.c.sid, rooms.c.replaced_at.is_(None))
    .correlate(going)
)
_open = exists().where(open_rooms.c.account_id == going.c.account_id, open_rooms.c.sid == going.c.sid).correlate(going)


async def drop_open(connection: AsyncConnection, account: str, sids: Sequence[str]) -> None:
    """Forget rooms that are not waited for any more."""
    await turns.take_turn(connection)
    account_id = select(accounts.c.id).where(accounts.c.name == account).scalar_subquery()
    for part in slices(sids):
        here = (open_rooms.c.account_id == account_id) & open_rooms.c.sid.in_([pack_sid(sid) for sid in part])
        await connection.execute(delete(open_rooms).where(here))


async def waiting_rooms(connection: AsyncConnection, account: str | None = None) -> tuple[OpenRoom, ...]:
    """The rooms of one account (or of all) that are not final, by account and in the order of their listing."""
    query = select(accounts.c.name, open_rooms).join_from(open_rooms, accounts)
    if account is not None:
        query = query.where(accounts.c.name == account)
    found = [
        OpenRoom(
            account=row.name,
            room_sid=unpack_sid(row.sid),
            listed_at=row.listed_at,
            ended=row.ended,
            look_again_at=row.look_again_at,
            why=row.why,
            started=row.started,
        )
        for row in await connection.execute(query)
    ]
    return tuple(sorted(found, key=lambda room: (room.account, room.listed_at, room.room_sid)))


async def saw(connection: AsyncConnection, account: str, at: int, gap: int) -> None:
    """The account was polled at `at`: its latest sight reaches so far, if it ended at most `gap` seconds before."""
    await turns.take_turn(connection)
    account_id = (await turns.account_ids(connection, [account]))[account]
    latest = select(sights).where(sights.c.account_id == account_id).order_by(sights.c.seen_until.desc()).limit(1)
    row = (await connection.execute(latest)).one_or_none()
    if row is None or at - row.seen_until > gap:
        new = sights.insert().values(account_id=account_id, seen_from=at, seen_until=at)
        await connection.execute(new)
    elif at > row.seen_until:
        await connection.execute(update(sights).where(sights.c.id == row.id).values(seen_until=at))


async def seen(connection: AsyncConnection) -> tuple[Sight, ...]:
    """All stretches in which accounts were seen, by account and time."""
    query = select(accounts.c.name, sights.c.seen_from, sights.c.seen_until).join_from(sights, accounts)
    found = [
        Sight(account=name, seen_from=start, seen_until=end) for name, start, end in await connection.execute(query)
    ]
    return tuple(sorted(found, key=lambda sight: (sight.account, sight.seen_from)))


async def cover(connection: AsyncConnection, account: str, known: Coverage) -> None:
    """This, and nothing else, has been listed of the account."""
    await turns.take_turn(connection)
    account_id = (await turns.account_ids(connection, [account]))[account]
    await connection.execute(delete(coverage).where(coverage.c.account_id == account_id))
    if known:
        await connection.execute(coverage.insert(), [{"account_id": account_id, **asdict(part)} for part in known])


async def covered(connection: AsyncConnection, account: str) -> Coverage:
    """What has been listed of the account, oldest starts first."""
    return (await all_covered(connection, accounts.c.name == account)).get(account, ())


async def all_covered(connection: AsyncConnection, which: ColumnElement[bool] | None = None) -> dict[str, Coverage]:
    """What has been listed of each account, oldest starts first."""
    query = select(accounts.c.name, coverage).join_from(coverage, accounts)
    query = query if which is None else query.where(which)
    found: dict[str, list[Seen]] = {}
    for row in await connection.execute(query.order_by(coverage.c.started_from)):
        part = Seen(
            started_from=row.started_from, started_until=row.started_until, seen_at=row.seen_at, rooms=row.rooms
        )
        found.setdefault(row.name, []).append(part)
    return {account: tuple(parts) for account, parts in found.items()}
