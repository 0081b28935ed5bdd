"""`metric`: the mean, a percentile, an extreme or the sum of a number field is above or below a limit."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from alertd.engine.books import Quantities, slot
from alertd.engine.durations import format_duration
from alertd.engine.kinds.onewindow import OneWindow
from alertd.engine.kinds.scarcity import fullest, whole
from alertd.engine.rough import Rough
from alertd.engine.samples import LATE, Of, Sample, Scene, View, positions, span, worst
from alertd.engine.windows import MINUTE

Aggregate = Literal["mean", "p50", "p95", "p99", "min", "max", "sum"]
_PERCENTS: dict[str, int] = {"min": 0, "p50": 50, "p95": 95, "p99": 99, "max": 100}


class Metric(OneWindow, msgspec.Struct, frozen=True, kw_only=True):
    """Holds when the aggregate of a number field is above `above`, or below `below`, over at least `min` values.

    Values are those of the participants who match and have one. Percentiles (nearest rank) and extremes are told to
    1 in 256 of themselves, and exactly for whole numbers up to 255; what cannot be told from the limit is not beyond
    it. Means and sums are made of millionths. A sum grows with its window, so that only whole ones compare with its
    limit.
    """

    field: str
    agg: Aggregate
    above: float | None = None
    below: float | None = None
    over: int = 3600
    min: int = 50
    of: ClassVar[Of] = "participants"
    needs_match: ClassVar[bool] = True
    needs_many: ClassVar[bool] = False

    @property
    def holds_below(self) -> bool:
        """Whether it holds under its limit."""
        return self.above is None

    @property
    def hindsight(self) -> int:
        """The window; none for a sum that is too low, since what was missing and came late is no news."""
        return 0 if self._may_be_missing else self.minutes

    def book(self) -> Quantities:
        """What it keeps: the values."""
        return Quantities(self.minutes + 2 * LATE + 30)

    def judge(self, scene: Scene) -> View:
        """Whether it is beyond the limit in any position; a sum that is too low, in all that have enough values."""
        if self._may_be_missing:
            return self._fullest(scene, self.min)
        return worst(self._view(scene, offset, self.over, self.min) for offset in positions(self.over))

    def judge_then(self, scene: Scene) -> View | None:
        """Whether it was beyond the limit in the window that ended then; nothing where its values are forgotten."""
        known = span(scene, 0, self.over)[0] >= self._values(scene).kept_since
        return self._view(scene, 0, self.over, self.min) if known and not self._may_be_missing else None

    def elevated(self, scene: Scene) -> int | None:
        """While half an hour (or the window, if shorter; for sums, the window) is beyond it, of however few values."""
        if self._may_be_missing:
            return scene.minute if self._fullest(scene, 1).holds else None
        length = self.over if self.agg == "sum" else min(self.over, LATE * MINUTE)
        views = (self._view(scene, offset, length, 1) for offset in positions(length))
        return next((view.upto for view in views if view.holds), None)

    def traffic_judged(self, scene: Scene, since: int) -> bool:
        """Whether there were any values since: no values are no better ones."""
        return self._values(scene).count(since, scene.minute) > 0

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether there are enough values; a sum too low is judged in whole windows, whatever these minutes hold."""
        return self._may_be_missing or self._values(scene).count(after, upto) >= self.min

    def may_have_held(self, rough: Rough) -> bool:  # noqa: ARG002 - as all kinds
        """It is not judged in that long a hindsight: its values have been forgotten."""
        return False

    def in_words(self) -> str:
        """`p95 of duration_sec above 60 within 1h; needs 50 values`."""
        side = "below" if self.holds_below else "above"
        over = format_duration(self.over)
        return f"{self.agg} of {self.field} {side} {self._limit:g} within {over}; needs {self.min} values"

    def describe(self, sample: Sample) -> str:
        """`p95 of duration_sec is 92 over 340 values within 1h, limit: above 60`."""
        side = "below" if self.holds_below else "above"
        return (
            f"{self.agg} of {self.field} is {sample.value:.6g} over {sample.matched} values within "
            f"{format_duration(sample.window)}, limit: {side} {sample.limit:g}"
        )

    @property
    def _may_be_missing(self) -> bool:
        """Whether what is not known yet looks like trouble."""
        return self.agg == "sum" and self.holds_below

    def _fullest(self, scene: Scene, least: int) -> View:
        views = [self._view(whole(scene), offset, self.over, least) for offset in positions(self.over)]
        return fullest(views, lambda view: view.matched >= least)

    def _view(self, scene: Scene, offset: int, length: int, least: int) -> View:
        after, upto = span(scene, offset, length)
        sums, count = scene.series.between(after, upto), self._values(scene).count(after, upto)
        value, limit = self._value(scene, after, upto) if count else 0.0, self._limit
        holds = count >= least and self._is_beyond(value, limit)
        excess = limit - value if self.holds_below else value - limit
        return View(offset, length, after, upto, sums, count, sums.total, holds, value, limit, excess)

    @property
    def _limit(self) -> float:
        return (self.below if self.above is None else self.above) or 0.0

    def _is_beyond(self, value: float, limit: float) -> bool:
        """Whether a value is beyond the limit, as far as it can be told."""
        if self.agg in _PERCENTS:
            value, limit = slot(value), slot(limit)
        return value < limit if self.holds_below else value > limit

    def _value(self, scene: Scene, after: int, upto: int) -> float:
        values = self._values(scene)
        if self.agg == "mean":
            return values.mean(after, upto)
        return values.sum(after, upto) if self.agg == "sum" else values.percentile(_PERCENTS[self.agg], after, upto)

    def _values(self, scene: Scene) -> Quantities:
        book = scene.series.book
        return book if isinstance(book, Quantities) else Quantities(0)
