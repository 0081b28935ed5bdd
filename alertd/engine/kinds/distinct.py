"""`distinct`: how many different values of a field came up is above or below a limit."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from alertd.engine.books import Different
from alertd.engine.durations import format_duration
from alertd.engine.kinds.onewindow import OneWindow
from alertd.engine.kinds.scarcity import fullest, whole
from alertd.engine.rough import Rough
from alertd.engine.samples import LATE, Of, Sample, Scene, View, positions, span, worst
from alertd.engine.windows import MINUTE


class Distinct(OneWindow, msgspec.Struct, frozen=True, kw_only=True):
    """Holds when more than `above`, or fewer than `below`, different values of `field` came up in a window.

    Values are those of the participants who match and have one. Where nobody was counted nothing is judged.
    """

    field: str
    above: int | None = None
    below: int | None = None
    over: int = 3600
    of: ClassVar[Of] = "participants"
    needs_match: ClassVar[bool] = True
    needs_many: ClassVar[bool] = False

    @property
    def holds_below(self) -> bool:
        """Whether it holds under its limit."""
        return self.above is None

    @property
    def hindsight(self) -> int:
        """The window; none for too few, since values that were missing and came late are no news."""
        return 0 if self.holds_below else self.minutes

    def book(self) -> Different:
        """What it keeps: the values."""
        return Different(self.minutes + 2 * LATE + 30)

    def judge(self, scene: Scene) -> View:
        """Whether there are too many in any position, or too few in all in which anybody was counted."""
        if self.holds_below:
            scene = whole(scene)
            views = [self._view(scene, offset, self.over) for offset in positions(self.over)]
            return fullest(views, lambda view: view.total > 0)
        return worst(self._view(scene, offset, self.over) for offset in positions(self.over))

    def judge_then(self, scene: Scene) -> View | None:
        """Whether there were too many in the window that ended then; nothing where its values have been forgotten."""
        book = scene.series.book
        known = isinstance(book, Different) and span(scene, 0, self.over)[0] >= book.kept_since
        return self._view(scene, 0, self.over) if known and not self.holds_below else None

    def elevated(self, scene: Scene) -> int | None:
        """While half an hour (or the window, if shorter) has too many; while the whole window has too few."""
        if self.holds_below:
            return scene.minute if self.judge(scene).holds else None
        length = min(self.over, LATE * MINUTE)
        for offset in positions(length):
            if self._view(scene, offset, length).holds:
                return scene.minute - offset
        return None

    def traffic_judged(self, scene: Scene, since: int) -> bool:
        """Whether anybody was counted since."""
        return scene.series.between(since, scene.minute).total > 0

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether anybody was counted; too few are judged in whole windows, whatever these minutes hold."""
        return self.holds_below or scene.series.between(after, upto).total > 0

    def may_have_held(self, rough: Rough) -> bool:  # noqa: ARG002 - as all kinds
        """It is not judged in that long a hindsight: its values have been forgotten."""
        return False

    def in_words(self) -> str:
        """`more than 40 different values of sdk_version within 1h`."""
        side = f"fewer than {self.below}" if self.holds_below else f"more than {self.above}"
        return f"{side} different values of {self.field} within {format_duration(self.over)}"

    def describe(self, sample: Sample) -> str:
        """`41 different values of sdk_version within 1h, limit: above 40`."""
        side = "below" if self.holds_below else "above"
        window = format_duration(sample.window)
        return f"{sample.value:g} different values of {self.field} within {window}, limit: {side} {sample.limit:g}"

    def _view(self, scene: Scene, offset: int, length: int) -> View:
        after, upto = span(scene, offset, length)
        sums, book = scene.series.between(after, upto), scene.series.book
        found = book.count(after, upto) if isinstance(book, Different) else 0
        limit = (self.below if self.above is None else self.above) or 0
        beyond = found < limit if self.holds_below else found > limit
        holds, excess = sums.total > 0 and beyond, limit - found if self.holds_below else found - limit
        return View(offset, length, after, upto, sums, sums.matched, sums.total, holds, found, limit, excess)
