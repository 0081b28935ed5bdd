"""How many requests a settled room costs: a simulated account polled every minute, its requests counted.

Usage: python -m benchmarks.calls ROOMS_A_DAY HOURS
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import msgspec

from alertd import logs
from alertd.collect import Collector
from alertd.engine.records import Participant, Room
from alertd.errors import NotFoundError
from alertd.simulator.calls import Call
from alertd.simulator.listing import find_call, rooms_page
from alertd.simulator.queries import Cursor, Filters, Page
from alertd.simulator.scenario import Scenario
from alertd.simulator.sids import account_sid
from alertd.simulator.summaries import participant_summary, room_summary
from alertd.simulator.traffic import Traffic
from alertd.store import Store, open_store
from benchmarks.rounds import Result, run, say

MONDAY = 1_772_409_600
"""2026-03-02 00:00 UTC, when counting begins."""
MINUTE, HOUR = 60, 3600
PAGE = 1000
ACCOUNTS = {200: 24, 5_000: 24, 200_000: 3}
"""Simulated hours that are counted, by rooms a day; the largest account is counted while it is busy."""
QUICK = {200: 1}
BUSY = 14 * HOUR


class SetClock:
    """A clock that says what it was set to."""

    speed = 1.0

    def __init__(self, now: int) -> None:
        self.time = now

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Nothing here waits for anything but the next look."""
        raise AssertionError(f"asked to sleep {seconds} s")


class CountingSource:
    """The simulator's traffic as alertd's client shows it, without the network; `asked` counts the requests.

    `again` counts the rooms whose participants were asked for a second time although nothing about them had changed.
    """

    account = "production"
    page_size: int = 1000
    clock_skew: float | None = 0.0

    def __init__(self, traffic: Traffic, clock: SetClock) -> None:
        self.faults: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self._traffic = traffic
        self._clock = clock
        self._final: dict[str, Room] = {}
        self._fetched: dict[str, bool] = {}

    async def list_rooms(
        self, *, created_after: datetime, created_before: datetime | None = None
    ) -> AsyncIterator[list[Room]]:
        """The rooms that started in that stretch, a full page at a time."""
        before = None if created_before is None else created_before.timestamp()
        filters = Filters(created_after=created_after.timestamp(), created_before=before)
        number, cursor = 0, None
        while number == 0 or cursor is not None:
            calls, cursor = self._page(filters, number, cursor)
            number += 1
            self.asked["list"] += 1
            yield [self._room(call) for call in calls]

    def _page(self, filters: Filters, number: int, cursor: Cursor | None) -> tuple[list[Call], Cursor | None]:
        calls, _, later = rooms_page(self._traffic, filters, Page(PAGE, number, cursor), self._clock.now())
        return calls, later

    async def server_now(self) -> float:
        """Its clock is right."""
        return self._clock.now()

    async def fetch_room(self, room_sid: str) -> Room:
        """One room."""
        self.asked["room"] += 1
        return self._room(self._call(room_sid))

    async def list_participants(self, room_sid: str) -> list[Participant]:
        """All participants of a room."""
        self.asked["participants"] += 1
        call, now = self._call(room_sid), self._clock.now()
        settled = now >= call.settled
        if self._fetched.get(room_sid) is settled:
            self.asked["again"] += 1
        self._fetched[room_sid] = settled
        shown = (session for session in self._traffic.sessions(call) if session.shown_at <= now)
        return [msgspec.convert(participant_summary(call, one, now, ""), Participant) for one in shown]

    def _call(self, room_sid: str) -> Call:
        call = find_call(self._traffic, room_sid, self._clock.now())
        if call is None:
            raise NotFoundError(f"no room {room_sid}")
        return call

    def _room(self, call: Call) -> Room:
        """The summary now; those that are settled stay as they are."""
        room = self._final.get(call.sid)
        if room is None:
            now = self._clock.now()
            room = msgspec.convert(room_summary(call, now, "", 0.02), Room)
            if now >= call.settled:
                self._final[call.sid] = room
        return room


def collector(source: CountingSource, store: Store, clock: SetClock) -> Collector:
    """Collecting as it is configured where nothing is said."""
    return Collector(source, store, clock, look_back=25 * HOUR, settle_timeout=1800, every=MINUTE, holder="benchmark")


def measure(rounds: int, *, quick: bool) -> Result:  # noqa: ARG001 - the same traffic gives the same calls every time
    """What was asked and what settled, by rooms a day."""
    found = {}
    for rooms_a_day, hours in (QUICK if quick else ACCOUNTS).items():
        found[str(rooms_a_day)] = run("calls", rooms_a_day, hours)
        say(f"{rooms_a_day} rooms a day: {found[str(rooms_a_day)]}")
    return found


async def count(rooms_a_day: int, hours: int) -> Result:
    """Requests and settled rooms in so many hours of polling every minute, after everything before has been read."""
    start = MONDAY + (BUSY if hours < 24 else 0)
    clock = SetClock(start - HOUR)
    traffic = Traffic(
        Scenario(name="usual", rooms_per_day=rooms_a_day), account_sid=account_sid("benchmark"), seed=1, start=start
    )
    source = CountingSource(traffic, clock)
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(f"sqlite:///{Path(folder) / 'calls.db'}")
        looker, settled = collector(source, store, clock), 0
        for at in range(start - HOUR, start + hours * HOUR, MINUTE):
            clock.time = at
            if at == start:
                say(f"{settled} rooms settled before counting begins")
                settled = 0
                source.asked.clear()
            settled += (await looker.look()).settled
        await store.close()
    return {"hours": hours, "looks": hours * 60, "settled": settled, **source.asked}


def main() -> None:
    """Count for one account; print JSON."""
    logs.set_up(level="error")
    print(json.dumps(asyncio.run(count(int(sys.argv[1]), int(sys.argv[2])))))


if __name__ == "__main__":
    main()
