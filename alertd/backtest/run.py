"""What rules would have fired and sent over a history: the evaluation that runs live, gone over the past."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from alertd.backtest.curves import Curve, Drawn, Floors, Point, drawn
from alertd.engine.alerts import Alert
from alertd.engine.durations import format_duration
from alertd.engine.explain import Explanation
from alertd.engine.fields import Show
from alertd.engine.groups import Notification
from alertd.engine.outcome import Event, Outcome, Policy, Snapshot
from alertd.engine.records import SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.samples import Sample
from alertd.engine.windows import MINUTE, Evidence
from alertd.replay import Replay, play

LATE_BY = 1800
"""Seconds from a room's end within which its logs are there (Video Log Analyzer documentation); beyond, it is late."""
BARS = 168
"""Stretches of the range for each of which the rooms are counted: of a week, its hours."""
LARGE_SHARE = 0.2
"""The share of late rooms from which on that is told."""
Progress = Callable[[int], None]
"""Is told from time to time up to which instant it is decided."""


class Bar(msgspec.Struct, frozen=True):
    """The rooms that ended from `at` until the next bar, and how many of them were known late."""

    at: int
    rooms: int
    late: int


class Tally:
    """Counts rooms as they are read, each once however many versions of it come."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._ended, self._delays, self._people = array("q"), array("q"), array("q")

    def reading(self, rooms: Iterable[SettledRoom]) -> Iterator[SettledRoom]:
        """The same rooms, counted as they pass by."""
        for settled in rooms:
            key = (settled.account, settled.room.room_sid)
            if key not in self._seen:
                self._seen.add(key)
                self._ended.append(settled.ended)
                self._delays.append(settled.known_at - settled.ended)
                self._people.append(len(settled.participants))
            yield settled

    @property
    def first(self) -> int | None:
        """When the first room ended."""
        return min(self._ended, default=None)

    def within(self, begin: int, end: int) -> tuple[int, int]:
        """Rooms that ended in `begin` < instant ≤ `end`, and everybody in them."""
        people = [number for ended, number in zip(self._ended, self._people, strict=True) if begin < ended <= end]
        return len(people), sum(people)

    def bars(self, begin: int, end: int) -> list[Bar]:
        """The rooms over the range."""
        width = max(MINUTE, -(-(end - begin) // BARS))
        counts = [[0, 0] for _ in range(begin, end, width)]
        for ended, delay in zip(self._ended, self._delays, strict=True):
            if begin < ended <= end:
                bar = counts[(ended - begin - 1) // width]
                bar[0] += 1
                bar[1] += delay > LATE_BY
        return [Bar(begin + place * width, rooms, late) for place, (rooms, late) in enumerate(counts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is gone over: the rooms, as a ledger, and the range (seconds since the epoch) in which it is decided.

    `source` says where the rooms come from, `notes` what is odd about them; `seen_from` is when the history begins.
    """

    replay: Replay
    tally: Tally
    begin: int
    end: int
    source: str
    seen_from: int
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Firing:
    """One time that an alert fired; instants in seconds since the epoch, `ends_at` None if it still did at the end.

    `told_at` is when it was decided: later than `starts_at` if it was over before its rooms were known (`late`).
    `worst` is the worst that its rule saw meanwhile, `explain` which slices carried it, where that was found out.
    """

    rule: str
    fingerprint: str
    labels: Mapping[str, str]
    starts_at: int
    told_at: int
    ends_at: int | None = None
    late: bool = False
    why: str = ""
    over: str = ""
    worst: Sample | None = None
    summary: str = ""
    evidence: tuple[Evidence, ...] = ()
    explain: Explanation | None = None

    def seconds(self, end: int) -> int:
        """How long it fired, up to `end` if it still does."""
        return max(0, (end if self.ends_at is None else self.ends_at) - self.starts_at)

    def learn(self, alert: Alert) -> None:
        """Take over what the alert shows by now."""
        self.evidence = alert.evidence
        self.explain = alert.explain
        self.summary = self.summary or alert.annotations.get("summary", "")  # of one moment with `why`
        if alert.sample is not None and (self.worst is None or _worse(alert.sample, self.worst)):
            self.worst = alert.sample


def _worse(one: Sample, other: Sample) -> bool:
    return one.value < other.value if one.below else one.value > other.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What came of going over a history; `errors` say by rule key what failed, `curves` are by rule key too.

    `unseen` is how many participants matched rules without a curve, all in rooms that were known too late to be drawn.
    `notes` are for whoever reads the figures. `seconds` is how long it took, in real time.
    """

    rules: tuple[Rule, ...]
    begin: int
    end: int
    source: str
    rooms: int
    participants: int
    firings: list[Firing]
    events: list[Event]
    notifications: list[Notification]
    bars: list[Bar]
    seconds: float
    errors: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    curves: Mapping[str, list[Curve]] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)

    @property
    def late(self) -> int:
        """Rooms that were known late."""
        return sum(bar.late for bar in self.bars)


@dataclass(slots=True)
class _Record:
    """What is noted of each decision."""

    firings: list[Firing] = field(default_factory=list)
    open: dict[str, Firing] = field(default_factory=dict)
    latest: dict[str, Firing] = field(default_factory=dict)
    floors: Floors = field(default_factory=dict)
    moments: dict[str, list[Point]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def note(self, _at: int, outcome: Outcome, after: Snapshot) -> None:
        """Take down what a decision changed."""
        for event in outcome.events:
            self._note_event(event)
        for alert in outcome.alerts:
            if alert.fingerprint in self.open:
                self.open[alert.fingerprint].learn(alert)
        for event in outcome.events:
            self._note_end(event, after.alerts[event.fingerprint])
        self.errors.update(outcome.errors)

    def _note_event(self, event: Event) -> None:
        if event.sample is not None and event.event != "resolved" and not event.late:
            self.moments.setdefault(event.fingerprint, []).append(Point.of(event.at, event.sample))
        if event.event == "resolved":
            return
        firing = Firing(
            rule=event.rule,
            fingerprint=event.fingerprint,
            labels=event.labels,
            starts_at=event.at if event.starts_at is None else event.starts_at,
            told_at=event.at,
            late=event.event == "late",
            why=event.reason,
        )
        before = self.latest.get(event.fingerprint)
        if firing.late and before is not None and before.late and firing.starts_at <= (before.ends_at or 0):
            self.firings.remove(before)  # more news of the same stretch
        self.firings.append(firing)
        self.open[event.fingerprint] = self.latest[event.fingerprint] = firing

    def _note_end(self, event: Event, alert: Alert) -> None:
        if event.event == "firing":
            return
        firing = self.open.pop(event.fingerprint, None)
        if firing is not None:
            firing.ends_at = alert.ends_at
            firing.over = "" if event.event == "late" else event.reason
        self.floors.setdefault(event.fingerprint, []).append((event.at, alert.floor))


async def go_over(
    history: History,
    policy: Policy,
    show: Show,
    *,
    curves: int = 0,
    progress: Progress = lambda _at: None,
) -> Findings:
    """Decide at every instant of the history's range, and tell what came of it.

    With `curves`, what each rule saw is followed over time, for its groups that matter most, at most so many.
    """
    began, record = time.perf_counter(), _Record()
    replay = history.replay
    replay.restart(history.begin)

    def judged(at: int, outcome: Outcome, after: Snapshot) -> None:
        record.note(at, outcome, after)
        if at % 3600 == 0:
            progress(at)

    await play(replay, policy, show, history.end, judged)
    found = Drawn({}, {})
    if curves:
        fired: dict[str, int] = {}
        for firing in record.firings:
            fired[firing.fingerprint] = fired.get(firing.fingerprint, 0) + firing.seconds(history.end)
        span = (history.begin, history.end)
        found = await drawn(replay, policy, show, span, record.floors, record.moments, fired, curves)
    rooms, participants = history.tally.within(history.begin, history.end)
    return Findings(
        rules=policy.rules,
        begin=history.begin,
        end=history.end,
        source=history.source,
        rooms=rooms,
        participants=participants,
        firings=sorted(record.firings, key=lambda firing: (firing.starts_at, firing.fingerprint)),
        events=replay.events,
        notifications=replay.notifications,
        bars=history.tally.bars(history.begin, history.end),
        seconds=time.perf_counter() - began,
        errors=record.errors,
        notes=(*history.notes, *_warming(history, policy.rules), *_belated(history)),
        curves=found.curves,
        unseen=found.unseen,
    )


def _belated(history: History) -> Iterator[str]:
    """Whether so many rooms were known late that alerts say more of when alertd was there than of the calls."""
    bars = history.tally.bars(history.begin, history.end)
    late, rooms = sum(bar.late for bar in bars), sum(bar.rooms for bar in bars)
    if late and late >= LARGE_SHARE * rooms:
        share = f"{100 * late / rooms:.0f} %"
        yield (
            f"{late:,} of {rooms:,} rooms ({share}) were known more than 30 minutes after their end, "
            "as where alertd was not running: what happened in them is told late, or not at all"
        )


def _warming(history: History, rules: Iterable[Rule]) -> Iterator[str]:
    """Which rules look back beyond where the history begins: at first they see less than they would have."""
    short = [rule for rule in rules if history.begin - rule.kind.reach < history.seen_from]
    if short:
        least = format_duration(max(rule.kind.reach for rule in short))
        names = ", ".join(dict.fromkeys(rule.alert for rule in short[:5])) + (", …" if len(short) > 5 else "")
        there = max(0, history.begin - history.seen_from) // MINUTE * MINUTE
        stands = f"only {format_duration(there)} of history stand" if there else "no history stands"
        who = f"{len(short)} rules look" if len(short) > 1 else "1 rule looks"
        yield (
            f"{who} back up to {least}, but {stands} before the start: "
            f"at first they see less than they would have ({names})"
        )
