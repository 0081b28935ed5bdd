"""`spike`: more matches than usual of late."""

from __future__ import annotations

import msgspec

from alertd.engine.durations import format_duration
from alertd.engine.kinds.onewindow import offsets
from alertd.engine.rough import Rough
from alertd.engine.samples import (
    LATE,
    Of,
    Sample,
    Scene,
    View,
    counted,
    latest_elevated,
    number_of,
    span,
    worst,
)
from alertd.engine.windows import MINUTE


class Spike(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when a window has `at_least` matches, and `times` the mean of such windows in the `against` before it.

    What was not counted, because it was before there were any rooms, counts as none.
    """

    times: float = 3.0
    at_least: int = 5
    over: int = 1800
    against: int = 86400
    of: Of = "participants"
    holds_below = False
    needs_match = True
    needs_many = False

    @property
    def reach(self) -> int:
        """How far back it looks."""
        return self.over + self.against

    @property
    def minutes(self) -> int:
        """The window and what it is compared with, in minutes."""
        return self.reach // MINUTE

    @property
    def hindsight(self) -> int:
        """The window: what is usual makes no trouble."""
        return self.over // MINUTE

    def judge(self, scene: Scene) -> View:
        """Whether there are so many in any position."""
        return worst(self._view(scene, offset, self.over) for offset in offsets(self, scene, self.over))

    def judge_then(self, scene: Scene) -> View:
        """Whether there were so many in the window that ended then."""
        return self._view(scene, 0, self.over)

    def elevated(self, scene: Scene) -> int | None:
        """While half an hour (or the window, if shorter) holds by itself."""
        length = min(self.over, LATE * MINUTE)
        return latest_elevated(scene, length, lambda offset: self._view(scene, offset, length).holds)

    def traffic_judged(self, scene: Scene, since: int) -> bool:  # noqa: ARG002 - as all kinds
        """Few are few, whatever the traffic."""
        return True

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether there are as many matches at all."""
        return scene.series.between(after, upto).matched >= self.at_least

    def may_have_held(self, rough: Rough) -> bool:
        """Whether there were as many matches at all."""
        known = rough.bounds(self.over)
        return (known.affected if self.of == "rooms" else known.matched) >= self.at_least

    def in_words(self) -> str:
        """`at least 5 participants within 30m, and 3 times as many as usual in 24h`."""
        least = f"at least {number_of(self.at_least, self.of)} within {format_duration(self.over)}"
        return f"{least}, and {self.times:g} times as many as usual in the {format_duration(self.against)} before"

    def describe(self, sample: Sample) -> str:
        """`24 participants match within 30m, usual are 3.2, limit 9.6`."""
        window = format_duration(sample.window)
        usual = f"usual are {sample.baseline or 0.0:.3g}"
        return f"{sample.matched} {sample.of} match within {window}, {usual}, limit {sample.limit:.3g}"

    def _view(self, scene: Scene, offset: int, length: int) -> View:
        after, upto = span(scene, offset, length)
        series = scene.series
        sums = series.between(after, upto)
        matched, total = counted(self.of, series, after, upto, sums)
        usual = self._before(scene, after) * length / self.against
        limit = max(float(self.at_least), self.times * usual)
        holds = matched >= limit
        return View(offset, length, after, upto, sums, matched, total, holds, matched, limit, matched, baseline=usual)

    def _before(self, scene: Scene, upto: int) -> int:
        """Matches in the time that the window is compared with, which ends where the window begins.

        People are counted anew in each window of it: who comes every day is one of the usual each time.
        """
        step = (self.over if self.of == "identities" else self.against) // MINUTE
        total, series = 0, scene.series
        for end in range(upto, upto - self.against // MINUTE, -step):
            start = max(end - step, upto - self.against // MINUTE)
            total += counted(self.of, series, start, end, series.between(start, end))[0]
        return total
