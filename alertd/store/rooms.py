"""Which settled rooms are known since when: each counted once, replaced when it changes, never known in hindsight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Row, Select, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd.engine.records import Participant, Room, SettledRoom, epoch
from alertd.engine.ticks import Change
from alertd.store import turns
from alertd.store.packing import digest, pack_body, pack_sid, slices, unpack_body, unpack_sid
from alertd.store.schema import accounts, open_rooms, rooms

BATCH = 200
"""Rooms read at once: a few MB of participants."""

SETTLES_WITHIN = 3600
"""Seconds after its end within which nearly every room settles."""

Key: TypeAlias = tuple[int, bytes]
"""A room by account number and packed sid."""


@dataclass(frozen=True, kw_only=True)
class Settling:
    """A room that has become final: what `settle` stores; `ended` and `listed_at` in seconds since the epoch.

    What stands in its row is made when first asked for: room by room, it holds up nobody for long.
    """

    account: str
    room: Room
    participants: tuple[Participant, ...]
    ended: int
    partial: bool = False
    listed_at: int | None = None

    @cached_property
    def digest(self) -> bytes:
        """What changes when the summary does."""
        return digest(self.room)

    @cached_property
    def body(self) -> bytes:
        """Room and participants, packed."""
        return pack_body(self.room, self.participants)


class Current(NamedTuple):
    """What is known of a room before it settles (again)."""

    id: int
    digest: bytes
    known_at: int
    participants: int


async def settle(connection: AsyncConnection, settling: Sequence[Settling], now: int) -> int:
    """Store rooms as known from `now` on, or from just behind what is closed; returns how many were new or changed.

    A room whose summary is stored already is ignored; of one given twice, the later counts. No version of a room is
    known before the one that it replaces, though clocks may differ: at every instant at most one is visible.
    """
    turn = await turns.take_turn(connection)
    known_at = max(now, turn.closed_until + 1)
    ids = await turns.account_ids(connection, (one.account for one in settling))
    given = {(ids[one.account], pack_sid(one.room.room_sid)): one for one in settling}
    current = await _current(connection, given)
    changed = {key: one for key, one in given.items() if key not in current or current[key].digest != one.digest}
    replaced = [current[key] for key in changed if key in current]
    await _replace(connection, [old.id for old in replaced], known_at)
    await _insert(connection, [_row(key, one, current.get(key), known_at) for key, one in changed.items()])
    await _drop_open(connection, given)
    grown = sum(len(one.participants) for one in changed.values()) - sum(old.participants for old in replaced)
    await turns.tally(connection, len(changed) - len(replaced), grown)
    return len(changed)


async def _current(connection: AsyncConnection, keys: Iterable[Key]) -> dict[Key, Current]:
    found: dict[Key, Current] = {}
    for account_id, sids in _by_account(keys):
        query = select(rooms.c.sid, rooms.c.id, rooms.c.digest, rooms.c.known_at, rooms.c.participants).where(
            rooms.c.account_id == account_id, rooms.c.sid.in_(sids), rooms.c.replaced_at.is_(None)
        )
        for sid, *current in await connection.execute(query):
            found[account_id, sid] = Current(*current)
    return found


def _by_account(keys: Iterable[Key]) -> list[tuple[int, Sequence[bytes]]]:
    """The sids of each account, in runs that fit into a statement."""
    sids: dict[int, list[bytes]] = {}
    for account_id, sid in keys:
        sids.setdefault(account_id, []).append(sid)
    return [(account_id, part) for account_id, all_of_it in sids.items() for part in slices(all_of_it)]


async def _replace(connection: AsyncConnection, ids: list[int], at: int) -> None:
    for part in slices(ids):
        not_before = case((rooms.c.known_at > at, rooms.c.known_at), else_=at)
        await connection.execute(update(rooms).where(rooms.c.id.in_(part)).values(replaced_at=not_before))


class NewRow(NamedTuple):
    """A row of `rooms`, by the names of its columns."""

    account_id: int
    sid: bytes
    created: int | None
    ended: int
    listed_at: int | None
    known_at: int
    partial: bool
    participants: int
    digest: bytes
    body: bytes


async def _insert(connection: AsyncConnection, rows: list[NewRow]) -> None:
    """Hands the rows to the driver as they are: SQLAlchemy's own look at every value costs a tenth of all settling."""
    statement = insert(rooms).inline().compile(dialect=connection.dialect, column_keys=NewRow._fields)
    if rows:
        await connection.exec_driver_sql(str(statement), rows)


def _row(key: Key, one: Settling, old: Current | None, known_at: int) -> NewRow:
    return NewRow(
        account_id=key[0],
        sid=key[1],
        created=epoch(one.room.create_time),
        ended=one.ended,
        listed_at=one.listed_at,
        known_at=max(known_at, old.known_at) if old else known_at,
        partial=one.partial,
        participants=len(one.participants),
        digest=one.digest,
        body=one.body,
    )


async def _drop_open(connection: AsyncConnection, keys: Iterable[Key]) -> None:
    for account_id, sids in _by_account(keys):
        here = (open_rooms.c.account_id == account_id) & open_rooms.c.sid.in_(sids)
        await connection.execute(delete(open_rooms).where(here))


class Stored(msgspec.Struct, frozen=True):
    """The version of a settled room that counts: the `digest` of its summary, and since when it is known."""

    digest: bytes
    known_at: int
    partial: bool


async def stored(connection: AsyncConnection, account: str, sids: Sequence[str]) -> dict[str, Stored]:
    """Those of these rooms that have settled, by room sid."""
    found: dict[str, Stored] = {}
    for part in slices(sids):
        query = (
            select(rooms.c.sid, rooms.c.digest, rooms.c.known_at, rooms.c.partial)
            .join_from(rooms, accounts)
            .where(accounts.c.name == account, rooms.c.sid.in_(map(pack_sid, part)), rooms.c.replaced_at.is_(None))
        )
        for sid, *version in await connection.execute(query):
            found[unpack_sid(sid)] = Stored(*version)
    return found


async def settled_since(connection: AsyncConnection, after: int) -> tuple[tuple[str, int, int], ...]:
    """The rooms that settled for the first time later than `after`: account, start and that instant.

    Those that had ended long before are left out: after a first look they would be all rooms of days.
    """
    old = rooms.alias()
    replaced = select(old.c.id).where(
        old.c.replaced_at == rooms.c.known_at, old.c.account_id == rooms.c.account_id, old.c.sid == rooms.c.sid
    )
    query = (
        select(accounts.c.name, func.coalesce(rooms.c.created, rooms.c.ended), rooms.c.known_at)
        .join_from(rooms, accounts)
        .where(rooms.c.known_at > after, rooms.c.ended > after - SETTLES_WITHIN, ~replaced.exists())
    )
    return tuple([(name, started, known_at) for name, started, known_at in await connection.execute(query)])


EVER_VISIBLE = or_(rooms.c.replaced_at.is_(None), rooms.c.replaced_at > rooms.c.known_at)
"""What was replaced in the very second in which it became known was never visible."""
WHOLE = (rooms.c.id, accounts.c.name, rooms.c.ended, rooms.c.known_at, rooms.c.partial, rooms.c.body)


async def changes(connection: AsyncConnection, after: int, upto: int) -> list[Change]:
    """What became known or ceased to hold in `after` < instant ≤ `upto`, by (instant, account, sid), ceasing first."""
    came = select(rooms.c.known_at.label("at"), *WHOLE).where(rooms.c.known_at > after, rooms.c.known_at <= upto)
    went = select(rooms.c.replaced_at.label("at"), *WHOLE).where(
        rooms.c.replaced_at > after, rooms.c.replaced_at <= upto
    )
    found = [Change(at=row.at, room=_settled(row, row.at), sign=-1) for row in await _rows(connection, went)]
    found += [Change(at=row.at, room=_settled(row), sign=1) for row in await _rows(connection, came)]
    return sorted(found, key=lambda change: (change.at, change.room.account, change.room.room.room_sid, change.sign))


async def coming(connection: AsyncConnection, after: int, upto: int, most: int) -> tuple[list[Change], int]:
    """The first changes in `after` < instant ≤ `upto`, and the instant up to which they are all there are.

    No more than twice `most`, unless those of one instant are: it is given whole.
    """
    until = upto
    for instant in (rooms.c.known_at, rooms.c.replaced_at):
        following = select(instant).where(instant > after, instant <= until).order_by(instant).offset(most).limit(1)
        beyond = (await connection.execute(following)).scalar()
        if beyond is not None:
            until = max(beyond - 1, after + 1)
    return await changes(connection, after, until), until


async def _rows(connection: AsyncConnection, query: Select[*tuple[object, ...]]) -> Sequence[Row[*tuple[object, ...]]]:
    return (await connection.execute(query.join_from(rooms, accounts).where(EVER_VISIBLE))).all()


def _settled(row: Row[*tuple[object, ...]], replaced_at: int | None = None) -> SettledRoom:
    """The room as it stood then: a later replacement is not told to those who look at an earlier instant."""
    body = unpack_body(row.body)
    return SettledRoom(
        account=row.name,
        room=body.room,
        participants=body.participants,
        ended=row.ended,
        known_at=row.known_at,
        replaced_at=replaced_at,
        partial=row.partial,
    )


Place: TypeAlias = tuple[int, int]
"""Where a reader of many rooms stands: `ended` and row number of the last one."""


async def visible(
    connection: AsyncConnection, at: int, behind: Place, upto: int
) -> tuple[list[SettledRoom], Place | None]:
    """The next rooms in order of `ended`, as they were known at `at`; and the place to go on from, None at the end."""
    ended, last = behind
    further = and_(rooms.c.ended.between(ended, upto), or_(rooms.c.ended > ended, rooms.c.id > last))
    known = and_(rooms.c.known_at <= at, or_(rooms.c.replaced_at.is_(None), rooms.c.replaced_at > at))
    query = select(*WHOLE).where(further, known).order_by(rooms.c.ended, rooms.c.id).limit(BATCH)
    rows = await _rows(connection, query)
    place = (rows[-1].ended, rows[-1].id) if len(rows) == BATCH else None
    return [_settled(row) for row in rows], place


async def next_change(connection: AsyncConnection, after: int) -> int | None:
    """The first instant later than `after` at which a room became known or ceased to hold."""
    came = select(func.min(rooms.c.known_at)).where(rooms.c.known_at > after, EVER_VISIBLE)
    went = select(func.min(rooms.c.replaced_at)).where(rooms.c.replaced_at > after, EVER_VISIBLE)
    instants = [(await connection.execute(query)).scalar_one() for query in (came, went)]
    return min((at for at in instants if at is not None), default=None)
