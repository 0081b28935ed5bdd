"""Where the rooms of a backtest come from: the own history, a file, or straight from Twilio."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import click
import msgspec
from pydantic import SecretStr

from alertd.backtest.curves import reach_of
from alertd.backtest.run import History, Tally
from alertd.cli.progress import catching_up
from alertd.cli.progress import shown as counting
from alertd.clock import SystemClock
from alertd.config import Loaded
from alertd.engine.durations import format_duration, parse_duration
from alertd.engine.fields import Show
from alertd.engine.outcome import Sight
from alertd.engine.records import SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.windows import MINUTE
from alertd.errors import AlertdError, InputError, Problem
from alertd.history import USUAL_DELAY, Attendance, HistoryFile
from alertd.pseudonyms import shown
from alertd.replay import Replay

if TYPE_CHECKING:
    from alertd.store import Store

WEEK = 7 * 86400
LEAST_BACKFILL = 90000
"""Seconds that the first look at an account goes back at least (collect.backfill)."""
FAR = 2**62
SLICE = 6 * 3600
"""Seconds of the own history that are read at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be gone over: the texts of --since, --from and --to, with the zone in which times are meant."""

    since: str | None
    begin: str | None
    end: str | None
    zone: ZoneInfo

    @property
    def is_open(self) -> bool:
        """Whether nothing was said of the beginning."""
        return self.since is None and self.begin is None

    def range(self, now: int) -> tuple[int, int]:
        """From when to when, in seconds since the epoch; durations count back from `now`. The default is a week."""
        end = now if self.end is None else self._moment(self.end, now, "--to")
        if self.begin is not None:
            begin = self._moment(self.begin, now, "--from")
        else:
            begin = end - (WEEK if self.since is None else _seconds(self.since, "--since"))
        if begin >= end:
            raise click.BadParameter("nothing lies between the beginning and the end", param_hint="--from/--to")
        return begin, end

    def _moment(self, text: str, now: int, option: str) -> int:
        try:
            return now - parse_duration(text)
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            message = f"{text!r} is neither a time like 2026-03-02T12:00Z nor a duration before the end like 2d"
            raise click.BadParameter(message, param_hint=option) from None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).timestamp())


def _seconds(text: str, option: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


class Found(NamedTuple):
    """A history, and how personal values in it may be shown."""

    history: History
    show: Show


def from_file(loaded: Loaded, path: Path, wanted: Wanted, *, skip_bad: bool) -> Found:
    """The rooms of a history file; all of it, unless a range is wanted: durations count back from its end."""
    file, tally = HistoryFile(path, skip_bad=skip_bad), Tally()
    with counting(f"rooms read from {file.name}") as show:
        replay = Replay(tally.reading(_told(file, show)), breaks_off=True)
    if replay.first is None or replay.last is None:
        raise InputError([Problem(file.name, 0, 0, "there are no rooms in it")])
    last = -(-replay.last // MINUTE) * MINUTE
    first = tally.first or 0
    begin, end = wanted.range(last)
    if wanted.is_open:
        begin = (min(first, replay.first) - 1) // MINUTE * MINUTE
    notes = (f"{file.bad:,} bad lines of {file.name} were passed by",) if file.bad else ()
    history = History(
        replay=replay, tally=tally, begin=begin, end=end, source=f"the file {file.name}", seen_from=first, notes=notes
    )
    return Found(history, shown(loaded.config, secrets.token_bytes(32)))


def _told(file: HistoryFile, show: Callable[[int], None]) -> Iterator[SettledRoom]:
    for settled in file:
        if file.rooms % 500 == 0:
            show(file.rooms)
        yield settled


async def from_store(loaded: Loaded, rules: Iterable[Rule], wanted: Wanted) -> Found | None:
    """The own history, only looked at; None if it has no rooms in the range."""
    from alertd.store import open_store

    url = loaded.config.store.url.get_secret_value()
    if _is_missing(url):
        return None
    begin, end = wanted.range(int(time.time()))
    store = await open_store(url, migrate=False)
    try:
        sights = await store.sights()
        rooms = await _stored(store, sights, begin - reach_of(rules), begin)
        key = await store.pseudonym_key() if rooms else b""
    finally:
        await store.close()
    tally = Tally()
    seen = _from_the_beginning(sights, rooms.first) or None
    replay = Replay(tally.reading(rooms.empty()), sights=seen, breaks_off=True)
    if not tally.within(begin, end)[0]:
        return None
    history = History(
        replay=replay, tally=tally, begin=begin, end=end, source="the own history", seen_from=tally.first or begin
    )
    return Found(history, shown(loaded.config, key))


def _is_missing(url: str) -> bool:
    """Whether it is an SQLite file that is not there; to open it would make it."""
    place = url.partition("sqlite:///")[2].partition("?")[0]
    return bool(place) and not Path(place).exists()


class Shelf:
    """Rooms put away packed, to be taken out once: unpacked, a hundred thousand would fill the memory."""

    def __init__(self) -> None:
        self._packed: deque[bytes] = deque()
        self.first = FAR
        """When the first of all that were put on it ended."""

    def put(self, settled: SettledRoom) -> None:
        """Put one more room on it."""
        self.first = min(self.first, settled.ended)
        self._packed.append(msgspec.json.encode(settled))

    def empty(self) -> Iterator[SettledRoom]:
        """Take them all out, in the order in which they came."""
        while self._packed:
            yield _rooms.decode(self._packed.popleft())

    def __len__(self) -> int:
        return len(self._packed)


_rooms = msgspec.json.Decoder(SettledRoom)


async def _stored(store: Store, sights: Iterable[Sight], since: int, begin: int) -> Shelf:
    """Every version of the rooms that ended after `since`."""
    shelf, known = Shelf(), _Known(sights)
    with counting("rooms read from the own history") as show:
        async for batch in store.visible(begin, since):
            for settled in batch:
                shelf.put(known.in_time(settled))
            show(len(shelf))
        after = begin
        while (known_at := await store.next_change(after)) is not None:
            after = known_at + SLICE
            for change in await store.changes(known_at - 1, after, close=False):
                if change.sign > 0 and change.room.ended > since:
                    shelf.put(known.in_time(change.room))
            show(len(shelf))
    return shelf


class _Known:
    """What ended before alertd ever looked was known all at once, by the first look: when would it have been?"""

    def __init__(self, sights: Iterable[Sight]) -> None:
        self._told: set[tuple[str, str]] = set()
        self._attendance = Attendance(sights)

    def in_time(self, settled: SettledRoom) -> SettledRoom:
        """The room; if it is such a one, known when rooms usually are (its first version, not what changed later)."""
        key = (settled.account, settled.room.room_sid)
        if key in self._told or not self._attendance.missed(settled):
            return settled
        self._told.add(key)
        return msgspec.structs.replace(settled, known_at=settled.ended + USUAL_DELAY)


def _from_the_beginning(sights: Iterable[Sight], begin: int) -> list[Sight]:
    """The sights, each account's first one from `begin` on, as in a file from its first room on."""
    found: list[Sight] = []
    for sight in sorted(sights, key=lambda one: (one.account, one.seen_from)):
        is_first = not found or found[-1].account != sight.account
        found.append(msgspec.structs.replace(sight, seen_from=min(begin, sight.seen_from)) if is_first else sight)
    return found


async def from_twilio(loaded: Loaded, rules: Iterable[Rule], wanted: Wanted) -> Found:
    """The rooms that Twilio still has (7 days), read into a database that is gone afterwards; nothing is sent.

    A room counts as known ten minutes after its end. SourceError if an account cannot be read.
    """
    begin, end = wanted.range(int(time.time()))
    back = min(WEEK, max(LEAST_BACKFILL, int(time.time()) - begin + reach_of(rules)))
    with tempfile.TemporaryDirectory(prefix="alertd-backtest-") as folder:
        store = loaded.config.store.model_copy(update={"url": SecretStr(f"sqlite:///{folder}/rooms.db")})
        collect = loaded.config.collect.model_copy(update={"backfill": back})
        there = replace(loaded, config=replace(loaded.config, store=store, collect=collect))
        rooms = await _collected(there)
    tally = Tally()
    replay = Replay(tally.reading(rooms.empty()), breaks_off=True)
    history = History(
        replay=replay,
        tally=tally,
        begin=begin,
        end=end,
        source="Twilio, just now",
        seen_from=tally.first or begin,
        notes=("when rooms became known is assumed: ten minutes after they ended",),
    )
    return Found(history, shown(loaded.config, secrets.token_bytes(32)))


async def _collected(loaded: Loaded) -> Shelf:
    from alertd.app import built

    shelf = Shelf()
    async with built(loaded, SystemClock()) as app:
        async with catching_up(app):
            looks = await asyncio.gather(*(one.look(whole=True) for one in app.collectors))
        failed = [f"account {look.account} could not be read: {look.error}" for look in looks if look.error]
        if failed:
            raise AlertdError("; ".join(failed))
        async for batch in app.store.visible(FAR, -FAR):
            for settled in batch:
                shelf.put(msgspec.structs.replace(settled, known_at=settled.ended + USUAL_DELAY))
    return shelf


def described(history: History) -> str:
    """What is gone over, in a line."""
    rooms, participants = history.tally.within(history.begin, history.end)
    span = format_duration((history.end - history.begin) // MINUTE * MINUTE)
    return f"{rooms:,} rooms with {participants:,} participants in {span} from {history.source}"
