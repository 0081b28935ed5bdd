"""What is usual: the rooms of a group hour by hour, and the share of them that is affected when nothing is wrong.

The baseline runs over whole hours (UTC), the last of them over at least `lag` before now. An hour in which the group
fired is left out of its baseline as a whole.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import sqrt
from operator import add, mul
from typing import NamedTuple

from alertd.engine.books import HOUR, Entry
from alertd.engine.windows import EVER, Rows

Slot = tuple[int, int]
"""A window as it is looked at: its length, and how long before the tick it ends; both in minutes."""
LAST_HOUR: Slot = (60, 0)
"""The slot by which recovery is judged."""
EVERY_HOUR: frozenset[int] = frozenset()
WEEK = 168
PRIOR, PRIOR_HIT = 6, 1
"""Affected rooms that all groups lend to each one's share; and, with the rooms below, what is lent to theirs."""
PRIOR_ROOMS = 40
PRIOR_SQUARES = 200
"""How firmly a group's wandering is taken for that of all, in squares of affected rooms expected in an hour."""
PRIOR_WANDER = 0.04
"""cv² of all groups together, as long as they do not show it: the share of an hour is off by a fifth."""
ROOMS_A_LOOK = 3
"""Rooms of a group that must have come between two looks at it that are independent."""
LEARNT = 100
"""Rooms that the baselines of all groups must hold before any is judged by them."""


class _Sheet:
    """Rows of whole numbers by hour, flat, and their sums over the hours that were asked for last."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._hours = array("q")
        self._cells = array("i")
        self._asked: tuple[range, frozenset[int]] | None = None
        self._sums: tuple[int, ...] = ()

    def add(self, hour: int, row: Iterable[int], sign: int) -> bool:
        """Add to the row of an hour; whether that changes the sums that were asked for last."""
        place = bisect_left(self._hours, hour)
        start = place * self._width
        if place == len(self._hours) or self._hours[place] != hour:
            self._hours.insert(place, hour)
            self._cells[start:start] = array("i", bytes(self._cells.itemsize * self._width))
        for spot, number in enumerate(row, start):
            self._cells[spot] += sign * number
        if self._asked is None or hour not in self._asked[0]:
            return False
        self._asked = None
        return True

    def sums(self, hours: range, left_out: frozenset[int]) -> tuple[int, ...]:
        """The sums of all columns over the hours, but for those left out."""
        if self._asked != (hours, left_out):
            self._asked = hours, left_out
            self._sums = tuple([sum(self.column(spot, hours, left_out)) for spot in range(self._width)])
        return self._sums

    def column(self, spot: int, hours: range, left_out: frozenset[int]) -> Sequence[int]:
        """One column over the hours, in order, but for those left out; an hour without rooms may be missing."""
        low, high = self._places(hours)
        cells = self._cells[low * self._width + spot : high * self._width : self._width]
        if left_out:
            return [cell for cell, hour in zip(cells, self._hours[low:high], strict=True) if hour not in left_out]
        return cells

    def by_hour(self, hours: range, left_out: frozenset[int]) -> list[int]:
        """The first column for each of the hours; 0 where there are no rooms, and for those left out."""
        found = [0] * len(hours)
        low, high = self._places(hours)
        for hour, cell in zip(self._hours[low:high], self._cells[low * self._width :: self._width], strict=False):
            if hour not in left_out:
                found[hour - hours.start] = cell
        return found

    @property
    def first(self) -> int | None:
        """The first hour in which there are rooms."""
        return self._hours[0] if self._hours else None

    def forget(self, before: int) -> None:
        """Drop all hours before this one."""
        place = bisect_left(self._hours, before)
        if place:
            del self._hours[:place], self._cells[: place * self._width]
            self._asked = None

    def __len__(self) -> int:
        return len(self._hours)

    def _places(self, hours: range) -> tuple[int, int]:
        return bisect_left(self._hours, hours.start), bisect_left(self._hours, hours.stop)


class Hours:
    """One group's rooms by the hour of their end: all and affected, plain and weighted for each of the slots.

    A room weighs as many minutes as it would have been seen in a slot: clip(j + W - max(delay, j), 0, W), of W. Else
    rooms that fail and settle sooner would look like trouble. Affected rooms are counted by the time of their latest
    failure, too: weighted by the hour, and by the minute for as long as the hours are kept (`reach`, in minutes).
    `pool` is where the groups of a rule keep what they worked out together.
    """

    def __init__(self, slots: Iterable[Slot] = (), reach: int = 0) -> None:
        self.slots = tuple(dict.fromkeys([LAST_HOUR, *slots]))
        self.failing = Rows(1)
        self.pool: Pool | None = None
        self._reach = reach
        self._row_of, self._late_row_of = _rows(self.slots), _rows((LAST_HOUR,))
        self._rooms = _Sheet(1 + len(self.slots))
        self._affected = _Sheet(2 + len(self.slots))

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"pool": None, "_row_of": (), "_late_row_of": ()}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._row_of, self._late_row_of = _rows(self.slots), _rows((LAST_HOUR,))

    def fold(self, entry: Entry, sign: int) -> None:
        """Take a room in; with `sign` -1 take it out again."""
        hour, row = entry.ended // HOUR, _row(self._row_of, entry.known - entry.ended)
        stale = self._rooms.add(hour, row, sign)
        if entry.matched:
            failed = entry.ended if entry.failed is None else entry.failed
            late = (0,) * len(row) + _row(self._late_row_of, entry.known - failed)[1:]
            stale |= self._affected.add(hour, row, sign)
            stale |= self._affected.add(failed // HOUR, late, sign)
            self.failing.add(failed, (sign,))
        if stale and self.pool is not None:
            self.pool.stale = True

    def rooms(self, hours: range, left_out: frozenset[int] = EVERY_HOUR) -> tuple[int, ...]:
        """Rooms that ended in these hours, and their weights in minutes, slot by slot."""
        return self._rooms.sums(hours, left_out)

    def affected(self, hours: range, left_out: frozenset[int] = EVERY_HOUR) -> tuple[int, ...]:
        """The same of affected rooms, and then the weights of those that failed in these hours, for the last hour."""
        return self._affected.sums(hours, left_out)

    def by_hour(self, hours: range, left_out: frozenset[int] = EVERY_HOUR) -> tuple[list[int], list[int]]:
        """Rooms and affected rooms of each hour; 0 in those left out."""
        return self._rooms.by_hour(hours, left_out), self._affected.by_hour(hours, left_out)

    @property
    def first(self) -> int | None:
        """The first hour in which a room is known to have ended."""
        return self._rooms.first

    def forget(self, minute: int) -> None:
        """Drop what no decision at `minute` or later looks back to."""
        first = (minute - self._reach) // HOUR
        self._rooms.forget(first)
        self._affected.forget(first)
        self.failing.forget(EVER, minute - self._reach)
        if self.pool is not None and self.pool.hours.start < first:
            self.pool.stale = True  # it may be of hours that a restarted alertd would not have

    def __len__(self) -> int:
        return len(self._rooms)


@lru_cache
def _rows(slots: tuple[Slot, ...]) -> tuple[tuple[int, ...], ...]:
    """What a room adds that is known 0, 1, … minutes after it ended: 1, and the minutes it is seen for in each slot."""
    latest = max(length + j for length, j in slots)
    return tuple([_added(slots, delay) for delay in range(latest + 1)])


def _added(slots: tuple[Slot, ...], delay: int) -> tuple[int, ...]:
    return 1, *[min(max(j + length - max(delay, j), 0), length) for length, j in slots]


def _row(rows: tuple[tuple[int, ...], ...], delay: int) -> tuple[int, ...]:
    """The row of a delay; one that is too long to be seen at all is as good as any such."""
    return rows[min(max(delay, 0), len(rows) - 1)]


def whole_hours(minute: int, length: int, lag: int) -> range:
    """The hours of a baseline of `length` that was over at least `lag` before `minute`; lengths in minutes."""
    end = (minute - lag) // HOUR
    return range(end - max(1, length // HOUR), end)


def hours_of(spans: Iterable[tuple[int, int]], hours: range) -> frozenset[int]:
    """Which of the hours are touched by stretches of minutes, first and last."""
    if not spans:
        return EVERY_HOUR
    touched = {hour for first, last in spans for hour in range(first // HOUR, last // HOUR + 1)}
    return frozenset(hour for hour in touched if hour in hours)


class Usual(NamedTuple):
    """What is usual in one group: the share q₀ of affected rooms.

    `shares` has it for each slot, as such windows see it; `plain` for rooms that all have settled; `failing` is the
    share of the rooms of the last hour that failed in it. `wander` is cv, by how much the share of an hour goes up and
    down beyond chance.
    """

    shares: Mapping[Slot, float]
    plain: float
    failing: float
    wander: float


Members = Mapping[Hours, frozenset[int]]
"""The groups of a rule by their books, and for each the hours in which it fired."""


class Pool:
    """The baselines of all groups of a rule over the same hours: it knows what is usual in each.

    It is `stale` once a room comes or goes within the hours, or a book serves another pool. `checked` is the minute in
    which its groups were last compared with those that there are.
    """

    def __init__(self, hours: range, members: Members) -> None:
        self.hours = hours
        self.members = members
        self.stale = False
        self.checked = 0
        self._usual: dict[Hours, Usual] = {}
        self._looks: dict[float, float] = {}
        self._wander: float | None = None
        for book in members:
            if book.pool is not None:
                book.pool.stale = True
            book.pool = self
        self._rooms = _together(book.rooms(hours, left_out) for book, left_out in members.items())
        self._affected = _together(book.affected(hours, left_out) for book, left_out in members.items())

    def stands(self, hours: range, minute: int) -> bool:
        """Whether it has been found right in this minute, for these hours."""
        return not self.stale and self.checked == minute and self.hours == hours

    @property
    def learning(self) -> bool:
        """Whether too little is known of the past to judge anything by it."""
        return self._rooms[0] < LEARNT

    def looks(self, most: float) -> float:
        """L, the independent looks a week: over all groups the sum of a third of the rooms of a week, `most` each."""
        if most not in self._looks:
            firsts = [book.first for book in self.members if book.first is not None]
            known = self.hours.stop - max(self.hours.start, min(firsts, default=self.hours.start))
            self._looks[most] = sum(
                min(most, book.rooms(self.hours, out)[0] * WEEK / max(1, known - len(out)) / ROOMS_A_LOOK)
                for book, out in self.members.items()
            )
        return self._looks[most]

    def usual(self, book: Hours) -> Usual:
        """What is usual in the group that has this book."""
        if book not in self._usual:
            self._usual[book] = self._worked_out(book, self.members[book])
        return self._usual[book]

    def _worked_out(self, book: Hours, left_out: frozenset[int]) -> Usual:
        rooms, affected = book.rooms(self.hours, left_out), book.affected(self.hours, left_out)

        def share(hit: int, of: int, weight: int) -> float:
            everywhere = (self._affected[hit] / weight + PRIOR_HIT) / (self._rooms[of] / weight + PRIOR_ROOMS)
            return (affected[hit] / weight + PRIOR) / (rooms[of] / weight + PRIOR / everywhere)

        last_hour = 1 + book.slots.index(LAST_HOUR)
        return Usual(
            {slot: share(column, column, slot[0]) for column, slot in enumerate(book.slots, 1)},
            share(0, 0, 1),
            share(1 + len(book.slots), last_hour, LAST_HOUR[0]),
            sqrt(wandering(*book.by_hour(self.hours, left_out), self._wander_of_all())),
        )

    def _wander_of_all(self) -> float:
        """cv² of all groups together."""
        if self._wander is None:
            each = [book.by_hour(self.hours, left_out) for book, left_out in self.members.items()]
            rooms, affected = _together(rooms for rooms, _ in each), _together(hit for _, hit in each)
            self._wander = wandering(rooms, affected, PRIOR_WANDER)
        return self._wander


def pooled(book: Hours, hours: range, members: Members, minute: int) -> Pool:
    """The pool of these groups, of which one has this book: the one that it has, if that is right; else a new one."""
    pool = book.pool
    if pool is None or pool.stale or pool.hours != hours or pool.members != members:
        pool = Pool(hours, members)
    pool.checked = minute
    return pool


def wandering(rooms: Sequence[int], affected: Sequence[int], of_all: float) -> float:
    """cv²: by how much the affected share of an hour wanders, squared, beyond chance and relative to its mean q.

    (Σ((A - E)² - E (1 - q)) + 200 cv²_all) / (Σ E² + 200) over the hours, E = R q, not below 0: the moments of a
    beta-binomial count (Kleinman, JASA 68, 1973), drawn towards what is known of all groups.
    """
    total = sum(rooms)
    q = sum(affected) / total if total else 0.0
    squares = q * q * _products(rooms, rooms)
    off = _products(affected, affected) - 2 * q * _products(affected, rooms) + squares
    return max(0.0, (off - q * (1 - q) * total + PRIOR_SQUARES * of_all) / (squares + PRIOR_SQUARES))


def _products(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(map(mul, one, other))


def _together(rows: Iterable[Sequence[int]]) -> Sequence[int]:
    """The sums of rows, number by number."""
    found: Sequence[int] = ()
    for row in rows:
        found = list(map(add, found, row)) if found else row
    return found
