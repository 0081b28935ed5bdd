"""Whether an instant lies in a time interval that people have named: hours, weekdays, days, months and years of a zone.

Meaning and bounds are those of Prometheus Alertmanager (timeinterval/timeinterval.go): an interval holds where all of
its parts do, a part where any of its ranges does, and a part that says nothing always.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

Range = tuple[int, int]
"""First and last, both inside."""
DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Ranges of time in the zone `location`; empty ones put no bounds.

    `times` are minutes since midnight, the second one outside (1440 is the end of the day). `weekdays` count from 0, a
    Sunday. `days_of_month` count from 1, or backwards from -1, the last. Times are what the clocks of the zone show:
    an hour that is skipped in spring never comes, one that is repeated in autumn is in it twice.
    """

    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days_of_month: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    location: str = "UTC"

    def contains(self, moment: int) -> bool:
        """Whether `moment` (seconds since the epoch) lies in it."""
        there = datetime.fromtimestamp(moment, _zone(self.location))
        minute = there.hour * 60 + there.minute
        return (
            (not self.times or any(start <= minute < end for start, end in self.times))
            and _within(self.weekdays, there.isoweekday() % 7)
            and _is_day(self.days_of_month, there)
            and _within(self.months, there.month)
            and _within(self.years, there.year)
        )


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """Intervals under one name; an instant lies in it if it lies in any of them."""

    name: str
    intervals: tuple[Interval, ...]

    def contains(self, moment: int) -> bool:
        """Whether `moment` (seconds since the epoch) lies in it."""
        return any(interval.contains(moment) for interval in self.intervals)


def muted_by(mute: Collection[str], active: Collection[str], intervals: Mapping[str, TimeInterval], moment: int) -> str:
    """Why nothing is told at `moment`: it lies in an interval of `mute`, or in none of `active`, if there are any; else
    an empty text."""
    names = muting(mute, active, intervals, moment)
    if not names:
        return ""
    how = "muted by" if set(names) <= set(mute) else "outside of"
    return f"{how} the time interval{'s' * (len(names) > 1)} {', '.join(names)}"


def muting(
    mute: Collection[str], active: Collection[str], intervals: Mapping[str, TimeInterval], moment: int
) -> tuple[str, ...]:
    """The names of the intervals that mute: those of `mute` in which `moment` lies, else all of `active` if it lies in
    none of them."""
    inside = {name for name in (*mute, *active) if name in intervals and intervals[name].contains(moment)}
    found = tuple(name for name in mute if name in inside)
    return found or (() if inside.intersection(active) else tuple(active))


def _within(ranges: Iterable[Range], value: int) -> bool:
    ranges = tuple(ranges)
    return not ranges or any(first <= value <= last for first, last in ranges)


def _is_day(ranges: tuple[Range, ...], there: datetime) -> bool:
    """Whether the day lies in a range; what a short month has not is cut off: 31 is its last day, -31 its first."""
    if not ranges:
        return True
    length = monthrange(there.year, there.month)[1]
    return any(_counted(first, length) <= there.day <= _counted(last, length, most=length) for first, last in ranges)


def _counted(day: int, length: int, most: int | None = None) -> int:
    """The day of a month of so many days; one that it has not lies behind its end unless `most` says otherwise."""
    forward = max(1, length + day + 1) if day < 0 else day
    return forward if most is None else min(forward, most)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
