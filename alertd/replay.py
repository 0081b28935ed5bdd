"""The past as a ledger: rooms held in memory, so that the very evaluator that runs live judges them again."""

from __future__ import annotations

import asyncio
import zlib
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

import msgspec

from alertd.engine.fields import Show
from alertd.engine.groups import Notification
from alertd.engine.health import Trouble
from alertd.engine.outcome import Event, Outcome, Policy, Sight, Snapshot
from alertd.engine.records import SettledRoom
from alertd.engine.ticks import Change, applied
from alertd.engine.windows import MINUTE
from alertd.evaluate import Evaluator, Judged

BATCH = 200
"""Rooms unpacked at once."""
LOOSE = 50_000
"""Rooms kept as they are, some 2 KB each; those beyond are compressed, which takes five times as long to write."""
UNFINISHED = 7200
"""Seconds before its end for which a history that breaks off lacks rooms: nearly all last less, and settle."""
FOREVER = 2**62

_rooms = msgspec.msgpack.Decoder(SettledRoom)


class _Version(NamedTuple):
    """A room as it was known from `known_at` until `replaced_at`; `tight` says that it is compressed, to a third."""

    account: str
    room_sid: str
    ended: int
    known_at: int
    replaced_at: int
    packed: bytes
    tight: bool
    started: int

    def unpacked(self, replaced_at: int | None = None) -> SettledRoom:
        """The room as it stood then: a later replacement is not told to those who look at an earlier instant."""
        room = _rooms.decode(zlib.decompress(self.packed) if self.tight else self.packed)
        return room if replaced_at is None else msgspec.structs.replace(room, replaced_at=replaced_at)


class _Going:
    """Which rooms had started at an instant and were not settled: a history shows them as looks each minute would."""

    def __init__(self, versions: Iterable[_Version]) -> None:
        first: dict[tuple[str, str], _Version] = {}
        for version in versions:
            known = first.setdefault(version[:2], version)
            if version.known_at < known.known_at:
                first[version[:2]] = version
        self._rooms = sorted(first.values(), key=lambda version: version.started)
        self._begin()

    def _begin(self) -> None:
        self._moment, self._place = -FOREVER, 0
        self._ends: list[tuple[int, str, int]] = []  # a heap: when each settles, its account, its minute
        self._minutes: dict[str, dict[int, int]] = {}

    def at(self, moment: int) -> dict[str, dict[int, int]]:
        """How many, by account and the minute of their start; asked for in the order of time this costs little."""
        if moment < self._moment:
            self._begin()
        self._moment = moment
        while self._place < len(self._rooms) and self._rooms[self._place].started <= moment:
            room = self._rooms[self._place]
            heappush(self._ends, (room.known_at, room.account, room.started // MINUTE))
            self._change(room.account, room.started // MINUTE, 1)
            self._place += 1
        while self._ends and self._ends[0][0] <= moment:
            _, account, minute = heappop(self._ends)
            self._change(account, minute, -1)
        return {account: dict(minutes) for account, minutes in self._minutes.items()}

    def _change(self, account: str, minute: int, by: int) -> None:
        minutes = self._minutes.setdefault(account, {})
        minutes[minute] = minutes.get(minute, 0) + by
        if not minutes[minute]:
            del minutes[minute]


class _Turn(NamedTuple):
    """A version that begins (`sign` 1) or ceases (-1) to count; sorts as changes are given out."""

    at: int
    account: str
    room_sid: str
    sign: int
    version: _Version


class Replay:
    """A history as a ledger of the Evaluator: gives out what the store would, and keeps in memory what is decided.

    Of several versions of one (account, room_sid), in any order, the one known later takes the place of the earlier
    from then on; of two known at the same instant the last one given counts. Decided is what comes after `begin`
    (default: from the first room on); rooms known by then are in the windows already. Unless `sights` say otherwise,
    every account that has rooms was seen all the time since the first of them ended. A history that `breaks_off` has
    none of the rooms that went on at its end, so there it is not known how many started.

    `first` and `last` are when the first and the last change became known, None if there are no rooms; `events` and
    `notifications` are what was decided so far, in order. All instants are seconds since the epoch.
    """

    def __init__(
        self,
        rooms: Iterable[SettledRoom],
        *,
        begin: int | None = None,
        sights: Iterable[Sight] | None = None,
        breaks_off: bool = False,
    ) -> None:
        self._versions = sorted(_versions(rooms), key=lambda version: (version.ended, version.known_at, *version[:2]))
        self._ended = [version.ended for version in self._versions]
        self._turns = sorted(_turns(self._versions), key=lambda turn: turn[:4])
        self._instants = [turn.at for turn in self._turns]
        self.first = self._instants[0] if self._instants else None
        self.last = self._instants[-1] if self._instants else None
        self._sights = tuple(self._always_seen() if sights is None else sights)
        self._going = _Going(self._versions)
        self._starts_until = self.last - UNFINISHED if breaks_off and self.last is not None else None
        self.restart((self.first or 1) - 1 if begin is None else begin)

    def restart(self, begin: int) -> None:
        """Forget what was decided; decided is then what comes after `begin`."""
        self.until = begin
        self._snapshot = Snapshot(alerts={}, groups={}, sights=self._sights)
        self._troubles: dict[tuple[str, str], Trouble] = {}
        self.events: list[Event] = []
        self.notifications: list[Notification] = []

    def _always_seen(self) -> Iterator[Sight]:
        for account in sorted({version.account for version in self._versions}):
            yield Sight(account=account, seen_from=self._ended[0], seen_until=FOREVER)

    async def evaluated_until(self) -> int | None:
        """Up to when it is decided: `begin` at first."""
        return self.until

    async def snapshot(self, at: int) -> Snapshot:
        """What stands, with what had gone wrong by `at`."""
        known = tuple(trouble for trouble in self._troubles.values() if trouble.since <= at)
        return msgspec.structs.replace(
            self._snapshot, troubles=known, going=self._going.at(at), taken_at=at, starts_until=self._starts_until
        )

    async def next_change(self, after: int) -> int | None:
        """The first instant later than `after` at which `changes` has something."""
        place = bisect_right(self._instants, after)
        return self._instants[place] if place < len(self._instants) else None

    async def changes(self, after: int, upto: int) -> list[Change]:
        """What became known or ceased to hold in `after` < instant ≤ `upto`, in the order that the store has."""
        places = slice(bisect_right(self._instants, after), bisect_right(self._instants, upto))
        return [
            Change(turn.at, turn.version.unpacked(turn.at if turn.sign < 0 else None), turn.sign)
            for turn in self._turns[places]
        ]

    async def coming(self, after: int, upto: int, most: int) -> tuple[list[Change], int]:
        """The first of these changes, about `most` of them in whole instants, and up to when they are all there are."""
        place = bisect_right(self._instants, after) + most
        until = min(upto, max(self._instants[place] - 1, after + 1)) if place < len(self._instants) else upto
        return await self.changes(after, until), until

    async def visible(self, at: int, ended_after: int, ended_upto: int = FOREVER) -> AsyncIterator[list[SettledRoom]]:
        """The rooms with `ended_after` < `ended` ≤ `ended_upto` as they were known at `at`, by `ended`, in batches."""
        first, behind = bisect_right(self._ended, ended_after), bisect_right(self._ended, ended_upto)
        for start in range(first, behind, BATCH):
            versions = self._versions[start : min(start + BATCH, behind)]
            known = [version.unpacked() for version in versions if version.known_at <= at < version.replaced_at]
            if known:
                yield known

    async def commit(self, outcome: Outcome, *, expected: int | None, until: int) -> bool:
        """Keep what a decision changed; nobody else decides, so it is never False in one evaluator's hands."""
        if expected != self.until:
            return False
        self._snapshot = applied(self._snapshot, outcome)
        self.events += outcome.events
        self.notifications += outcome.notifications
        self.until = until
        return True

    async def trouble(self, kind: str, subject: str, message: str, now: int) -> None:
        """Note what cannot be done; while it lasts `since` stays and the message is the latest."""
        before = self._troubles.get((kind, subject))
        since = now if before is None or before.until is not None else before.since
        self._troubles[kind, subject] = Trouble(kind=kind, subject=subject, since=since, message=message)

    async def clear_trouble(self, kind: str, subject: str, now: int) -> None:
        """It can be done again."""
        before = self._troubles.get((kind, subject))
        if before is not None and before.until is None:
            self._troubles[kind, subject] = msgspec.structs.replace(before, until=now)


async def play(
    replay: Replay, policy: Policy, show: Show, end: int, judged: Judged = lambda _at, _outcome, _after: None
) -> None:
    """Decide all of the replay up to `end`, minute by minute as the daemon does; `judged` is told of each decision."""
    hand = _Hand(replay.until)
    evaluator = Evaluator(replay, policy, hand, show, judged)
    while hand.reading < end:
        hand.reading = min(end, (hand.reading // MINUTE + 1) * MINUTE)
        await evaluator.turn()
        await asyncio.sleep(0)  # nothing else waits here, and whoever asked must be able to stop it


class _Hand:
    """A clock that is set by hand."""

    speed = 1.0

    def __init__(self, reading: int) -> None:
        self.reading = reading

    def now(self) -> float:
        """What it was set to."""
        return self.reading

    async def sleep(self, seconds: float) -> None:
        """Waiting moves it."""
        self.reading += int(seconds)


def _versions(rooms: Iterable[SettledRoom]) -> Iterator[_Version]:
    """All versions that were ever visible, each until the next one took its place."""
    given: dict[tuple[str, str], list[_Version]] = {}
    for number, room in enumerate(rooms):
        given.setdefault((room.account, room.room.room_sid), []).append(_packed(room, tight=number >= LOOSE))
    for versions in given.values():
        versions.sort(key=lambda version: version.known_at)  # stable: of one instant the last given comes last
        following = [*(version.known_at for version in versions[1:]), FOREVER]
        for version, known_at in zip(versions, following, strict=True):
            until = min(version.replaced_at, known_at)
            if until > version.known_at:
                yield version._replace(replaced_at=until)


def _packed(room: SettledRoom, *, tight: bool) -> _Version:
    packed = msgspec.msgpack.encode(
        room if room.replaced_at is None else msgspec.structs.replace(room, replaced_at=None)
    )
    replaced_at = FOREVER if room.replaced_at is None else room.replaced_at
    kept = zlib.compress(packed, level=1) if tight else packed
    return _Version(room.account, room.room.room_sid, room.ended, room.known_at, replaced_at, kept, tight, room.started)


def _turns(versions: Iterable[_Version]) -> Iterator[_Turn]:
    for version in versions:
        yield _Turn(version.known_at, version.account, version.room_sid, 1, version)
        if version.replaced_at < FOREVER:
            yield _Turn(version.replaced_at, version.account, version.room_sid, -1, version)
