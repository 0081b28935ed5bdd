"""What has been listed of an account, and how more of it is: stretches of starts, and single rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import structlog

from alertd.engine.coverage import (
    HORIZON,
    Coverage,
    Seen,
    Stretch,
    began,
    covered,
    first_missed,
    holes,
    spanned,
)
from alertd.engine.settle import FRESH, OpenRoom
from alertd.errors import CircuitOpenError, CredentialsError, NotFoundError, SourceError
from alertd.settling import Intake, Look, Settler, Source, again_at
from alertd.store import Store

log = structlog.get_logger()

REST = 600
"""Seconds for which a stretch of starts is left alone after its list failed."""
SINGLES_AT_ONCE = 16
MOST_SINGLES = 1000
"""Rooms that are read by themselves in one go: at the same time, and at most."""


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


class Listing:
    """One account's coverage, kept in the store, and the list calls that add to it.

    Every method that asks Twilio raises SourceError; where only a part of the past failed it does not, and notes that.
    """

    def __init__(
        self, source: Source, store: Store, settler: Settler, *, look_back: int, backfill: int, usual: int
    ) -> None:
        self.account = source.account
        self.coverage: Coverage = ()
        self.catch_up = CatchUp()
        self._source = source
        self._store = store
        self._settler = settler
        self._look_back = look_back
        self._backfill = max(backfill, look_back)
        self._usual = usual
        self._failed: dict[Stretch, int] = {}
        self._going: dict[str, int] = {}

    async def load(self) -> None:
        """What the store knows, whoever listed it."""
        self.coverage = await self._store.coverage(self.account)

    def begin(self, now: int) -> None:
        """From the first start that matters on, up to now."""
        self.coverage = self._spanned(now)
        self._note()

    def _spanned(self, now: int) -> Coverage:
        return spanned(self.coverage, began(self.coverage, now, self._backfill), now)

    def _note(self) -> None:
        self.catch_up.note(self.coverage, self._settler.settled, self._usual)

    def idle(self, now: int) -> float:
        """How long ago the account was listed last; without end if it never was."""
        return min((now - part.seen_at for part in self.coverage if part.seen_at is not None), default=float("inf"))

    def unlisted(self, now: int) -> int:
        """Seconds of recent starts that no list has shown."""
        recent = (part.between(now - self._look_back, now) for part in self._spanned(now) if part.seen_at is None)
        return sum(part.started_until - part.started_from for part in recent if part)

    def missing(self, now: int) -> list[Stretch]:
        """The starts of which rooms may have been missed so far, oldest first."""
        found = holes(self._spanned(now), now, self._look_back)
        return sorted([*found, *(one for failed in self._failed for one in failed.without(found))])

    @property
    def failing(self) -> Stretch | None:
        """The oldest stretch of which the list failed."""
        return min(self._failed, default=None)

    def first_missed(self, now: int) -> int:
        """When the first room may have ended that nobody has read, but for those that the first looks have not come to
        yet: these nobody awaits."""
        since = next((part.started_from for part in self.coverage if part.seen_at is not None), now)
        found = first_missed(spanned(self.coverage, since, now), now)
        return now if found is None else found

    def due(self, now: int) -> list[Stretch]:
        """The stretches to be tried again after their list failed."""
        return [one for one, until in self._failed.items() if until <= now]

    def resting(self, now: int) -> list[Stretch]:
        """The stretches whose list failed: other lists keep clear of them, and each is tried again by itself."""
        kept = {one: until for one, until in self._failed.items() if (one.before or now) > now - HORIZON}
        self._failed = {one: min(until, now + REST) for one, until in kept.items()}
        return list(self._failed)

    async def first(self, intake: Intake, stretch: Stretch, now: int) -> None:
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

    async def further(self, intake: Intake, stretch: Stretch, now: int) -> bool:
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
        going: dict[str, int] = {}
        before = None if stretch.before is None else _moment(stretch.before)
        due = self._settler.server_now()
        async for page in self._source.list_rooms(created_after=_moment(stretch.after - 1), created_before=before):
            rooms += len(page)
            listed.update(room.room_sid for room in page if room.room_sid in intake.waiting)
            going |= await intake.take(page)
        unlisted = [
            room
            for room in intake.waiting.values()
            if room.room_sid not in listed and _was_to_be_listed(room, stretch) and room.look_again_at <= due
        ]
        await self.look_again(intake, unlisted)
        await intake.emptied()
        await self._note_going(stretch, going, now)
        seen_at = min(now, self._settler.common_now())  # a clock that jumped has shown in the answers
        seen = Seen(
            started_from=stretch.after, started_until=min(stretch.before or now, seen_at), seen_at=seen_at, rooms=rooms
        )
        if seen.started_from < seen.started_until:
            self.coverage = covered(self.coverage, seen, now - HORIZON)
            await self._store.cover(self.account, self.coverage)
            self._note()

    async def _note_going(self, stretch: Stretch, going: Mapping[str, int], now: int) -> None:
        """Keep those rooms of the stretch that go on, if that is new."""
        fresh = {sid: started for sid, started in going.items() if sid not in self._going}
        if fresh:
            await self._store.note_going(self.account, fresh, now)
        others = {sid: started for sid, started in self._going.items() if not _within(stretch, started)}
        self._going = {**others, **going}

    async def look_again(self, intake: Intake, rooms: Sequence[OpenRoom]) -> None:
        """Rooms that are open but listed no more, or too rarely, are read by themselves."""
        rooms = rooms[:MOST_SINGLES]
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


def _was_to_be_listed(room: OpenRoom, stretch: Stretch) -> bool:
    return room.started is not None and _within(stretch, room.started)


def _within(stretch: Stretch, started: int) -> bool:
    return stretch.after <= started < (stretch.before or started + 1)


def _again(known: OpenRoom, now: int, why: str) -> OpenRoom:
    """The same room, to be looked at again the later the longer ago it ended."""
    later = again_at(now, known.ended or known.listed_at)
    return msgspec.structs.replace(known, look_again_at=later, why=why)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
