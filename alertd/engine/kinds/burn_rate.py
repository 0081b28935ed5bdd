"""`burn_rate`: the error budget of an objective is spent too fast, in a long window and still in a short one.

As in Google's SRE Workbook, chapter 5, "Alerting on SLOs" (multiwindow, multi-burn-rate alerts).
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from alertd.engine.durations import format_duration
from alertd.engine.rough import Rough
from alertd.engine.samples import Of, Sample, Scene, View, percent, positions, span, worst
from alertd.engine.windows import MINUTE, Sums

Pair = tuple[int, int, float]
"""A long window, a short one (seconds), and the factor that the burn rate must exceed in both."""


class BurnRate(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when the share of matches is above a pair's factor times the budget (1 - `objective`) in both windows.

    The short one is there to say that it goes on; since logs trail, one of half an hour or less is looked at in all
    its positions. At least `min_rooms` rooms must match in the long one. The value is the burn rate of that one: 1
    spends the budget exactly.
    """

    objective: float = 0.99
    pairs: tuple[Pair, ...] = ((3600, 1800, 14.4), (21600, 3600, 6.0), (259200, 21600, 1.0))
    min_rooms: int = 3
    of: ClassVar[Of] = "participants"
    holds_below: ClassVar[bool] = False
    needs_match: ClassVar[bool] = True
    needs_many: ClassVar[bool] = False

    @property
    def reach(self) -> int:
        """How far back it looks."""
        return max(long for long, _, _ in self.pairs)

    @property
    def minutes(self) -> int:
        """The longest window in minutes."""
        return self.reach // MINUTE

    @property
    def hindsight(self) -> int:
        """The longest of the short windows: none holds without them."""
        return max(short for _, short, _ in self.pairs) // MINUTE

    def judge(self, scene: Scene) -> View:
        """Whether any pair holds, its short window in any position; the pair that exceeds its factor most."""
        return worst(self._view(scene, pair, positions(pair[1])) for pair in self.pairs)

    def judge_then(self, scene: Scene) -> View:
        """Whether any pair held then, its windows both ending there."""
        return worst(self._view(scene, pair, range(1)) for pair in self.pairs)

    def elevated(self, scene: Scene) -> int | None:
        """While the short window of the pair that fired, in any position, burns faster than its factor."""
        fired = [pair for pair in self.pairs if scene.firing is not None and pair[0] == scene.firing.window]
        for _, short, factor in fired or self.pairs:
            for offset in positions(short):
                if self._burn(scene.series.between(*span(scene, offset, short))) > factor:
                    return scene.minute - offset
        return None

    def traffic_judged(self, scene: Scene, since: int) -> bool:
        """Whether as many rooms ended since as must match: a share of nothing tells nothing."""
        return scene.series.between(since, scene.minute).rooms >= self.min_rooms

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether enough rooms have a match."""
        return scene.series.between(after, upto).affected >= self.min_rooms

    def may_have_held(self, rough: Rough) -> bool:
        """Whether enough rooms matched, and their share was high enough in both windows."""
        for long, short, factor in self.pairs:
            known, still = rough.bounds(long), rough.bounds(short)
            limit = factor * (1 - self.objective) * 0.999999  # a little less, for what rounding may do
            if known.affected >= self.min_rooms and all(
                one.matched > limit * max(one.total, 0) for one in (known, still)
            ):
                return True
        return False

    def in_words(self) -> str:
        """`the budget of 99 % burns 14.4 times too fast within 1h and 30m, or …`."""
        pairs = [
            f"{factor:g} times within {format_duration(a)} and {format_duration(b)}" for a, b, factor in self.pairs
        ]
        return f"the error budget of {percent(self.objective)} burns faster than {', or '.join(pairs)}"

    def describe(self, sample: Sample) -> str:
        """`burns 16.2 times the error budget of 99 % within 1h and still within 30m, limit 14.4`."""
        short = next((pair[1] for pair in self.pairs if pair[0] == sample.window), sample.window)
        return (
            f"burns {sample.value:.3g} times the error budget of the objective {100 * self.objective:g} % within "
            f"{format_duration(sample.window)} and goes on within {format_duration(short)}, limit {sample.limit:g}"
        )

    def _view(self, scene: Scene, pair: Pair, offsets: range) -> View:
        long, short, factor = pair
        after, upto = span(scene, 0, long)
        sums = scene.series.between(after, upto)
        value = self._burn(sums)
        still = max(self._burn(scene.series.between(*span(scene, offset, short))) for offset in offsets)
        holds = sums.affected >= self.min_rooms and min(value, still) > factor
        excess = min(value, still) / factor
        return View(0, long, after, upto, sums, sums.matched, sums.total, holds, value, factor, excess, times=True)

    def _burn(self, sums: Sums) -> float:
        share = sums.matched / sums.total if sums.total else 0.0
        return share / round(1 - self.objective, 12)  # 1 - 0.9 is a little less than a tenth
