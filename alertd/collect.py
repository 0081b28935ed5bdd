"""Loop 1: look at an account's rooms, as the plan of calls says, until everything that Twilio has is settled here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog

from alertd.clock import Clock
from alertd.engine.coverage import NEARLY_LOST, RETENTION, Stretch
from alertd.engine.settle import OpenRoom, further_lists, plan_look
from alertd.errors import CredentialsError, SourceError, StoreError
from alertd.listing import CatchUp, Listing
from alertd.settling import UNREAD, Intake, Look, Settler, Source
from alertd.store import Store

__all__ = ["CatchUp", "Collector", "Look", "Looked", "Source"]

log = structlog.get_logger()

LOOK_LEASE = 30
"""Real seconds for which a look at an account belongs to one alertd unless it says again."""
CATCH_UP_WITHIN = 300
"""Real seconds for which judging waits until what was missed has been read."""
STUCK_AFTER = 30
"""Real seconds without an answer after which judging waits no longer: one account's trouble is no other's."""
LONG_UNREAD = 3600
"""Seconds past its end after which a room that cannot be read is told of."""
REFUSED_PAUSE = 600
"""The longest wait in seconds between looks with a key that Twilio refuses."""
MOST_SKEW = 90
"""Seconds by which the clocks may differ before that is told."""

Looked = Callable[[Look], None]


class Collector:
    """Looks at one account; what a look has covered is kept, so that a crash or a failure costs nothing but time."""

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
        backfill: int = 0,
        recheck: int = 600,
        readers: int = 16,
        looked: Looked = lambda _: None,
    ) -> None:
        self.account = source.account
        self._source = source
        self._store = store
        self._clock = clock
        self._look_back = look_back
        self._every = every
        self._gap = max(600, 3 * every)
        self._holder = holder
        self._looked = looked
        self._settler = Settler(source, store, clock, settle_timeout=settle_timeout, recheck=recheck, readers=readers)
        self._listing = Listing(source, store, self._settler, look_back=look_back, backfill=backfill, usual=self._gap)
        self._faults_told = 0
        self._behind_since: float | None = clock.now()
        self._is_watching = False
        self._refused = 0
        self._not_before = 0

    @property
    def catching_up(self) -> bool:
        """Whether rooms that ended unseen are being read, by the first look or the first after a gap; not for ever."""
        if self._behind_since is None:
            return False
        now, speed = self._clock.now(), self._clock.speed
        moved_at = now if self._is_watching else self._settler.moved_at
        stuck = now - max(self._behind_since, moved_at) > STUCK_AFTER * speed
        return 0 <= now - self._behind_since < CATCH_UP_WITHIN * speed and not stuck

    @property
    def catch_up(self) -> CatchUp:
        """How far catching up has come."""
        return self._listing.catch_up

    @property
    def missing(self) -> int:
        """Seconds of starts of which rooms may have been missed so far."""
        now = self.common_now()
        return sum((one.before or now) - one.after for one in self._listing.missing(now))

    @property
    def caught_up(self) -> int:
        """Rooms settled since catching up began."""
        return self._settler.settled - self.catch_up.settled_before

    async def look(self, *, whole: bool = False) -> Look:
        """One look: list, settle, fetch, store. Trouble with Twilio is recorded and returned, not raised.

        What can wait is left to the next look after `every` seconds, unless this look is to see the `whole`.
        """
        look = Look(self.account)
        if self._now() < self._not_before <= self._now() + REFUSED_PAUSE:  # or the clock was set back meanwhile
            look.skipped = True
            self._behind_since = None
            return look
        self._is_watching = not await self._lease()
        if self._is_watching:
            return await self._watched(look)
        try:
            async with self._leased():
                await self._guarded(look, whole=whole)
        except BaseException:  # cancelled too: nobody waits any more for what this look was to read
            self._behind_since = None
            raise
        if look.error or look.unlisted <= self._gap:  # the last moments are always unlisted
            self._behind_since = None
        self._looked(look)
        return look

    async def _watched(self, look: Look) -> Look:
        """Another alertd looks: whether it has caught up stands in the database."""
        look.skipped = True
        await self._listing.load()
        if self._listing.coverage and self._listing.unlisted(self.common_now()) <= self._gap:
            self._behind_since = None
        self._looked(look)
        return look

    async def release(self) -> None:
        """Let another alertd look at once."""
        await self._store.release_lease(f"look/{self.account}", self._holder)

    async def _guarded(self, look: Look, *, whole: bool) -> None:
        began_at = self.common_now()
        await self._listing.load()
        noticed: dict[str, str] = {}
        try:
            await self._look(look, whole=whole)
        except CredentialsError as error:
            self._slow_down()
            await self._in_trouble(look, "credentials", error)
        except SourceError as error:
            await self._in_trouble(look, "poll", error)
        else:
            self._refused = 0
            noticed = self._noticed(look)
        noticed |= self._missing(look, min(began_at, self.common_now()))
        await self._tell_all(noticed)
        look.waiting = len(await self._store.open_rooms(self.account))

    def _slow_down(self) -> None:
        """A refused key will hardly be right again in a minute: ask more and more rarely."""
        self._refused += 1
        self._not_before = self._now() + min(60 * 2**self._refused, REFUSED_PAUSE)

    async def _look(self, look: Look, *, whole: bool) -> None:
        """The first list call is that of the present; the past follows as long as the next look can wait."""
        began_at = self._now()
        await self._source.server_now()  # so that the difference of the clocks is known
        now = self.common_now()
        await self._tell_lost(look, now)
        listing, page_size = self._listing, self._source.page_size
        listing.begin(now)
        waiting = await self._store.open_rooms(self.account)
        if listing.idle(now) > self._gap:
            self._behind_since = self._clock.now()
        look.still_unread = sum(_is_long_unread(room, now) for room in waiting.values())
        due = [room for room in waiting.values() if room.look_again_at <= self._settler.server_now()]
        plan = plan_look(now, listing.coverage, due, self._look_back, page_size, listing.resting(now))
        async with self._settler.at_work(look, waiting) as intake:
            await listing.first(intake, plan.first, now)
            await self._saw(look, began_at)
            await listing.look_again(intake, plan.singles)
            await intake.emptied()
            further = further_lists(now, listing.coverage, plan, page_size, listing.resting(now))
            todo = deque([*further, *listing.due(now)])
            await self._list_on(intake, todo, now, None if whole else began_at + self._every)

    async def _list_on(self, intake: Intake, todo: deque[Stretch], now: int, until: int | None) -> None:
        """The newest starts first, and from `until` on one stretch of the oldest that may lack rooms: if every look is
        too short for all that is due, neither the present nor the past is put off for ever. What fails is no turn."""
        had_a_turn = False
        while todo:
            is_late = had_a_turn and until is not None and self._now() >= until
            stretch = self._oldest(todo, now) if is_late else todo.popleft()
            done = await self._listing.further(intake, stretch, now)
            await self._saw(intake.look, self._now())
            had_a_turn = had_a_turn or done
            if is_late and done:
                break

    def _oldest(self, todo: deque[Stretch], now: int) -> Stretch:
        """The oldest stretch of starts that may lack rooms so far, taken out; what is but gone over again can wait."""
        lacking = self._listing.missing(now)
        places = [place for place, one in enumerate(todo) if any(one.meets(hole, now) for hole in lacking)]
        oldest = min(places or range(len(todo)), key=lambda place: todo[place])
        stretch = todo[oldest]
        del todo[oldest]
        return stretch

    async def _saw(self, look: Look, at: int) -> None:
        if not look.blind:  # what could not be read may not pass for recovery
            await self._store.saw(self.account, at, self._gap)

    async def _lease(self) -> bool:
        seconds = int(LOOK_LEASE * self._clock.speed)
        return await self._store.take_lease(f"look/{self.account}", self._holder, self._now(), seconds)

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[None]:
        """Keeps the lease for as long as the look takes."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LOOK_LEASE / 3)
                with suppress(StoreError):  # the look itself will meet it, if it lasts
                    await self._lease()

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()

    async def _in_trouble(self, look: Look, kind: str, error: SourceError) -> None:
        look.error = str(error)
        log.error("look_failed", account=self.account, kind=kind, error=str(error))
        await self._tell(kind, str(error))

    def _noticed(self, look: Look) -> dict[str, str]:
        """What troubles a look that came to its end, by kind; nothing where there is none."""
        skew = self._source.clock_skew or 0.0
        faults = self._source.faults.total()
        slow = f"{look.given_up} of {look.settled} rooms were not complete in time"
        stuck = f"{look.still_unread} rooms could not be read for more than an hour; see room_unread in the log"
        is_slow = look.given_up >= 3 and look.given_up * 10 >= look.settled
        found = {
            "poll": f"{look.unread} rooms could not be read" if look.blind else "",
            "credentials": "",
            "clock": f"Twilio's clock is {skew:+.0f} s off alertd's" if abs(skew) > MOST_SKEW else "",
            "records": f"{faults} values could not be read" if faults > self._faults_told else "",
            "settling": slow if is_slow else (stuck if look.still_unread else ""),
        }
        self._faults_told = faults
        return found

    async def _tell_lost(self, look: Look, now: int) -> None:
        """Say so before it is looked past: rooms that Twilio no longer keeps and that no look has read."""
        missed, kept = self._listing.first_missed(now), now - RETENTION
        if missed < kept:
            look.gap = f"rooms that ended between {_moment(missed):%F %T} and {_moment(kept):%F %T} UTC "
            look.gap += "were not all read before Twilio forgot them"
            log.error("coverage_gap", account=self.account, after=missed, before=kept)
            await self._tell("lost", look.gap)

    def _missing(self, look: Look, now: int) -> dict[str, str]:
        """What is not read yet, and what of it is or soon will be lost, whether this look came to its end or not."""
        missing = self._listing.missing(now)
        look.missing = sum((one.before or now) - one.after for one in missing)
        look.missing_since = missing[0].after if missing else None
        look.unlisted = self._listing.unlisted(now)
        failing = self._listing.failing
        gap = ""
        if failing:
            since = f"{_moment(failing.after):%F %T} UTC"
            gap = f"rooms that started from {since} on cannot be listed; see list_failed in the log"
        missed = self._listing.first_missed(now)
        if missed < now - NEARLY_LOST:
            gap = f"rooms that ended from {_moment(missed):%F %T} UTC on are still unread; Twilio keeps them 7 days"
        lost = look.gap or (f"{look.lost} rooms vanished before they were complete" if look.lost else "")
        return {"lost": lost, "coverage": gap}

    async def _tell_all(self, noticed: dict[str, str]) -> None:
        for kind, message in noticed.items():
            if message:
                await self._tell(kind, message)
        # All others, for what lasts may have been told before a restart, or by another alertd.
        await self._store.clear_troubles([kind for kind in noticed if not noticed[kind]], self.account, self._now())

    async def _tell(self, kind: str, message: str) -> None:
        await self._store.trouble(kind, self.account, message, self._now())

    def _now(self) -> int:
        return int(self._clock.now())

    def common_now(self) -> int:
        """What is past by both clocks: whichever of them is wrong, nothing counts as seen that was not."""
        return self._settler.common_now()


def _is_long_unread(room: OpenRoom, now: int) -> bool:
    return room.why == UNREAD and now - (room.ended or now) > LONG_UNREAD


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
