"""`count` and `any`: so many match in a window."""

from __future__ import annotations

import msgspec

from alertd.engine.durations import format_duration
from alertd.engine.kinds.onewindow import OneWindow, offsets
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


class Count(OneWindow, msgspec.Struct, frozen=True, kw_only=True):
    """Holds when the number `of` matches in a window reaches `at_least`. `any` is this with 1 over 30 minutes."""

    at_least: int
    over: int = 1800
    of: Of = "participants"
    holds_below = False
    needs_match = True
    needs_many = False

    def judge(self, scene: Scene) -> View:
        """Whether the number is reached in any position."""
        return worst(self._view(scene, offset, self.over) for offset in offsets(self, scene, self.over))

    def judge_then(self, scene: Scene) -> View:
        """Whether the number was reached in the window that ended then."""
        return self._view(scene, 0, self.over)

    def elevated(self, scene: Scene) -> int | None:
        """While the number is reached in half an hour, or the window if that is shorter."""
        length = min(self.over, LATE * MINUTE)
        return latest_elevated(scene, length, lambda offset: self._view(scene, offset, length).holds)

    def traffic_judged(self, scene: Scene, since: int) -> bool:  # noqa: ARG002 - as all kinds
        """What should never happen needs no traffic to be over."""
        return True

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether there are as many matches at all."""
        return scene.series.between(after, upto).matched >= self.at_least

    def may_have_held(self, rough: Rough) -> bool:
        """Whether there were as many matches at all."""
        known = rough.bounds(self.over)
        return (known.affected if self.of == "rooms" else known.matched) >= self.at_least

    def in_words(self) -> str:
        """`at least 5 participants within 30m`."""
        return f"at least {number_of(self.at_least, self.of)} within {format_duration(self.over)}"

    def describe(self, sample: Sample) -> str:
        """`7 rooms match within 30m, limit 5`."""
        window = format_duration(sample.window)
        return f"{sample.matched} {sample.of} match within {window}, limit {self.at_least}"

    def _view(self, scene: Scene, offset: int, length: int) -> View:
        after, upto = span(scene, offset, length)
        sums = scene.series.between(after, upto)
        matched, total = counted(self.of, scene.series, after, upto, sums)
        holds = matched >= self.at_least
        return View(offset, length, after, upto, sums, matched, total, holds, matched, self.at_least, matched)
