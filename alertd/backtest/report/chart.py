"""Where things are drawn: instants and values as places on a drawing that is as wide as there is room.

Across, places are percentages of the width, so that circles and text keep their shape however wide the drawing is; only
lines are drawn in a box of their own (WIDE by HIGH) that is stretched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from alertd.backtest.curves import Curve, Point
from alertd.backtest.tolls import EVENING, MORNING

WIDE, HIGH = 1000, 100
HEADROOM = 1.12
"""How far the drawing goes beyond the highest value."""
MOST_TICKS = 8
STEPS = [
    *(timedelta(minutes=minutes) for minutes in (5, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14, 28, 91, 365)),
]


class Tick(NamedTuple):
    """A moment named on the axis; `label` is empty where there is no room for it."""

    x: str
    label: str


class Stretch(NamedTuple):
    """From where to how far something reaches."""

    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The time from `begin` to `end` (seconds since the epoch), as clocks in `zone` show it."""

    begin: int
    end: int
    zone: ZoneInfo

    def place(self, at: float) -> float:
        """Where an instant is: 0 at the beginning, 1 at the end, and never beyond."""
        return min(max((at - self.begin) / max(self.end - self.begin, 1), 0.0), 1.0)

    def x(self, at: float) -> str:
        """The place of an instant across."""
        return f"{100 * self.place(at):.3f}%"

    def stretch(self, start: float, end: float) -> Stretch:
        """The place of a stretch of time, never too narrow to be seen."""
        left, right = self.place(start), self.place(end)
        width = max(right - left, 0.002)
        return Stretch(f"{100 * min(left, 1 - width):.3f}%", f"{100 * width:.3f}%")

    def ticks(self) -> list[Tick]:
        """Round moments, not too many."""
        first = datetime.combine(datetime.fromtimestamp(self.begin, self.zone), time(), self.zone)
        span = timedelta(seconds=self.end - self.begin)
        step = next((step for step in STEPS if span / step <= MOST_TICKS), STEPS[-1])
        name = "%a %-d" if step < timedelta(days=7) else "%-d %b"
        moments = [moment for moment in _moments(first, step, self.end) if self.begin <= moment.timestamp()]
        return [Tick(self.x(moment.timestamp()), self._label(moment, name)) for moment in moments]

    def _label(self, moment: datetime, name: str) -> str:
        if self.place(moment.timestamp()) > 0.94:
            return ""
        return f"{moment:%H:%M}" if moment.hour or moment.minute else moment.strftime(name)

    def nights(self) -> list[Stretch]:
        """The hours in which people sleep; none where the nights would be mere lines."""
        if self.end - self.begin > 60 * 86400:
            return []
        evening = datetime.combine(
            datetime.fromtimestamp(self.begin, self.zone) - timedelta(days=1), time(EVENING), self.zone
        )
        found = []
        for start in _moments(evening, timedelta(days=1), self.end):
            until = (start + timedelta(hours=24 - EVENING + MORNING)).timestamp()
            if until > self.begin:
                found.append(self.stretch(start.timestamp(), until))
        return found


def _moments(first: datetime, step: timedelta, end: int) -> Iterator[datetime]:
    """From `first` on, a step of the wall clock apart."""
    moment = first
    while moment.timestamp() < end:
        yield moment
        moment += step


@dataclass(frozen=True, slots=True)
class Lines:
    """A curve as drawn: the value, the ground under it, the plain value if another one is compared, and the limit."""

    value: str
    ground: str
    plain: str
    limit: str


def lines(axis: Axis, curve: Curve) -> Lines:
    """The lines of a curve, high enough for all of them."""
    points = list(_with_gaps(curve.points, curve.step))
    heights = [max(point.value, point.limit, point.plain or 0.0) for point in points]
    top = HEADROOM * max(heights, default=1.0) or 1.0
    value = _line(axis, [(point.at, point.value) for point in points], top)
    plain = [(point.at, point.plain or 0.0) for point in points] if any(one.plain for one in points) else []
    limits = [(point.at, point.limit) for point in curve.points]
    if limits:
        limits = [(axis.begin, limits[0][1]), *limits, (axis.end, limits[-1][1])]
    ground = f"{_x(axis, points[0].at)},{HIGH} {value} {_x(axis, points[-1].at)},{HIGH}" if points else ""
    return Lines(value, ground, _line(axis, plain, top), _line(axis, _corners(limits), top))


def _with_gaps(points: Sequence[Point], step: int) -> Iterator[Point]:
    """The points, with the ground where nothing matched between them."""
    before: Point | None = None
    for point in points:
        if before is None or point.at - before.at > 1.5 * step:
            if before is not None:
                yield before._replace(at=before.at + step // 2, value=0.0, plain=None)
            yield point._replace(at=point.at - step // 2, value=0.0, plain=None)
        yield point
        before = point
    if before is not None:
        yield before._replace(at=before.at + step // 2, value=0.0, plain=None)


def _corners(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points without those between two of the same height."""
    inner = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [*points[:1], *inner, *points[1:][-1:]]


def _line(axis: Axis, points: Iterable[tuple[float, float]], top: float) -> str:
    return " ".join(f"{_x(axis, at)},{HIGH * (1 - min(value / top, 1)):.1f}" for at, value in points)


def _x(axis: Axis, at: float) -> str:
    return f"{WIDE * axis.place(at):.1f}"
