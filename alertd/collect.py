"""Loop 1: look at an account's rooms, as the plan of calls says, until everything that Twilio has is settled here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from alertd.clock import Clock
from alertd.engine.coverage import (
    HORIZON,
    NEARLY_LOST,
    RETENTION,
    Coverage,
    Seen,
    Stretch,
    began,
    covered,
    first_missed,
    holes,
    spanned,
)
from alertd.engine.settle import FRESH, OpenRoom, further_lists, plan_look
from alertd.errors import CircuitOpenError, CredentialsError, NotFoundError, SourceError, StoreError
from alertd.settling import UNREAD, Intake, Look, Settler, Source, again_at
from alertd.store import Store

__all__ = ["CatchUp", "Collector", "Look", "Looked", "Source"]

log = structlog.get_logger()

LOOK_LEASE = 30
"""Real seconds for which a look at an account belongs to one alertd unless it says again."""
CATCH_UP_WITHIN = 300
"""Real seconds for which judging waits until what was missed has been read."""
STUCK_AFTER = 30
"""Real seconds without an answer after which judging waits no longer: one account's trouble is no other's."""
REST = 600
"""Seconds for which a stretch of starts is left alone after its list failed."""
MOST_SINGLES = 1000
SINGLES_AT_ONCE = 16
"""Rooms that are read by themselves in one go: at most, and at the same time."""
LONG_UNREAD = 3600
"""Seconds past its end after which a room that cannot be read is told of."""
REFUSED_PAUSE = 600
"""The longest wait in seconds between looks with a key that Twilio refuses."""
MOST_SKEW = 90
"""Seconds by which the clocks may differ before that is told."""

Looked = Callable[[Look], None]


@dataclass(slots=True)
class CatchUp:
    """How far catching up has come: seconds of starts still to be listed, of how many; 0 of 0 when there are but the
    last minutes to list. `settled_before` rooms had been settled when it began."""

    left: int = 0
    of: int = 0
    settled_before: int = 0

    def note(self, coverage: Coverage, settled: int, usual: int) -> None:
        """So much is listed now; up to `usual` seconds are unlisted at any time."""
        unlisted = (part for part in coverage if part.seen_at is None)
        self.left = sum(part.started_until - part.started_from for part in unlisted)
        if not self.of:
            self.settled_before = settled
        self.of = max(self.of, self.left) if self.left > usual else 0


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
        self._backfill = max(backfill, look_back)
        self._every = every
        self._gap = max(600, 3 * every)
        self._holder = holder
        self._looked = looked
        self._settler = Settler(source, store, clock, settle_timeout=settle_timeout, recheck=recheck, readers=readers)
        self._coverage: Coverage = ()
        self._failed: dict[Stretch, int] = {}
        self._faults_told = 0
        self.catch_up = CatchUp()
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
        coverage, now = await self._store.coverage(self.account), self.common_now()
        if coverage and self._unlisted(coverage, now) <= self._gap:
            self._behind_since = None
        self._looked(look)
        return look

    async def release(self) -> None:
        """Let another alertd look at once."""
        await self._store.release_lease(f"look/{self.account}", self._holder)

    def _unlisted(self, coverage: Coverage, now: int) -> int:
        recent = (part.between(now - self._look_back, now) for part in coverage if part.seen_at is None)
        return sum(part.started_until - part.started_from for part in recent if part)

    async def _guarded(self, look: Look, *, whole: bool) -> None:
        began_at = self.common_now()
        self._coverage = await self._store.coverage(self.account)
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
        self._coverage = self._spanned(now)
        waiting = await self._store.open_rooms(self.account)
        if _latest(self._coverage, now) > self._gap:
            self._behind_since = self._clock.now()
        self.catch_up.note(self._coverage, self._settler.settled, self._gap)
        page_size, resting = self._source.page_size, self._resting(now)
        look.still_unread = sum(_is_long_unread(room, now) for room in waiting.values())
        due = [room for room in waiting.values() if room.look_again_at <= self._settler.server_now()]
        plan = plan_look(now, self._coverage, due, self._look_back, page_size, resting)
        async with self._settler.at_work(look, waiting) as intake:
            await self._list_first(intake, plan.first, now)
            await self._saw(look, began_at)
            await self._look_again(intake, plan.singles[:MOST_SINGLES])
            await intake.emptied()
            further = further_lists(now, self._coverage, plan, page_size, self._resting(now))
            for stretch in [*further, *(one for one, until in self._failed.items() if until <= now)]:
                done = await self._list_further(intake, stretch, now)
                await self._saw(look, self._now())
                if not whole and self._now() - began_at >= self._every and done:
                    break  # but not because of one that failed: it would be the first again

    def _spanned(self, now: int) -> Coverage:
        """What has been listed, from the first start that matters on."""
        return spanned(self._coverage, began(self._coverage, now, self._backfill), now)

    async def _saw(self, look: Look, at: int) -> None:
        if not look.blind:  # what could not be read may not pass for recovery
            await self._store.saw(self.account, at, self._gap)

    def _resting(self, now: int) -> list[Stretch]:
        """The stretches whose list failed: other lists keep clear of them, and each is tried again by itself."""
        kept = {one: until for one, until in self._failed.items() if (one.before or now) > now - HORIZON}
        self._failed = {one: min(until, now + REST) for one, until in kept.items()}
        return list(self._failed)

    async def _list_first(self, intake: Intake, stretch: Stretch, now: int) -> None:
        """The present must be listed, even if something in the past of the same call cannot be."""
        fresh = Stretch(now - FRESH, None)
        try:
            await self._list(intake, stretch, now)
        except (CircuitOpenError, CredentialsError):
            raise
        except SourceError as error:
            if stretch.after >= fresh.after:
                raise
            await self._list(intake, fresh, now)
            self._rest(intake.look, stretch._replace(before=fresh.after), now, error)

    async def _list_further(self, intake: Intake, stretch: Stretch, now: int) -> bool:
        """Whether a stretch could be listed: one that cannot holds up no other."""
        try:
            await self._list(intake, stretch, now)
        except (CircuitOpenError, CredentialsError):
            raise
        except SourceError as error:
            self._rest(intake.look, stretch, now, error)
            return False
        self._failed.pop(stretch, None)
        return True

    def _rest(self, look: Look, stretch: Stretch, now: int, error: SourceError) -> None:
        """Try the halves of what failed in a while, each by itself; until then they count as missing."""
        self._failed.pop(stretch, None)
        self._failed |= dict.fromkeys(stretch.halves(), now + REST)
        look.error = str(error)
        log.warning("list_failed", account=self.account, after=stretch.after, before=stretch.before, error=str(error))

    async def _list(self, intake: Intake, stretch: Stretch, now: int) -> None:
        """List and settle a stretch of starts; it counts as seen when all its rooms are stored, or noted to be."""
        rooms = 0
        listed: set[str] = set()
        before = None if stretch.before is None else _moment(stretch.before)
        due = self._settler.server_now()
        async for page in self._source.list_rooms(created_after=_moment(stretch.after - 1), created_before=before):
            rooms += len(page)
            listed.update(room.room_sid for room in page if room.room_sid in intake.waiting)
            await intake.take(page)
        unlisted = [
            room
            for room in intake.waiting.values()
            if room.room_sid not in listed and _was_to_be_listed(room, stretch) and room.look_again_at <= due
        ]
        await self._look_again(intake, unlisted[:MOST_SINGLES])
        await intake.emptied()
        seen_at = min(now, self.common_now())  # a clock that jumped has shown in the answers
        seen = Seen(
            started_from=stretch.after, started_until=min(stretch.before or now, seen_at), seen_at=seen_at, rooms=rooms
        )
        if seen.started_from < seen.started_until:
            self._coverage = covered(self._coverage, seen, now - HORIZON)
            await self._store.cover(self.account, self._coverage)
            self.catch_up.note(self._coverage, self._settler.settled, self._gap)

    async def _look_again(self, intake: Intake, rooms: Sequence[OpenRoom]) -> None:
        """Rooms that are open but listed no more, or too rarely, are read by themselves."""
        for start in range(0, len(rooms), SINGLES_AT_ONCE):
            part = rooms[start : start + SINGLES_AT_ONCE]
            failed = [
                error for error in await asyncio.gather(*(self._read_single(intake, room) for room in part)) if error
            ]
            if failed:
                raise failed[0]

    async def _read_single(self, intake: Intake, known: OpenRoom) -> CircuitOpenError | None:
        """Read one; what cannot be helped now is returned."""
        now = self._settler.server_now()
        try:
            room = await self._source.fetch_room(known.room_sid)
        except NotFoundError:
            await self._gone(intake.look, known)
        except CircuitOpenError as error:
            return error
        except SourceError as error:  # a refusal too: Twilio has just answered a list, so the key itself is good
            log.warning("room_unread", account=self.account, room_sid=known.room_sid, error=str(error))
            await self._store.note_open(self.account, [_again(known, now, "unread")])
        else:
            await intake.take([room], renewed=True)
        return None

    async def _gone(self, look: Look, known: OpenRoom) -> None:
        """404: perhaps only not yet; past the settle timeout it is lost, and that is said."""
        now = self._settler.server_now()
        if now < (known.ended or known.listed_at) + self._settler.settle_timeout:
            await self._store.note_open(self.account, [_again(known, now, "not found")])
            return
        look.lost += 1
        await self._store.drop_open(self.account, [known.room_sid])
        log.error("room_lost", account=self.account, room_sid=known.room_sid)

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

    def _first_missed(self, now: int) -> int:
        """When the first room may have ended that nobody has read, but for those that the first looks have not come to
        yet: these nobody awaits."""
        since = next((part.started_from for part in self._coverage if part.seen_at is not None), now)
        found = first_missed(spanned(self._coverage, since, now), now)
        return now if found is None else found

    async def _tell_lost(self, look: Look, now: int) -> None:
        """Say so before it is looked past: rooms that Twilio no longer keeps and that no look has read."""
        missed, kept = self._first_missed(now), now - RETENTION
        if missed < kept:
            look.gap = f"rooms that ended between {_moment(missed):%F %T} and {_moment(kept):%F %T} UTC "
            look.gap += "were not all read before Twilio forgot them"
            log.error("coverage_gap", account=self.account, after=missed, before=kept)
            await self._tell("lost", look.gap)

    def _missing(self, look: Look, now: int) -> dict[str, str]:
        """What is not read yet, and what of it is or soon will be lost, whether this look came to its end or not."""
        coverage = self._spanned(now)
        missing = holes(coverage, now, self._look_back)
        missing = sorted([*missing, *(one for failed in self._failed for one in failed.without(missing))])
        look.missing = sum((one.before or now) - one.after for one in missing)
        look.missing_since = missing[0].after if missing else None
        look.unlisted = self._unlisted(coverage, now)
        failing = min(self._failed, default=None)
        gap = ""
        if failing:
            since = f"{_moment(failing.after):%F %T} UTC"
            gap = f"rooms that started from {since} on cannot be listed; see list_failed in the log"
        missed = self._first_missed(now)
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
        return min(self._now(), self._settler.server_now())


def _latest(coverage: Sequence[Seen], now: int) -> float:
    """How long ago the account was listed last; without end if it never was."""
    return min((now - part.seen_at for part in coverage if part.seen_at is not None), default=float("inf"))


def _is_long_unread(room: OpenRoom, now: int) -> bool:
    return room.why == UNREAD and now - (room.ended or now) > LONG_UNREAD


def _was_to_be_listed(room: OpenRoom, stretch: Stretch) -> bool:
    return room.started is not None and stretch.after <= room.started < (stretch.before or room.started + 1)


def _again(known: OpenRoom, now: int, why: str) -> OpenRoom:
    """The same room, to be looked at again the later the longer ago it ended."""
    look_again_at = again_at(now, known.ended or known.listed_at)
    return OpenRoom(
        account=known.account,
        room_sid=known.room_sid,
        listed_at=known.listed_at,
        ended=known.ended,
        look_again_at=look_again_at,
        why=why,
        started=known.started,
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
