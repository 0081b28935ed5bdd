"""The store: rooms, alerts, groups and the outbox, kept in SQLite or PostgreSQL; domain types in and out, never rows.

It reads no clock: every instant is an argument, in whole seconds since the epoch. Every method raises StoreError, with
cause and remedy, when the database fails it. What belongs together happens in one transaction, and a call that has
begun is carried out even if its caller is cancelled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from alertd.engine.acks import Ack
from alertd.engine.counting import Counted
from alertd.engine.coverage import Coverage
from alertd.engine.outcome import Event, Outcome, Sight, Snapshot
from alertd.engine.posted import Posted
from alertd.engine.records import SettledRoom
from alertd.engine.settle import OpenRoom
from alertd.engine.silences import Silence
from alertd.engine.ticks import Change
from alertd.errors import StoreError
from alertd.store import decisions, keeping, migrate, outbox, requests, rooms, silences, turns, upkeep, waiting
from alertd.store.database import Database, connect
from alertd.store.outbox import Attempt, Claimed, OutboxEntry
from alertd.store.packing import digest
from alertd.store.rooms import Settling, Stored
from alertd.store.schema import VERSIONS
from alertd.store.upkeep import backup

__all__ = [
    "Attempt",
    "Change",
    "Claimed",
    "OutboxEntry",
    "Settling",
    "Store",
    "Stored",
    "backup",
    "digest",
    "open_store",
    "upgrade",
]


async def open_store(url: str, *, migrate: bool = True) -> Store:
    """The store at `sqlite:///PATH` or `postgresql://…`, its schema brought up to date unless `migrate` is False.

    StoreError if it is locked, read-only, unreachable, not a database, of a newer alertd, behind and not to be
    migrated, or if its folder or its driver is missing.
    """
    database = connect(url)
    try:
        await _prepare(database, migrating=migrate)
    except BaseException:  # cancelled too: nobody else will close it
        await database.close()
        raise
    return Store(database)


async def _prepare(database: Database, *, migrating: bool) -> None:
    if migrating:
        await migrate.bring_up(database)
    elif await migrate.version(database) != VERSIONS[-1]:
        raise StoreError(f"{database.name} is of an older alertd; run `alertd db upgrade`")


async def upgrade(url: str) -> tuple[str | None, str]:
    """Bring the schema up to date; returns its version before (None: it was empty) and after."""
    database = connect(url)
    try:
        return await migrate.bring_up(database)
    finally:
        await database.close()


class Store:
    """One open database; made by `open_store`, to be closed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ready = True

    def is_ready(self) -> bool:
        """Whether the database is open and of this program's version."""
        return self._ready

    async def ping(self) -> None:
        """Ask the database anything; StoreError if it does not answer."""
        await self.evaluated_until()

    async def close(self) -> None:
        """Carry out what has begun, then close all connections."""
        self._ready = False
        await self._database.close()

    # -- collecting

    async def note_open(self, account: str, waiting_rooms: Sequence[OpenRoom]) -> None:
        """Keep rooms that are not final, or what is new about them; the first `listed_at` stays."""
        await self._database.write(waiting.note_open, account, waiting_rooms)

    async def note_going(self, account: str, started: Mapping[str, int], now: int) -> None:
        """Keep rooms that go on, by sid with the second of their start, until they are open, settled or a day old."""
        await self._database.write(waiting.note_going, account, started, now)

    async def open_rooms(self, account: str) -> dict[str, OpenRoom]:
        """The account's rooms that are not final, by room sid."""
        found = await self._database.read(waiting.waiting_rooms, account)
        return {room.room_sid: room for room in found}

    async def drop_open(self, account: str, sids: Sequence[str]) -> None:
        """Forget rooms that will never become final (Twilio has lost them)."""
        await self._database.write(waiting.drop_open, account, sids)

    async def stored(self, account: str, sids: Sequence[str]) -> dict[str, Stored]:
        """Those of these rooms that have settled, by room sid."""
        return await self._database.read(rooms.stored, account, sids)

    async def settle(self, settling: Sequence[Settling], now: int) -> int:
        """Store rooms with all their participants; returns how many were new or changed.

        They are known from `now` on, or from just behind what `changes` has already given out. A room whose summary
        is stored is ignored; a changed one takes the place of the old. They are no longer open.
        """
        return await self._database.write(rooms.settle, settling, now)

    async def cover(self, account: str, coverage: Coverage) -> None:
        """This is what has been listed of the account, in place of what was known before."""
        await self._database.write(waiting.cover, account, coverage)

    async def coverage(self, account: str) -> Coverage:
        """Which starts of rooms were listed, and when, oldest starts first; empty before the first look."""
        return await self._database.read(waiting.covered, account)

    async def saw(self, account: str, at: int, gap: int) -> None:
        """The account was polled at `at`; more than `gap` seconds after the last time, a new sight begins."""
        await self._database.write(waiting.saw, account, at, gap)

    async def sights(self) -> tuple[Sight, ...]:
        """The stretches in which accounts were seen, by account and time."""
        return await self._database.read(waiting.seen)

    async def take_lease(self, name: str, holder: str, now: int, seconds: int) -> bool:
        """Whether `holder` has the lease `name` for so many seconds from `now`; taking it again makes it longer."""
        return await self._database.write(turns.take_lease, name, holder, now, seconds)

    async def release_lease(self, name: str, holder: str) -> None:
        """Give the lease up, if `holder` has it."""
        await self._database.write(turns.release_lease, name, holder)

    # -- evaluating

    async def evaluated_until(self) -> int | None:
        """Up to when decisions are committed; None before the first."""
        return await self._database.read(turns.evaluated_until)

    async def changes(self, after: int, upto: int, *, close: bool = True) -> list[Change]:
        """What became known or ceased to hold in `after` < instant ≤ `upto`, by (instant, account, sid), ceasing first.

        The interval is closed by reading it: what settles from now on is known later than `upto`, so that no
        evaluation misses it. `close=False` only looks, for those who go over the past.
        """
        if close and not await self._database.read(turns.is_closed, upto):
            await self._database.write(turns.close_until, upto)
        return await self._database.read(rooms.changes, after, upto)

    async def coming(self, after: int, upto: int, most: int) -> tuple[list[Change], int]:
        """The first of the changes in `after` < instant ≤ `upto`, some `most` of them in whole instants, and the
        instant up to which they are all there are. The interval must have been closed."""
        return await self._database.read(rooms.coming, after, upto, most)

    async def visible(self, at: int, ended_after: int, ended_upto: int = 2**62) -> AsyncIterator[list[SettledRoom]]:
        """All rooms with `ended_after` < `ended` ≤ `ended_upto` as they were known at `at`, by `ended`, in batches of
        at most 200."""
        place: rooms.Place | None = (ended_after + 1, -1)
        while place is not None:
            batch, place = await self._database.read(rooms.visible, at, place, ended_upto)
            if batch:
                yield batch

    async def next_change(self, after: int) -> int | None:
        """The first instant later than `after` at which `changes` has something."""
        return await self._database.read(rooms.next_change, after)

    async def snapshot(self, at: int) -> Snapshot:
        """All that a decision at `at` looks at, as of one moment of the database."""
        return await self._database.read(decisions.snapshot, at)

    async def keep_counted(self, at: int, counted: Counted) -> None:
        """Keep what was counted up to `at` for the next start, in place of what was kept before."""
        await self._database.write(keeping.keep, at, keeping.pack(counted))

    async def kept_counted(self, moment: int) -> tuple[int, Counted] | None:
        """What was kept last, with its instant; None if that is later than `moment`, of another alertd, or damaged."""
        found = await self._database.read(keeping.kept, moment)
        counted = keeping.unpack(found[1]) if found else None
        return (found[0], counted) if found and counted else None

    async def commit(self, outcome: Outcome, *, expected: int | None, until: int) -> bool:
        """Write all that a decision changed, its notifications queued to be sent at `until`, and `evaluated_until`.

        False, and nothing written, if `evaluated_until` is no longer `expected`: another evaluation came first.
        """
        return await self._database.write(decisions.commit, outcome, expected, until)

    async def trouble(self, kind: str, subject: str, message: str, now: int) -> None:
        """Note something that cannot be done; while it lasts `since` stays and the message is the latest."""
        await self._database.write(decisions.trouble, kind, subject, message, now)

    async def clear_trouble(self, kind: str, subject: str, now: int) -> None:
        """It can be done again; nothing happens if it always could."""
        await self.clear_troubles([kind], subject, now)

    async def clear_troubles(self, kinds: Sequence[str], subject: str, now: int) -> None:
        """None of these kinds of trouble lasts, whichever alertd had noted it."""
        await self._database.write(decisions.clear_troubles, kinds, subject, now)

    # -- what people ask for

    async def change_silence(self, id: str, how: silences.Change) -> tuple[Silence, ...]:  # noqa: A002 - its name
        """Write what `how` makes of the silence with this id (None: there is none); returns what was written.

        It is asked within the transaction, and what it raises undoes that.
        """
        return await self._database.write(silences.change, id, how)

    async def silences(self, ended_after: int) -> tuple[Silence, ...]:
        """The silences that have not ended by `ended_after`, by id."""
        return await self._database.read(silences.ending_after, ended_after)

    async def put_ack(self, ack: Ack) -> None:
        """Somebody looks after an alert; this takes the place of what was said of it before."""
        await self._database.write(requests.put_ack, ack)

    async def drop_ack(self, fingerprint: str) -> bool:
        """Nobody looks after the alert any more; False if nobody did."""
        return await self._database.write(requests.drop_ack, fingerprint)

    async def post(self, alerts: Sequence[Posted], join: requests.Join) -> None:
        """Keep alerts that others post, each as `join` makes it of what was known of it and what comes."""
        await self._database.write(requests.post, alerts, join)

    # -- delivering

    async def claim(self, now: int, holder: str, lease: int, limit: int) -> list[Claimed]:
        """Up to `limit` due ones, oldest first, `holder`'s for `lease` seconds; one a group and integration."""
        return await self._database.write(outbox.claim, now, holder, lease, limit)

    async def sent(self, notification_id: str, now: int, answer: str) -> None:
        """It was sent."""
        await self._database.write(
            outbox.attempted, notification_id, now, "sent", answer, state="sent", finished_at=now
        )

    async def again(self, notification_id: str, send_at: int, now: int, error: str) -> None:
        """It was not taken; it is due again at `send_at`."""
        await self._database.write(outbox.attempted, notification_id, now, "again", error, send_at=send_at)

    async def failed(self, notification_id: str, now: int, error: str) -> None:
        """It was not taken, and is given up until somebody retries it by hand."""
        await self._database.write(
            outbox.attempted, notification_id, now, "failed", error, state="failed", finished_at=now
        )

    async def give_back(self, ids: Sequence[str], holder: str) -> None:
        """Let go of claimed notifications that were not attempted."""
        await self._database.write(outbox.give_back, ids, holder)

    async def give_back_all(self, holder: str) -> None:
        """Let go of all that `holder` claimed, for one that begins anew under its name."""
        await self._database.write(outbox.give_back_all, holder)

    async def next_send_at(self) -> int | None:
        """The first instant at which `claim` can find something: due, first in its line, and in nobody's hands."""
        return await self._database.read(outbox.next_send_at)

    async def deliveries(self, *, failed: bool = False, limit: int = 100) -> list[OutboxEntry]:
        """The newest notifications (or only those that failed), newest first."""
        return await self._database.read(outbox.entries, failed, limit)

    async def attempts(self, notification_id: str) -> list[Attempt]:
        """Every attempt at a notification, in order, with what came back."""
        return await self._database.read(outbox.attempts, notification_id)

    async def retry(self, notification_id: str, now: int) -> bool:
        """Queue a failed notification again, or send a waiting one sooner; False if there is none, or it was sent."""
        return await self._database.write(outbox.retry, notification_id, now)

    async def outbox_counts(self) -> dict[str, int]:
        """How many notifications are queued, sent, failed."""
        return await self._database.read(outbox.counts)

    async def oldest_queued_at(self) -> int | None:
        """When the oldest notification that still waits was queued."""
        return await self._database.read(outbox.oldest_queued_at)

    # -- housekeeping

    async def prune(self, now: int, keep: int) -> dict[str, int]:
        """Delete what was over `keep` seconds before `now`, in slices; returns how many rows went, by table."""
        return await upkeep.prune(self._database, now, keep)

    async def events(self, after: int = 0, limit: int = 1000) -> list[Event]:
        """The newest events later than `after`, at most `limit`, oldest first."""
        return await self._database.read(decisions.history, after, limit)

    async def counts(self) -> dict[str, int]:
        """How much is stored: rooms, participants, open, alerts, groups."""
        return await self._database.read(upkeep.counts)

    async def pseudonym_key(self) -> bytes:
        """32 random bytes, made once for each database."""
        return await self._database.write(turns.pseudonym_key)
