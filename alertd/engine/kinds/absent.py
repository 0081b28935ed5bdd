"""`absent`: too few rooms of an account started, against a number or against the same time a week ago."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import msgspec

from alertd.engine.books import Starts
from alertd.engine.durations import format_duration
from alertd.engine.rough import Rough
from alertd.engine.samples import LATE, Of, Sample, Scene, View, number_of, percent
from alertd.engine.statistics import negbin_at_most
from alertd.engine.windows import MINUTE

WEEK = 7 * 24 * 60
"""Minutes."""
RARE = 10**-4.5
"""The chance below which so few rooms are too few to be one of the usual weeks."""
SPREAD = 0.3
"""By how much the same hour of two weeks differs: the coefficient of variation."""


class _Look(NamedTuple):
    """A window of so many seconds: the rooms that started in it, as many as usual, the limit, and whether they are too
    few."""

    window: int
    started: int
    usual: float
    limit: float
    holds: bool


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when fewer than `fewer_than` rooms of an account started in a window, or far fewer than a week ago.

    Rooms count from the moment they are listed, long before they end. Windows end with the last minute whose starts are
    all listed. With `below_usual` several `windows` are compared with those around the same time a week before.
    """

    fewer_than: int | None = None
    over: int = 7200
    below_usual: float | None = None
    windows: tuple[int, ...] = (900, 1800, 3600, 7200, 10800)
    of: ClassVar[Of] = "rooms"
    holds_below: ClassVar[bool] = True
    needs_match: ClassVar[bool] = False
    needs_many: ClassVar[bool] = False

    @property
    def reach(self) -> int:
        """How far back it looks."""
        return self.minutes * MINUTE

    @property
    def minutes(self) -> int:
        """The longest window in minutes, and the week before it."""
        if self.below_usual is None:
            return self.over // MINUTE
        return WEEK + LATE + max(self.windows) // MINUTE

    @property
    def longest(self) -> int:
        """The longest of its windows of today."""
        return self.over if self.below_usual is None else max(self.windows)

    @property
    def hindsight(self) -> int:
        """None: rooms that were missing and came late are no news."""
        return 0

    def judge(self, scene: Scene) -> View:
        """Whether too few started, judged in whole windows: what a floor leaves out would be taken for missing."""
        if self.below_usual is None:
            started, limit = _started(scene, self.over), self.fewer_than or 0
            return _view(scene, _Look(self.over, started, 0.0, limit, started < limit))._replace(baseline=None)
        book = scene.series.book
        if not isinstance(book, Starts):
            book = Starts(0)
        looks = [self._look(scene, book, window) for window in self.windows]
        return _view(scene, max(looks, key=lambda look: (look.holds, look.limit - look.started)))

    def judge_then(self, scene: Scene) -> View | None:  # noqa: ARG002 - as all kinds
        """Nothing: rooms that were missing and came late are no news."""
        return None

    def elevated(self, scene: Scene) -> int | None:
        """While it holds."""
        return scene.minute if self.judge(scene).holds else None

    def traffic_judged(self, scene: Scene, since: int) -> bool:  # noqa: ARG002 - as all kinds
        """Rooms that start again are the traffic."""
        return True

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:  # noqa: ARG002 - as all kinds
        """Always: it is about what is not there."""
        return True

    def may_have_held(self, rough: Rough) -> bool:  # noqa: ARG002 - as all kinds
        """It is not judged in hindsight."""
        return False

    def in_words(self) -> str:
        """`fewer than 5 rooms started within 2h`."""
        if self.below_usual is None:
            over = format_duration(self.over)
            return f"fewer than {number_of(self.fewer_than or 0, 'rooms')} started within {over}"
        windows = ", ".join(map(format_duration, self.windows))
        return f"fewer rooms started than {percent(self.below_usual)} of a week ago, beyond chance, within {windows}"

    def describe(self, sample: Sample) -> str:
        """`2 rooms started within 2h, fewer than 5 are too few`."""
        window, started = format_duration(sample.window), _rooms(sample.matched)
        if self.below_usual is not None:
            return f"{started} started within {window}, {sample.baseline or 0.0:.3g} at this time a week ago"
        enough = f"fewer than {self.fewer_than} are" if (self.fewer_than or 0) > 1 else "none is"
        return f"{started} started within {window}, {enough} too few"

    def _look(self, scene: Scene, book: Starts, window: int) -> _Look:
        started, usual = _started(scene, window), book.mean(window // MINUTE, _upto(scene) - WEEK, LATE)
        limit = (self.below_usual or 0.0) * usual
        return _Look(window, started, usual, limit, started < limit and negbin_at_most(started, limit, SPREAD) < RARE)


def _upto(scene: Scene) -> int:
    """The last minute of the windows."""
    return scene.minute if scene.listed is None else min(scene.minute, scene.listed)


def _started(scene: Scene, window: int) -> int:
    """Rooms that started in a window of so many seconds, settled or not."""
    upto = _upto(scene)
    after = upto - window // MINUTE
    unsettled = sum([rooms for minute, rooms in scene.waiting.items() if after < minute <= upto])
    return scene.series.totals.between(after, upto)[0] + unsettled


def _view(scene: Scene, look: _Look) -> View:
    window, started, usual, limit, holds = look
    upto = _upto(scene)
    after = upto - window // MINUTE
    sums, excess, offset = scene.series.between(after, upto), limit - started, scene.minute - upto
    return View(offset, window, after, upto, sums, started, started, holds, started, limit, excess, baseline=usual)


def _rooms(number: int) -> str:
    return "no room" if number == 0 else f"{number} room{'s' if number > 1 else ''}"
