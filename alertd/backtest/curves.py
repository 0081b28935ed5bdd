"""What rules saw over time: the value of each group and its limit, sampled along a history."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alertd.engine.conditions import compile_condition
from alertd.engine.counting import Windows
from alertd.engine.fields import Extractor, Show
from alertd.engine.kinds import Absent
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.populations import SLACK, GroupWindow
from alertd.engine.records import SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.samples import LATE, Peer, Sample, Scene, sample_of
from alertd.engine.shortfall import shortfall
from alertd.engine.windows import MINUTE
from alertd.evaluate import Ledger

POINTS = 600
"""Instants at which all groups are looked at; those at which an alert began come on top."""
MOST_POINTS = 700
ALMOST = 0.99
"""How near a group comes at most whose value is beyond the limit, but too few are affected for the rule to hold."""

USUAL = 7 * 86400
"""Seconds back to which it is asked what is usual, to say which slice carries an alert."""

UNSEEN = 900
"""Seconds from its end after which a room may be known too late to be in any window that is looked at."""

Floors = dict[str, list[tuple[int, int]]]
"""By fingerprint, from which instant on the windows of an alert do not reach back to which other one."""


class Point(NamedTuple):
    """What a rule saw of a group at an instant: what it compared with the limit, and the plain value if it differs."""

    at: int
    value: float
    limit: float
    plain: float | None = None

    @classmethod
    def of(cls, at: int, sample: Sample) -> Point:
        """The point of a sample: of a bounded share the bound counts."""
        if sample.lower is None:
            return cls(at, sample.value, sample.limit)
        return cls(at, sample.lower, sample.limit, sample.value)


@dataclass(slots=True)
class Curve:
    """One group of a rule over time; between points that are more than a `step` (seconds) apart nothing matched.

    `worst` is the sample that came nearest to the limit, or was farthest beyond it; `held` is whether the rule held.
    """

    labels: Mapping[str, str]
    fingerprint: str
    step: int
    points: list[Point] = field(default_factory=list)
    worst: Sample | None = None
    nearness: float = 0.0
    held: bool = False

    def see(self, at: int, sample: Sample, *, holds: bool) -> None:
        """Add what was seen at an instant, and whether the rule held: where it did not, the limit was not reached."""
        point = Point.of(at, sample)
        self.points.append(point)
        near = nearness(point, below=sample.below)
        near = near if holds else min(near, ALMOST)
        if self.worst is None or (near, sample.matched) > (self.nearness, self.worst.matched):
            self.worst, self.nearness, self.held = sample, near, holds


def nearness(point: Point, *, below: bool) -> float:
    """How near the value is to the limit, 1 at the limit, more beyond it."""
    if below:
        return point.limit / max(point.value, 1.0)
    return point.value / point.limit if point.limit else float(point.value > 0)


def hindrance(rule: Rule, sample: Sample) -> str:
    """Why a rule did not hold although what it saw is beyond its limit; empty where the limit was not reached."""
    beyond = sample.value < sample.limit if sample.below else sample.value > sample.limit
    return shortfall(rule.kind, sample) if beyond or sample.learning else ""


def reach_of(rules: Iterable[Rule]) -> int:
    """How many seconds before the beginning of a range rooms are needed to judge it as it would have been.

    To say what carries an alert, its whole window is looked at as it was on each of the seven days before.
    """
    return max((max(rule.kind.reach, _asked_back(rule)) for rule in rules), default=0) + SLACK * MINUTE


def _asked_back(rule: Rule) -> int:
    window = rule.kind.minutes * MINUTE
    return USUAL + LATE * MINUTE + window if rule.kind.needs_match else max(USUAL, window)


class Drawn(NamedTuple):
    """What was followed, by rule key: curves, and how many participants matched where all were known too late."""

    curves: dict[str, list[Curve]]
    unseen: dict[str, int]


async def drawn(
    ledger: Ledger,
    policy: Policy,
    show: Show,
    span: tuple[int, int],
    floors: Floors,
    moments: Mapping[str, list[Point]],
    fired: Mapping[str, int],
    most: int,
) -> Drawn:
    """The curves of each rule: of at most so many groups, those that fired longest, then came nearest.

    `span` is from when to when; `moments` are what alerts saw as they began, `fired` the seconds they did, both by
    fingerprint.
    """
    belated = Belated(policy.rules)
    found = await _followed(ledger, policy, show, span, floors, belated)
    chosen = {}
    for rule in policy.rules:
        curves = found.get(rule.key, {}).values()
        best = sorted(curves, key=lambda one: (-fired.get(one.fingerprint, 0), -one.nearness, one.fingerprint))[:most]
        for curve in best:
            curve.points = _thinned(sorted({*curve.points, *moments.get(curve.fingerprint, ())}))
        chosen[rule.key] = best
    unseen = {key: number for key, number in belated.matched.items() if number and not chosen[key]}
    return Drawn(chosen, unseen)


class Belated:
    """Counts who matches each rule in rooms that were known so late that no window that is looked at may have them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = tuple(rules)
        self._extractor = Extractor({field for rule in rules for field in rule.among.fields | rule.match.fields})
        index = self._extractor.index
        self._asked = [
            (rule.key, compile_condition(rule.among, index), compile_condition(rule.match, index)) for rule in rules
        ]
        self.matched = {rule.key: 0 for rule in rules}

    def count(self, settled: SettledRoom, sign: int) -> None:
        """Count the room if it came late; with `sign` -1 take it out again."""
        if settled.known_at - settled.ended <= UNSEEN:
            return
        people = list(self._extractor.facts(settled))
        for key, among, match in self._asked:
            self.matched[key] += sign * sum(bool(among(facts) and match(facts)) for facts in people)


async def _followed(
    ledger: Ledger, policy: Policy, show: Show, span: tuple[int, int], floors: Floors, belated: Belated
) -> dict[str, dict[str, Curve]]:
    """Every group of every rule, by rule key and fingerprint."""
    begin, end = span
    step = max(MINUTE, -(-(end - begin) // (POINTS * MINUTE)) * MINUTE)
    windows, found = Windows(policy.rules, show), {rule.key: dict[str, Curve]() for rule in policy.rules}
    async for batch in ledger.visible(begin, begin - reach_of(policy.rules)):
        for settled in batch:
            windows.fold(settled)
    before = begin
    for at in range(begin - begin % MINUTE + step, end + 1, step):
        for change in await ledger.changes(before, at):
            windows.fold(change.room, change.sign)
            if change.room.ended > begin:
                belated.count(change.room, change.sign)
        windows.begin()
        snapshot = await ledger.snapshot(at)
        for rule in policy.rules:
            for group, scene in _scenes(windows, policy, rule, at, floors, snapshot):
                _look(rule, group, scene, found[rule.key], step)
        windows.forget(at // MINUTE, {})
        before = at
    return found


def _scenes(
    windows: Windows, policy: Policy, rule: Rule, at: int, floors: Floors, snapshot: Snapshot
) -> Iterator[tuple[GroupWindow, Scene]]:
    """Each group of the rule as its alert was judged at an instant, but for what alerts leave out of baselines."""
    groups = list(_groups(windows, policy, rule, at // MINUTE))
    peers = [Peer(group.series) for group in groups]
    for group in groups:
        if isinstance(rule.kind, Absent) and at > (snapshot.starts_until or at):
            return  # what went on at the end of the history is not in it
        floor = _floor(floors.get(group.fingerprint), at)
        yield group, scene_of(rule, group, peers, at, floor, snapshot, policy.listed_after)


def scene_of(
    rule: Rule, group: GroupWindow, peers: list[Peer], at: int, floor: int, snapshot: Snapshot, listed_after: int
) -> Scene:
    """One group at an instant `at`, with what the snapshot knows of rooms that went on, if the rule counts starts."""
    scene = Scene(group.series, at // MINUTE, floor // MINUTE, lambda: peers)
    if not isinstance(rule.kind, Absent):
        return scene
    waiting = snapshot.going.get(group.labels["account"], {})
    return scene._replace(listed=scene.minute - listed_after, waiting=waiting)


def _look(rule: Rule, group: GroupWindow, scene: Scene, found: dict[str, Curve], step: int) -> None:
    found_now = seen(rule, group, scene)
    if found_now is None:
        return
    sample, holds = found_now
    curve = found.get(group.fingerprint)
    if curve is None:
        curve = found[group.fingerprint] = Curve(group.labels, group.fingerprint, step)
    curve.see(scene.minute * MINUTE, sample, holds=holds)


def _groups(windows: Windows, policy: Policy, rule: Rule, minute: int) -> Iterable[GroupWindow]:
    if isinstance(rule.kind, Absent):
        return [windows.starts(rule, account) for account in policy.accounts or windows.accounts(minute)]
    return windows.groups(rule)


def seen(rule: Rule, group: GroupWindow, scene: Scene) -> tuple[Sample, bool] | None:
    """What a rule sees of a group, and whether it holds; None where there is nothing to see."""
    kind = rule.kind
    if kind.needs_match and not group.series.matched:
        return None
    view = kind.judge(scene)
    if kind.needs_match and not view.matched:
        return None
    return sample_of(kind, scene, view), view.holds


def _floor(floors: list[tuple[int, int]] | None, at: int) -> int:
    """The moment of recovery that holds at an instant; 0 before the first."""
    if not floors:
        return 0
    place = bisect_right(floors, at, key=lambda pair: pair[0])
    return floors[place - 1][1] if place else 0


def _thinned(points: list[Point]) -> list[Point]:
    """At most MOST_POINTS of them: of neighbours that share a place, the highest."""
    share = -(-len(points) // MOST_POINTS)
    if share <= 1:
        return points
    return [max(points[start : start + share], key=lambda one: one.value) for start in range(0, len(points), share)]
