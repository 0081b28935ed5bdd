"""Loop 1: list an account's recent rooms, settle those that are final with all their participants, store both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from alertd.clock import Clock
from alertd.engine.records import Participant, Room
from alertd.engine.settle import NARROW, RETENTION, Final, Open, OpenRoom, is_wide_due, settle, stretches
from alertd.errors import CredentialsError, NotFoundError, SourceError, StoreError
from alertd.store import Settling, Store, digest

log = structlog.get_logger()

BATCH = 200
"""Rooms whose participants are fetched and committed together."""
LOOK_LEASE = 60
"""Real seconds for which a look at an account belongs to one alertd unless it says again."""
CATCH_UP_WITHIN = 300
"""Real seconds for which judging waits until what was missed has been read."""
REFUSED_PAUSE = 600
"""The longest wait in seconds between looks with a key that Twilio refuses."""
MOST_SKEW = 90
"""Seconds by which the clocks may differ before that is told."""


class Source(Protocol):
    """What collecting asks of Twilio; see insights.client for meaning and errors."""

    account: str
    clock_skew: float | None
    faults: Counter[str]

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
    """What one look at an account came to, in rooms; `gap` says what no look can find any more, `error` why it was cut
    short."""

    account: str
    listed: int = 0
    settled: int = 0
    given_up: int = 0
    waiting: int = 0
    lost: int = 0
    unread: int = 0
    gap: str = ""
    error: str = ""
    skipped: bool = False

    @property
    def blind(self) -> bool:
        """Whether too little of what was listed could be read to call the account seen."""
        return self.unread > self.settled


Looked = Callable[[Look], None]


class Collector:
    """Looks at one account; every look is complete in itself, so that a crash or a failure costs nothing but time."""

    def __init__(
        self,
        source: Source,
        store: Store,
        clock: Clock,
        *,
        look_back: int,
        settle_timeout: int,
        every: int,
        holder: str,
        looked: Looked = lambda _: None,
    ) -> None:
        self.account = source.account
        self._source = source
        self._store = store
        self._clock = clock
        self._look_back = look_back
        self._settle_timeout = settle_timeout
        self._gap = max(600, 3 * every)
        self._holder = holder
        self._looked = looked
        self._faults_told = 0
        self._stored: dict[str, bytes] = {}
        self._behind_since: float | None = clock.now()
        self._wide_at: int | None = None
        self._refused = 0
        self._not_before = 0

    @property
    def catching_up(self) -> bool:
        """Whether rooms that ended unseen are being read, by the first look or the first after a gap; not for ever."""
        if self._behind_since is None:
            return False
        return self._clock.now() - self._behind_since < CATCH_UP_WITHIN * self._clock.speed

    async def look(self) -> Look:
        """One look: list, settle, fetch, store. Trouble with Twilio is recorded and returned, not raised."""
        try:
            return await self._guarded_look()
        finally:
            self._behind_since = None

    async def _guarded_look(self) -> Look:
        look = Look(self.account)
        if self._now() < self._not_before or not await self._lease():
            look.skipped = True
            return look
        try:
            await self._look(look)
        except CredentialsError as error:
            self._slow_down()
            await self._in_trouble(look, "credentials", error)
        except SourceError as error:
            await self._in_trouble(look, "poll", error)
        else:
            self._refused = 0
            await self._recovered(look)
        self._looked(look)
        return look

    def _slow_down(self) -> None:
        """A refused key will hardly be right again in a minute: ask more and more rarely."""
        self._refused += 1
        self._not_before = self._now() + min(60 * 2**self._refused, REFUSED_PAUSE)

    async def _look(self, look: Look) -> None:
        now = self._now()
        waiting = await self._store.open_rooms(self.account)
        seen_until = max((s.seen_until for s in await self._store.sights() if s.account == self.account), default=None)
        if seen_until is None or now - seen_until > self._gap:
            self._behind_since = self._clock.now()
        await self._tell_gap(look, seen_until, now)
        listed: set[str] = set()
        wide = is_wide_due(now, self._wide_at)
        for stretch in stretches(now, self._look_back if wide else NARROW, seen_until):
            pages = self._source.list_rooms(
                created_after=_moment(stretch.after), created_before=_before(stretch.before)
            )
            async for page in pages:
                rooms = {room.room_sid: room for room in page}
                listed |= rooms.keys()
                await self._take(look, rooms.values(), waiting)
        for sid, room in waiting.items():
            if sid not in listed and room.look_again_at <= now:
                await self._look_again(look, room, waiting)
        if wide:
            self._wide_at = now
            self._stored = {sid: summary for sid, summary in self._stored.items() if sid in listed}
        if not look.blind:  # what could not be read may not pass for recovery
            await self._store.saw(self.account, now, self._gap)
        look.waiting = len(await self._store.open_rooms(self.account))

    async def _tell_gap(self, look: Look, seen_until: int | None, now: int) -> None:
        """Say so before it is looked past: what ended since the last look and is older than Twilio keeps is gone."""
        if seen_until is not None and seen_until < now - RETENTION:
            look.gap = f"not seen from {_moment(seen_until):%F %T} UTC on, for longer than Twilio keeps rooms"
            log.error("coverage_gap", account=self.account, since=seen_until)
            await self._tell("lost", look.gap)

    async def _look_again(self, look: Look, known: OpenRoom, waiting: dict[str, OpenRoom]) -> None:
        """A room that is open but listed no more is read by itself."""
        try:
            room = await self._source.fetch_room(known.room_sid)
        except NotFoundError:
            await self._gone(look, known)
        else:
            await self._take(look, [room], waiting)

    async def _gone(self, look: Look, known: OpenRoom) -> None:
        """404: perhaps only not yet; past the settle timeout it is lost, and that is said."""
        now = self._now()
        if now < (known.ended or known.listed_at) + self._settle_timeout:
            await self._store.note_open(self.account, [_again(known, now + 60, "not found")])
            return
        look.lost += 1
        await self._store.drop_open(self.account, [known.room_sid])
        log.error("room_lost", account=self.account, room_sid=known.room_sid)

    async def _take(self, look: Look, rooms: Iterable[Room], waiting: dict[str, OpenRoom]) -> None:
        """Sort rooms into those still open and those final and new, and settle the latter."""
        now, final, still_open = self._now(), {}, []
        for room in rooms:
            look.listed += 1
            verdict = settle(room, now, self._settle_timeout)
            if isinstance(verdict, Final):
                final[room.room_sid] = (room, verdict)
            elif known := _as_open(self.account, room, verdict, now):
                still_open.append(known)
        changed = [new for new in still_open if _differs(new, waiting.get(new.room_sid))]
        if changed:
            await self._store.note_open(self.account, changed)
        fresh = await self._not_stored(final)
        stored = (final.keys() & waiting.keys()) - {room.room_sid for room, _ in fresh}
        if stored:  # waited for all the same: for a while their summary was, or seemed to be, another
            await self._store.drop_open(self.account, sorted(stored))
        for start in range(0, len(fresh), BATCH):
            await self._settle(look, fresh[start : start + BATCH], waiting)

    async def _not_stored(self, final: dict[str, tuple[Room, Final]]) -> list[tuple[Room, Final]]:
        """Those whose summary, as it is now, is not in the store; what is there is remembered from look to look."""
        digests = {sid: digest(room) for sid, (room, _) in final.items()}
        unsure = [sid for sid, summary in digests.items() if self._stored.get(sid) != summary]
        if unsure:
            self._stored |= await self._store.digests(self.account, unsure)
        return [final[sid] for sid in unsure if self._stored.get(sid) != digests[sid]]

    async def _settle(self, look: Look, batch: Iterable[tuple[Room, Final]], waiting: dict[str, OpenRoom]) -> None:
        await self._lease()
        try:
            async with asyncio.TaskGroup() as tasks:
                reads = [tasks.create_task(self._read(look, room, final, waiting)) for room, final in batch]
        except ExceptionGroup as group:  # one failure of the database says it all
            failed = group.subgroup(StoreError)
            if failed is None:
                raise
            raise failed.exceptions[0] from None
        settled = [room for read in reads if (room := read.result()) is not None]
        if settled:
            look.settled += await self._store.settle(settled, self._now())

    async def _read(self, look: Look, room: Room, final: Final, waiting: dict[str, OpenRoom]) -> Settling | None:
        """The room with its participants; None if they cannot be had now, and then it stays open."""
        known = waiting.get(room.room_sid)
        listed_at = known.listed_at if known else self._now()
        partial = final.partial
        try:
            people = await self._source.list_participants(room.room_sid)
        except SourceError as error:  # a refusal too: Twilio has just listed the room, so the key itself is good
            if not isinstance(error, NotFoundError) or self._now() < final.ended + 2 * self._settle_timeout:
                look.unread += 1
                log.warning("room_unread", account=self.account, room_sid=room.room_sid, error=str(error))
                await self._store.note_open(self.account, [self._unread(room, final, listed_at)])
                return None
            people, partial = [], True  # Twilio has the room but no more its participants
            look.lost += 1
        look.given_up += int(final.partial)
        return Settling(
            account=self.account,
            room=room,
            participants=tuple(people),
            ended=final.ended,
            partial=partial,
            listed_at=listed_at,
        )

    def _unread(self, room: Room, final: Final, listed_at: int) -> OpenRoom:
        return OpenRoom(
            account=self.account,
            room_sid=room.room_sid,
            listed_at=listed_at,
            ended=final.ended,
            look_again_at=self._now() + 60,
            why="participants unread",
        )

    async def _lease(self) -> bool:
        seconds = int(LOOK_LEASE * self._clock.speed)
        return await self._store.take_lease(f"look/{self.account}", self._holder, self._now(), seconds)

    async def _in_trouble(self, look: Look, kind: str, error: SourceError) -> None:
        look.error = str(error)
        log.error("look_failed", account=self.account, kind=kind, error=str(error))
        await self._tell(kind, str(error))

    async def _recovered(self, look: Look) -> None:
        """Nothing hinders looking any more; what this look noticed is told apart."""
        skew = self._source.clock_skew or 0.0
        faults = self._source.faults.total()
        slow = look.given_up >= 3 and look.given_up * 10 >= look.settled
        noticed = {
            "poll": f"{look.unread} rooms could not be read" if look.blind else "",
            "credentials": "",
            "clock": f"Twilio's clock is {skew:+.0f} s off alertd's" if abs(skew) > MOST_SKEW else "",
            "records": f"{faults} values could not be read" if faults > self._faults_told else "",
            "lost": look.gap or (f"{look.lost} rooms vanished before they were complete" if look.lost else ""),
            "settling": f"{look.given_up} of {look.settled} rooms were not complete in time" if slow else "",
        }
        self._faults_told = faults
        for kind, message in noticed.items():
            if message:
                await self._tell(kind, message)
        # All others, for what lasts may have been told before a restart, or by another alertd.
        await self._store.clear_troubles([kind for kind in noticed if not noticed[kind]], self.account, self._now())

    async def _tell(self, kind: str, message: str) -> None:
        await self._store.trouble(kind, self.account, message, self._now())

    def _now(self) -> int:
        return int(self._clock.now())


def _as_open(account: str, room: Room, verdict: Open, now: int) -> OpenRoom | None:
    """The row of a room that has ended but is not final; one that goes on is found again by listing it."""
    if verdict.ended is None:
        return None
    return OpenRoom(
        account=account,
        room_sid=room.room_sid,
        listed_at=now,
        ended=verdict.ended,
        look_again_at=verdict.look_again_at,
        why=verdict.why,
    )


def _differs(new: OpenRoom, known: OpenRoom | None) -> bool:
    """Whether the row is worth writing: when it is looked at again is decided anew at each listing anyway."""
    return known is None or (new.ended, new.why) != (known.ended, known.why)


def _again(known: OpenRoom, look_again_at: int, why: str) -> OpenRoom:
    return OpenRoom(
        account=known.account,
        room_sid=known.room_sid,
        listed_at=known.listed_at,
        ended=known.ended,
        look_again_at=look_again_at,
        why=why,
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _before(seconds: int | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)
