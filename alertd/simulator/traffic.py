"""Which calls happen when: seeded traffic, always the same for whatever stretch of time is asked for, in any order."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator

from alertd.simulator.calls import Call, Session, close_call, draw_call, draw_sessions
from alertd.simulator.failures import disturb, strike, upgrade
from alertd.simulator.fates import befall
from alertd.simulator.faultkinds import RoomFault
from alertd.simulator.population import REGIONS
from alertd.simulator.rhythm import starts, wander
from alertd.simulator.scenario import Gathering, Scenario
from alertd.simulator.sids import room_place, room_sid

CHUNK = 600  # seconds that are generated at a time
DAYS_KEPT = 1.5  # so much traffic stays in memory: more than a look back over a day and the longest rooms passes over
_FIRST_GATHERING = 1 << 20  # numbers of calls from here on are the scenario's gatherings


class Traffic:
    """All calls of one account, past and future.

    `start` (seconds since the epoch) is when the scenario's offsets count from; before it every week is ordinary.
    The same scenario, account and seed give the same calls: each chunk and each call has random numbers of its own.
    """

    def __init__(self, scenario: Scenario, *, account_sid: str, seed: int, start: int) -> None:
        self.account_sid = account_sid
        self._scenario = scenario
        self._start = start
        self._key = f"{seed}/{account_sid}"
        self._room_faults = [
            (f"{self._key}/fault/{n}", fault) for n, fault in enumerate(scenario.faults) if isinstance(fault, RoomFault)
        ]
        self._chunks: OrderedDict[int, dict[int, Call]] = OrderedDict()
        self._kept = 0
        self._most_kept = max(10_000, int(DAYS_KEPT * scenario.rooms_per_day))

    def newest_first(self, since: float, before: float) -> Iterator[Call]:
        """Calls that start at or after `since` and before `before` (seconds since the epoch), the latest first."""
        for chunk in range(int(before) // CHUNK, int(since) // CHUNK - 1, -1):
            yield from [call for call in reversed(self._calls(chunk).values()) if since <= call.created < before]

    def oldest_first(self, since: float, before: float) -> Iterator[Call]:
        """The same calls in the order in which they start."""
        for chunk in range(int(since) // CHUNK, int(before) // CHUNK + 1):
            yield from [call for call in self._calls(chunk).values() if since <= call.created < before]

    def find(self, sid: str, since: int, before: int) -> Call | None:
        """The call whose room has this SID, if it starts in that stretch of time."""
        place = room_place(self._key, sid)
        if place is None or not since // CHUNK <= place[0] <= before // CHUNK:
            return None
        call = self._calls(place[0]).get(place[1])
        return call if call is not None and call.sid == sid and since <= call.created < before else None

    def sessions(self, call: Call) -> list[Session]:
        """Everybody who took part in the call, in order of joining; those who came back stand last."""
        return self._build(call.created // CHUNK, call.number, call.created)[1]

    def _calls(self, chunk: int) -> dict[int, Call]:
        """The calls that start in this chunk, by number in order of start; without their sessions, to save memory.

        They are kept for a while, the chunks that were needed last the longest.
        """
        if chunk not in self._chunks:
            self._chunks[chunk] = {
                number: self._build(chunk, number, created)[0] for created, number in self._starts(chunk)
            }
            self._kept += len(self._chunks[chunk])
            while self._kept > self._most_kept and len(self._chunks) > 1:
                self._kept -= len(self._chunks.popitem(last=False)[1])
        self._chunks.move_to_end(chunk)
        return self._chunks[chunk]

    def _starts(self, chunk: int) -> list[tuple[int, int]]:
        rng = random.Random(f"{self._key}/{chunk}")
        ordinary = starts(rng, chunk * CHUNK, CHUNK, self._scenario.rooms_per_day)
        gatherings = ((self._start + g.at, _FIRST_GATHERING + n) for n, g in enumerate(self._scenario.gatherings))
        return sorted(
            [(at, number) for number, at in enumerate(ordinary) if not self._paused(at, number)]
            + [(at, number) for at, number in gatherings if at // CHUNK == chunk]
        )

    def _paused(self, at: int, number: int) -> bool:
        return any(
            pause.covers(at - self._start) and random.Random(f"{self._key}/pause/{at}/{number}").random() < pause.share
            for pause in self._scenario.pauses
        )

    def _build(self, chunk: int, number: int, created: int) -> tuple[Call, list[Session]]:
        stream = f"{self._key}/{chunk}/{number}"
        rng = random.Random(stream)
        sid = room_sid(self._key, chunk, number)
        call = draw_call(rng, sid=sid, account_sid=self.account_sid, number=number, created=created)
        if number >= _FIRST_GATHERING:
            _gather(call, self._scenario.gatherings[number - _FIRST_GATHERING])
        sessions = draw_sessions(rng, call)
        disturb(rng, call, sessions, wander(self._key, created))
        self._trouble(stream, call, sessions)
        close_call(rng, call, sessions)
        for key, fault in self._room_faults:
            befall(key, fault, self._start, call, sessions)
        return call, sessions

    def _trouble(self, stream: str, call: Call, sessions: list[Session]) -> None:
        """The scenario's part, from random streams of its own: what it does not touch stays as in a clean week."""
        for n, release in enumerate(self._scenario.releases):
            upgrade(f"{stream}/release/{n}", release, self._start, sessions)
        for n, incident in enumerate(self._scenario.incidents):
            strike(f"{stream}/incident/{n}", incident, self._start, call, sessions)


def _gather(call: Call, gathering: Gathering) -> None:
    call.name, call.size, call.seats = gathering.room_name, gathering.participants, 50
    call.talk_end, call.room_type, call.created_method = call.created + gathering.lasts, "group", "api"
    call.long_sessions = False
    call.region = next((r for r in REGIONS.things if r.name == gathering.media_region), call.region)
