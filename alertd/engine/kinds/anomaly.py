"""`anomaly`: more rooms are affected than usual, beyond chance and beyond the wandering of the share itself."""

from __future__ import annotations

from functools import lru_cache
from math import inf, log10
from typing import ClassVar, NamedTuple

import msgspec

from alertd.engine.baselines import WEEK, Hours, Pool, Slot, Usual, hours_of, pooled, whole_hours
from alertd.engine.books import HOUR
from alertd.engine.durations import format_duration
from alertd.engine.rough import Rough
from alertd.engine.samples import LATE, STEP, Of, Sample, Scene, View, percent, span, worst
from alertd.engine.statistics import binomial_tail
from alertd.engine.windows import MINUTE

LEAST, MOST = 2.0, 4.0
"""Between these `ratio: auto` goes."""
CERTAIN = 0.95
"""No limit is above this share."""
ELEVATED = 1.5
"""So many times the usual share goes on being trouble."""
DAY = 24 * HOUR
LATER = 90
"""Minutes kept beyond the reach, as many as are read again at a start: late rooms are judged by what was usual then."""
LOOK = 15
"""Minutes between looks that count as independent."""


class Norm(NamedTuple):
    """What a group is held against: what is usual in it, the ratio that is too much, alpha, and whether it is early."""

    usual: Usual
    ratio: float
    alpha: float
    learning: bool


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when in any window P(Binomial(R, min(ratio q₀, 0.95)) ≥ A) < alpha, A ≥ `min_rooms` of R rooms affected.

    q₀ is the usual share of the group in the `baseline` that was over `lag` ago; alpha is `false_alarms` (a week, over
    all groups) by the independent looks a week. It must be elevated, too. `ratio` None goes with the group's wandering:
    1 + 4 cv, from 2 to 4. Windows shorter than the late half hour are judged in all positions.
    """

    ratio: float | None = None
    false_alarms: float = 0.5
    windows: tuple[int, ...] = (900, 1800, 3600, 7200, 21600)
    min_rooms: int = 3
    baseline: int = 604800
    lag: int = 86400
    of: ClassVar[Of] = "rooms"
    holds_below: ClassVar[bool] = False
    needs_match: ClassVar[bool] = True
    needs_many: ClassVar[bool] = False

    @property
    def reach(self) -> int:
        """How far back it looks: the beginning of the baseline may be an hour before its nominal one."""
        return max(self.lag + self.baseline + HOUR * MINUTE, *self.windows)

    @property
    def minutes(self) -> int:
        """The longest window in minutes."""
        return max(self.windows) // MINUTE

    @property
    def slots(self) -> list[Slot]:
        """The windows in their positions."""
        return [slot for _, each in _stretches(self.windows) for slot in each]

    @property
    def hindsight(self) -> int:
        """The longest window."""
        return self.minutes

    def book(self) -> Hours:
        """What it keeps: rooms by the hour."""
        return Hours([slot for slot in self.slots if slot[0] <= HOUR], self.reach // MINUTE + LATER)

    def judge(self, scene: Scene) -> View:
        """Whether any window holds in any position while trouble goes on; the one that chance explains least."""
        norm = self._norm(scene)
        slots = self._worth_a_look(scene)
        views = [self._view(scene, norm, slot, norm.usual.shares.get(slot, norm.usual.plain)) for slot in slots]
        view = worst(views or [self._view(scene, norm, (self.minutes, 0), norm.usual.plain)])
        return view._replace(holds=view.holds and self._is_elevated(scene, norm.usual.failing))

    def judge_then(self, scene: Scene) -> View | None:
        """Whether a window that ended then held, against what is usual where all rooms are known; None where none went
        on failing, which is cheap to see: of a long absence thousands of minutes may have to be judged.
        """
        if self._failing(scene) < 2:
            return None
        norm = self._norm(scene)
        usual = norm.usual.plain
        if not self._is_elevated(scene, usual):
            return None
        return worst(self._view(scene, norm, (window // MINUTE, 0), usual) for window in self.windows)

    def elevated(self, scene: Scene) -> int | None:
        """While 2 rooms or more failed in the last hour, and more than 1.5 times as many as usual."""
        if self._failing(scene) < 2:
            return None
        return scene.minute if self._is_elevated(scene, self._norm(scene).usual.failing) else None

    def traffic_judged(self, scene: Scene, since: int) -> bool:
        """Whether as many rooms ended since as must be affected: a share of nothing tells nothing."""
        return scene.series.between(since, scene.minute).rooms >= self.min_rooms

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether enough rooms are affected at all."""
        return scene.series.between(max(after, scene.floor), upto).affected >= self.min_rooms

    def may_have_held(self, rough: Rough) -> bool:
        """Whether enough rooms were affected at all."""
        return any(rough.bounds(window).affected >= self.min_rooms for window in self.windows)

    def in_words(self) -> str:
        """`more rooms affected than usual, beyond chance, within 15m, 30m, …; needs 3 rooms`."""
        windows = ", ".join(map(format_duration, self.windows))
        more = "by its wandering" if self.ratio is None else f"{self.ratio:g} times"
        return (
            f"more rooms affected than usual, {more} and beyond chance, within {windows}; needs {self.min_rooms} rooms"
        )

    def describe(self, sample: Sample) -> str:
        """`9 of 52 rooms are affected within 15m (17.3 %), usual is 1.1 %, limit 2.2 %`; or how far it has learnt."""
        usual = f"usual is {percent(sample.baseline or 0.0)}, limit {percent(sample.limit)}"
        found = f"{sample.matched} of {sample.total} rooms are affected within {format_duration(sample.window)}"
        learning = ", still learning what is usual" if sample.learning else ""
        return f"{found} ({percent(sample.rate)}), {usual}{learning}"

    def _worth_a_look(self, scene: Scene) -> list[Slot]:
        """The windows in all positions, but for those that lie in a stretch where not enough rooms are affected."""
        slots: list[Slot] = []
        for stretch, inside in _stretches(self.windows):
            if not self.conceivable(scene, scene.minute - stretch, scene.minute):
                break
            slots += inside
        return slots

    def _norm(self, scene: Scene) -> Norm:
        """What the scene's group is held against."""
        book = _book(scene.series.book)
        pool = self._pool(scene, book)
        usual = pool.usual(book)
        ratio = min(max(1 + 4 * usual.wander, LEAST), MOST) if self.ratio is None else self.ratio
        looks = pool.looks(7 if min(self.windows) >= DAY * MINUTE else WEEK * HOUR / LOOK)
        return Norm(usual, ratio, self.false_alarms / looks if looks else 0.0, pool.learning)

    def _pool(self, scene: Scene, book: Hours) -> Pool:
        """What all groups of the rule make together: worked out once an hour, and compared with them once a minute."""
        hours = whole_hours(scene.minute, self.baseline // MINUTE, self.lag // MINUTE)
        if book.pool is not None and book.pool.stands(hours, scene.minute):
            return book.pool
        members = {_book(peer.series.book): hours_of(peer.fired, hours) for peer in scene.peers()}
        members.setdefault(book, hours_of(scene.fired, hours))
        return pooled(book, hours, members, scene.minute)

    def _view(self, scene: Scene, norm: Norm, slot: Slot, usual: float) -> View:
        """What the rule makes of one window; chance is asked only where more than the limit are affected."""
        length, offset = slot
        after, upto = span(scene, offset, length * MINUTE)
        sums = scene.series.between(after, upto)
        affected, rooms = sums.affected, sums.rooms
        limit = min(norm.ratio * usual, CERTAIN)
        holds, excess = False, -1.0
        if affected >= self.min_rooms:
            excess = affected / (rooms * limit) - 1
            if excess > 0:
                chance = binomial_tail(affected, rooms, limit)
                holds, excess = chance < norm.alpha and not norm.learning, -log10(chance) if chance else inf
        return View(
            offset=offset,
            window=length * MINUTE,
            after=after,
            upto=upto,
            sums=sums,
            matched=affected,
            total=rooms,
            holds=holds,
            value=affected / rooms if rooms else 0.0,
            limit=limit,
            excess=excess,
            baseline=usual,
            learning=norm.learning,
        )

    def _failing(self, scene: Scene) -> int:
        """Affected rooms whose latest failure lies in the last hour."""
        (failing,) = _book(scene.series.book).failing.between(*span(scene, 0, HOUR * MINUTE))
        return failing

    def _is_elevated(self, scene: Scene, usual: float) -> bool:
        rooms = scene.series.between(*span(scene, 0, HOUR * MINUTE)).rooms
        failing = self._failing(scene)
        return failing >= 2 and failing > ELEVATED * usual * rooms


def _positions(window: int) -> range:
    """How many minutes before the tick a window of so many seconds ends: at several if logs may trail by more."""
    return range(0, LATE + 1, STEP) if window < LATE * MINUTE else range(1)


@lru_cache
def _stretches(windows: tuple[int, ...]) -> list[tuple[int, list[Slot]]]:
    """For each window the minutes that its positions cover together, and those; the longest stretch first."""
    slots = [[(window // MINUTE, offset) for offset in _positions(window)] for window in windows]
    return sorted(((max(map(sum, each)), each) for each in slots), reverse=True)


def _book(kept: object) -> Hours:
    """The group's book; an empty one for a group that has been forgotten."""
    return kept if isinstance(kept, Hours) else Hours()
