"""What the anomaly kind pages for: false pages in clean simulated weeks, and minutes until a regional outage is found.

Usage: python -m benchmarks.detection ROOMS_A_DAY WEEKS OUTAGES [--days DAYS] [--seed N] [--ratio X]
                                     [--everywhere] [--any]

Each region is a group; a room is affected if anybody in it lost the media connection, or by any failure with --any. The
outage is that of the simulator's `regional-outage`, begun at random moments of the weeks: what is reported is how long
after its beginning the first page came. With --everywhere it strikes all regions, and all rooms are one group. `--days`
is the length of the baseline: busy traffic takes long to draw.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

from alertd.engine.books import Entry
from alertd.engine.kinds.anomaly import Anomaly
from alertd.engine.samples import Peer, Scene, View
from alertd.engine.windows import EVER, Match, Series
from alertd.simulator.population import FAILURES
from alertd.simulator.scenario import Scenario, Where, load_scenario
from alertd.simulator.traffic import Traffic

START = 1_772_409_600  # a Monday, 00:00 UTC
DAY, WEEK = 1440, 10_080
MEDIA = frozenset({53405, 53406, 53407})
ANY = frozenset(ending.code for ending in FAILURES.things)
POLLED = 1  # minutes until what has settled is known
PATIENCE = 15
OUTAGE = 40
GIVEN_UP = 90
OPEN_FOR = 6 * 60
"""Minutes before an outage within which the rooms began that are drawn anew for it."""


class Ended(NamedTuple):
    """A room as the engine counts it."""

    region: str
    entry: Entry


def drawn(traffic: Traffic, since: int, before: int, codes: frozenset[int | None]) -> Iterator[Ended]:
    """The rooms that start in these minutes and in which anybody was."""
    for call in traffic.oldest_first(since * 60, before * 60 - 1):
        sessions = traffic.sessions(call)
        if sessions:
            left = [session.left for session in sessions if session.ending.code in codes]
            failed = max(left) // 60 if left else None
            known = call.settled // 60 + POLLED
            yield Ended(call.region.name, Entry(call.ended // 60, known, failed, len(sessions), len(left)))


@dataclass(slots=True)
class Group:
    """A region: what is counted of it, and how its alert stands."""

    series: Series
    recent: list[Entry] = field(default_factory=list)
    floor: int = 0
    elevated: int | None = None
    fired: list[tuple[int, int]] = field(default_factory=list)

    def fold(self, entry: Entry) -> None:
        """Count a room."""
        self.recent.append(entry)
        self.series.book.fold(entry, 1)
        _count(self.series, entry)

    def copy(self) -> Group:
        """The same group, to go another way from here on."""
        series = Series(None, deepcopy(self.series.book))
        for entry in self.recent:
            _count(series, entry)
        return Group(series, list(self.recent), self.floor, self.elevated, list(self.fired))

    def forget(self, minute: int, kind: Anomaly) -> None:
        """Drop what is looked at no more."""
        self.series.totals.forget(EVER, minute - kind.minutes - 90)
        self.series.forget(EVER, minute - kind.minutes - 90)
        self.recent = [entry for entry in self.recent if entry.ended > minute - kind.minutes - 90]
        self.series.book.forget(minute)


def _count(series: Series, entry: Entry) -> None:
    series.totals.fold(entry.ended, entry.total)
    if entry.matched:
        series.match(entry.ended, Match(entry.matched, entry.total))


class Watch:
    """The rule over all regions, minute by minute, with alerts as simple as can be: firing until quiet for a while."""

    def __init__(self, kind: Anomaly) -> None:
        self.kind = kind
        self.groups: dict[str, Group] = {}

    def fold(self, room: Ended) -> None:
        """Count a room."""
        if room.region not in self.groups:
            self.groups[room.region] = Group(Series(None, self.kind.book()))
        self.groups[room.region].fold(room.entry)

    def tick(self, minute: int) -> dict[str, View]:
        """The regions that begin to fire in this minute."""
        began = {}
        for name, group in self.groups.items():
            scene = Scene(group.series, minute, group.floor, self._peers, group.fired)
            if group.elevated is None:
                view = self.kind.judge(scene)
                if view.holds:
                    began[name], group.elevated = view, minute
                    group.fired.append((minute, minute))
                continue
            if self.kind.elevated(scene) is not None:
                group.elevated = minute
            elif minute - group.elevated >= PATIENCE:
                group.floor, group.elevated = group.elevated, None
                continue
            group.fired[-1] = group.fired[-1][0], minute
        if minute % 60 == 0:
            for group in self.groups.values():
                group.forget(minute, self.kind)
        return began

    def copy(self) -> Watch:
        """The same, to go another way from here on."""
        other = Watch(self.kind)
        other.groups = {name: group.copy() for name, group in self.groups.items()}
        return other

    @property
    def firing(self) -> int:
        """How many regions fire."""
        return sum(group.elevated is not None for group in self.groups.values())

    def _peers(self) -> list[Peer]:
        return [Peer(group.series, group.fired) for group in self.groups.values()]


@dataclass(slots=True)
class Trial:
    """Weeks of one account under one rule; what came of them."""

    scenario: Scenario
    kind: Anomaly
    seed: int
    codes: frozenset[int | None]
    everywhere: bool = False
    pages: list[str] = field(default_factory=list)
    found: list[int | None] = field(default_factory=list)
    judging: float = 0.0

    def run(self, minutes: int, outages: list[int]) -> None:
        """Go through the weeks, and from each of the outages' beginnings through the outage as well."""
        begin = START // 60
        warm = begin + (self.kind.baseline + self.kind.lag) // 60
        traffic = self._traffic(load_scenario("clean"), START)
        watch, waiting = Watch(self.kind), {}
        for minute in range(begin, warm + minutes):
            if minute % 10 == 0:
                for room in self._drawn(traffic, minute, minute + 10):
                    waiting.setdefault(room.entry.known, []).append(room)
            for room in waiting.pop(minute, ()):
                watch.fold(room)
            if minute >= warm:
                self._tick(watch, minute)
            if minute - warm in outages:
                self.found.append(self._found(watch.copy(), minute))

    def _tick(self, watch: Watch, minute: int) -> None:
        before, began = watch.firing, time.process_time()
        fired = watch.tick(minute)
        self.judging += time.process_time() - began
        if fired and not before:
            name, view = next(iter(fired.items()))
            self.pages.append(f"{name}: {view.matched} of {view.total}, {view.window // 60}m, limit {view.limit:.2%}")

    def _found(self, watch: Watch, onset: int) -> int | None:
        """Minutes from the outage's beginning to the page for its region; None if none comes."""
        outage = load_scenario("regional-outage")
        begin = outage.incidents[0].model_copy(update={"at": 0, "lasts": OUTAGE * 60})
        region = begin.where.media_region
        if self.everywhere:
            begin, region = begin.model_copy(update={"where": Where()}), ""
        traffic = self._traffic(outage.model_copy(update={"incidents": (begin,)}), onset * 60)
        due: dict[int, list[Ended]] = {}
        for room in self._drawn(traffic, onset - OPEN_FOR, onset + GIVEN_UP):
            due.setdefault(room.entry.known, []).append(room)
        for minute in range(onset + 1, onset + GIVEN_UP):
            for room in due.get(minute, ()):
                watch.fold(room)
            if region in watch.tick(minute):
                return minute - onset
        return None

    def _drawn(self, traffic: Traffic, since: int, before: int) -> Iterator[Ended]:
        for room in drawn(traffic, since, before, self.codes):
            yield room._replace(region="") if self.everywhere else room

    def _traffic(self, scenario: Scenario, start: int) -> Traffic:
        rooms = {"rooms_per_day": self.scenario.rooms_per_day}
        return Traffic(scenario.model_copy(update=rooms), account_sid="AC" + "0" * 32, seed=self.seed, start=start)


def main() -> None:
    """Run; print JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("rooms", type=float)
    parser.add_argument("weeks", type=float)
    parser.add_argument("outages", type=int)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ratio", type=float)
    parser.add_argument("--any", action="store_true")
    parser.add_argument("--everywhere", action="store_true")
    asked = parser.parse_args()
    scenario = load_scenario("clean").model_copy(update={"rooms_per_day": asked.rooms})
    kind = Anomaly(baseline=asked.days * DAY * 60, ratio=asked.ratio)
    trial = Trial(scenario, kind, asked.seed, ANY if asked.any else MEDIA, everywhere=asked.everywhere)
    minutes = int(asked.weeks * WEEK)
    rng = random.Random(asked.seed)
    trial.run(minutes, sorted(rng.randrange(minutes) for _ in range(asked.outages)))
    found = sorted(minutes for minutes in trial.found if minutes is not None)
    print(
        json.dumps(
            {
                "rooms_a_day": asked.rooms,
                "weeks": asked.weeks,
                "pages": trial.pages,
                "pages_a_week": len(trial.pages) / asked.weeks,
                "outages": len(trial.found),
                "found": len(found),
                "median_minutes": statistics.median(found) if found else None,
                "minutes": found,
                "judging_us_a_minute": trial.judging / minutes * 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
