"""From rooms as they are listed to rooms that count: which are final and new, read with all participants, stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Protocol

import structlog

from alertd.clock import Clock
from alertd.engine.records import Participant, Room, epoch
from alertd.engine.settle import Final, Open, OpenRoom, settle
from alertd.errors import CircuitOpenError, NotFoundError, SourceError
from alertd.store import Settling, Store, Stored, digest

log = structlog.get_logger()

BATCH = 200
"""Rooms that are committed together at most."""
UNREAD = "participants unread"
"""Why a room waits that is final but for its participants."""
GATHER = 0.2
"""Real seconds for which rooms that are read wait for others at most before they are stored."""
REMEMBERED = 30_000
"""Summaries remembered from look to look, so that the database need not be asked for what is listed every minute."""


class Source(Protocol):
    """What collecting asks of Twilio; see insights.client for meaning and errors."""

    account: str
    page_size: int
    clock_skew: float | None
    faults: Counter[str]

    async def server_now(self) -> float:
        """Twilio's time."""

    def list_rooms(
        self, *, created_after: datetime, created_before: datetime | None = None
    ) -> AsyncIterator[list[Room]]:
        """Rooms by start, page by page."""

    async def fetch_room(self, room_sid: str) -> Room:
        """One room."""

    async def list_participants(self, room_sid: str) -> list[Participant]:
        """All participants of a room."""


@dataclass(slots=True)
class Look:
    """What one look at an account came to, in rooms.

    `unread` could not be read for the first time, `still_unread` have long been so. `missing` are the seconds of starts
    of which rooms may have been missed so far, from `missing_since` on; `unlisted` those of them that are recent and
    were never listed. `gap` says what no look can find any more, `error` why
    something was not read.
    """

    account: str
    listed: int = 0
    settled: int = 0
    corrected: int = 0
    given_up: int = 0
    waiting: int = 0
    lost: int = 0
    unread: int = 0
    still_unread: int = 0
    missing: int = 0
    missing_since: int | None = None
    unlisted: int = 0
    gap: str = ""
    error: str = ""
    skipped: bool = False

    @property
    def blind(self) -> bool:
        """Whether too little of what was listed could be read to call the account seen."""
        return self.unread > self.settled


class Settler:
    """Settles an account's rooms; what it remembers between looks (`known`: summaries that are stored) saves work."""

    def __init__(
        self, source: Source, store: Store, clock: Clock, *, settle_timeout: int, recheck: int, readers: int
    ) -> None:
        self.account = source.account
        self.source = source
        self.store = store
        self.settle_timeout = settle_timeout
        self.recheck = recheck
        self.readers = readers
        self.known: dict[str, int] = {}
        self.moved_at = clock.now()
        self.settled = 0
        self._clock = clock

    @asynccontextmanager
    async def at_work(self, look: Look, waiting: dict[str, OpenRoom]) -> AsyncIterator[Intake]:
        """An intake of rooms whose readers and writer run as long as the context lasts.

        Raises the first of what fails inside or in the context: StoreError, or what the context raised.
        """
        intake = Intake(self, look, waiting)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(intake.read_on()) for _ in range(self.readers)]
                running.append(tasks.create_task(intake.store_on()))
                try:
                    yield intake
                except SourceError:
                    await intake.emptied()  # what was listed before it failed is read all the same
                    raise
                await intake.emptied()
                for task in running:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.forget()

    def forget(self) -> None:
        """Remember no more than the summaries that were listed last."""
        for sid in list(islice(self.known, max(0, len(self.known) - REMEMBERED))):
            del self.known[sid]

    def now(self) -> int:
        """The time here."""
        return int(self._clock.now())

    def server_now(self) -> int:
        """Twilio's time, by its last answer: what ends of rooms are compared with."""
        return int(self._clock.now() + (self.source.clock_skew or 0.0))

    def common_now(self) -> int:
        """What is past by both clocks: whichever of them is wrong, nothing counts as seen that was not."""
        return min(self.now(), self.server_now())

    async def worth_reading(self, final: dict[str, tuple[Room, Final]]) -> dict[str, bool]:
        """Those whose summary is not in the store as it is now, and whether they are there with another one.

        A summary that changed goes on to be left alone until the stored one has stood for `recheck` seconds, unless
        that one was partial: what changes for a while is read again once.
        """
        self.moved_at = self._clock.now()
        stored = await self.store.stored(self.account, list(final)) if final else {}
        wanted = {}
        for sid, (room, verdict) in final.items():
            version = stored.get(sid)
            if version is None:
                wanted[sid] = False
            elif version.digest == digest(room):
                self.known[sid] = hash(room)
            elif (version.partial and not verdict.partial) or not self._is_fresh(version):
                wanted[sid] = True
        return wanted

    def _is_fresh(self, version: Stored) -> bool:
        return 0 <= self.now() - version.known_at < self.recheck


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that says it all; others followed from it."""
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


@dataclass(slots=True)
class Intake:
    """One look's rooms on their way: listed, then read by several readers at once, then stored by one writer."""

    settler: Settler
    look: Look
    waiting: dict[str, OpenRoom]
    outage: SourceError | None = None
    _under_way: int = 0
    _taken: set[str] = field(default_factory=set)
    _to_read: asyncio.Queue[tuple[Room, Final]] = field(default_factory=lambda: asyncio.Queue(BATCH))
    _to_store: asyncio.Queue[Settling | OpenRoom] = field(default_factory=lambda: asyncio.Queue(2 * BATCH))

    async def take(self, rooms: Iterable[Room], *, renewed: bool = False) -> dict[str, int]:
        """Sort rooms into those that go on, those still open and those final and new; hand on the latter two.

        Returns those that go on, by sid with the second of their start. When an open room is looked at again is worth
        writing only if it was read by itself (`renewed`).
        """
        going: dict[str, int] = {}
        now, account = self.settler.server_now(), self.settler.account
        final: dict[str, tuple[Room, Final]] = {}
        for room in rooms:
            self.look.listed += 1
            known = self.waiting.get(room.room_sid)
            if known is None and self.settler.known.get(room.room_sid) == hash(room):
                continue
            verdict = settle(room, now, self.settler.settle_timeout, known.ended if known else None)
            if isinstance(verdict, Final):
                if known is None or known.why != UNREAD or known.look_again_at <= now:
                    final[room.room_sid] = (room, verdict)
            elif verdict.ended is None:
                started = epoch(room.create_time)
                going |= {} if started is None else {room.room_sid: started}
            else:
                await self._note(_as_open(account, room, verdict, self.settler.now()), renewed=renewed)
        wanted = await self.settler.worth_reading(final)
        idle = (final.keys() & self.waiting.keys()) - wanted.keys()
        if idle:  # waited for all the same: for a while their summary was, or seemed to be, another
            await self.settler.store.drop_open(account, sorted(idle))
        for sid, is_change in wanted.items():
            if sid not in self._taken:
                self._taken.add(sid)
                self._under_way += 1
                self.look.corrected += is_change
                await self._to_read.put(final[sid])
        return going

    async def _note(self, room: OpenRoom, *, renewed: bool) -> None:
        known = self.waiting.get(room.room_sid)
        if renewed or known is None or (room.ended, room.why, room.started) != (known.ended, known.why, known.started):
            await self._to_store.put(room)

    async def emptied(self) -> None:
        """Wait until all that was taken is stored, or noted to be looked at again; raises what cut reading short."""
        await self._to_read.join()
        await self._to_store.join()
        self._taken.clear()
        self.settler.forget()
        if self.outage is not None:
            raise self.outage

    async def read_on(self) -> None:
        """Read room after room."""
        while True:
            room, final = await self._to_read.get()
            try:
                if self.outage is None:
                    found = await self._read(room, final)
                    if isinstance(found, Settling):
                        found.body  # noqa: B018 - packed here, one by one: a batch at once would hold up all readers
                    await self._to_store.put(found)
            except CircuitOpenError as error:
                self.outage = error
            finally:
                self._under_way -= 1
                self._to_read.task_done()

    async def _read(self, room: Room, final: Final) -> Settling | OpenRoom:
        """The room with its participants; to be looked at again if they cannot be had now."""
        settler, look = self.settler, self.look
        known = self.waiting.get(room.room_sid)
        listed_at = known.listed_at if known else settler.now()
        partial = final.partial
        try:
            people = await settler.source.list_participants(room.room_sid)
        except CircuitOpenError:
            raise
        except SourceError as error:  # a refusal too: Twilio has just listed the room, so the key itself is good
            patient = settler.server_now() < final.ended + 2 * settler.settle_timeout
            if patient or not isinstance(error, NotFoundError):
                look.unread += known is None or known.why != UNREAD
                log.warning("room_unread", account=settler.account, room_sid=room.room_sid, error=str(error))
                again = Open(again_at(settler.server_now(), final.ended), UNREAD, final.ended)
                return _as_open(settler.account, room, again, listed_at)
            people, partial = [], True  # Twilio has the room but no more its participants
            look.lost += 1
        look.given_up += int(final.partial)
        return Settling(
            account=settler.account,
            room=room,
            participants=tuple({one.participant_sid: one for one in people}.values()),  # pages may have shifted
            ended=final.ended,
            partial=partial,
            listed_at=listed_at,
        )

    async def store_on(self) -> None:
        """Store what has been read, many rooms in a transaction as long as more are under way, but without delay."""
        while True:
            batch = [await self._to_store.get()]
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER):
                    while len(batch) < BATCH and (self._under_way or not self._to_store.empty()):
                        batch.append(await self._to_store.get())
            await self._store(batch)
            for _ in batch:
                self._to_store.task_done()

    async def _store(self, batch: list[Settling | OpenRoom]) -> None:
        settler = self.settler
        final = [one for one in batch if isinstance(one, Settling)]
        again = [one for one in batch if isinstance(one, OpenRoom)]
        if again:
            await settler.store.note_open(settler.account, again)
        if final:
            settled = await settler.store.settle(final, settler.now())
            self.look.settled += settled
            settler.settled += settled
            settler.moved_at = settler.now()
            settler.known |= {one.room.room_sid: hash(one.room) for one in final}


def _as_open(account: str, room: Room, verdict: Open, listed_at: int) -> OpenRoom:
    """The row of a room that has ended but is not final; one that goes on is found again by listing it."""
    return OpenRoom(
        account=account,
        room_sid=room.room_sid,
        listed_at=listed_at,
        ended=verdict.ended,
        look_again_at=verdict.look_again_at,
        why=verdict.why,
        started=epoch(room.create_time),
    )


def again_at(now: int, ended: int) -> int:
    """When to try a room again that could not be read: the later the longer ago it ended, within an hour."""
    return now + min(3600, max(60, (now - ended) // 10))
