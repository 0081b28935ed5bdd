"""What some kinds of rule keep beyond sums by minute: values, how often they were seen, starts as they became known.

A book belongs to one group and one condition; everything in it can be taken out again, in any order.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import accumulate
from math import frexp, ldexp
from typing import NamedTuple, Protocol

from alertd.engine.windows import EVER, Rows

HOUR = 60
"""Minutes in an hour."""


def opaque(text: str) -> int:
    """A 64-bit number that stands for a text, the same in every process; the text cannot be had from it."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


class Entry(NamedTuple):
    """A room as a book takes it: the minutes of its end, of its settling, of its latest failure; n, k; the values.

    `failed` is when the last of those who match left. `values` are those of the rule's field in words, one for each
    who matches and has one.
    """

    ended: int
    known: int
    failed: int | None
    total: int
    matched: int
    values: tuple[str, ...] = ()


class Book(Protocol):
    """What one kind keeps of one group."""

    def fold(self, entry: Entry, sign: int) -> None:
        """Take a room in; with `sign` -1 take it out again."""

    def forget(self, minute: int) -> None:
        """Drop what no decision at `minute` or later looks back to."""

    def __len__(self) -> int:
        """How much is in it."""


class _Window:
    """How often each number comes up in `after` < minute ≤ `upto`; it moves with what is asked for."""

    __slots__ = ("after", "bag", "upto")

    def __init__(self, start: int) -> None:
        self.after = self.upto = start
        self.bag: Counter[int] = Counter()

    def way(self, after: int, upto: int) -> int:
        """How many minutes its edges have to move."""
        return abs(after - self.after) + abs(upto - self.upto)


KEPT_WINDOWS = 2
"""Windows of one group that move: that of the rule, and the shorter one by which its recovery is judged."""


class Bags:
    """How often each of some numbers came up, by minute; and within windows that move.

    A window asked for again a minute later costs what that minute holds, not what the window holds.
    """

    def __init__(self) -> None:
        self._minutes: dict[int, Counter[int]] = {}
        self._windows: list[_Window] = []  # those asked for last, the latest first

    def add(self, minute: int, numbers: Mapping[int, int], sign: int) -> None:
        """Count numbers in a minute; with `sign` -1 take them out again."""
        bag = self._minutes.setdefault(minute, Counter())
        _mix(bag, numbers, sign)
        for window in self._windows:
            if window.after < minute <= window.upto:
                _mix(window.bag, numbers, sign)
        if not bag:
            del self._minutes[minute]

    def within(self, after: int, upto: int) -> Mapping[int, int]:
        """How often each came up in `after` < minute ≤ `upto`; to be read before the next call."""
        upto = max(after, upto)
        nearest = min(self._windows, key=lambda window: window.way(after, upto), default=None)
        if nearest is None or nearest.way(after, upto) > upto - after:
            nearest = _Window(after)
        self._windows = [nearest, *[window for window in self._windows if window is not nearest]][:KEPT_WINDOWS]
        self._mix_between(nearest, nearest.after, after, -1)
        self._mix_between(nearest, nearest.upto, upto, 1)
        nearest.after, nearest.upto = after, upto
        return nearest.bag

    def _mix_between(self, window: _Window, old: int, new: int, sign: int) -> None:
        """Move an edge of the window: forward it takes in (at the far end) or lets go (at the near one)."""
        sign = sign if new > old else -sign
        for minute in range(min(old, new) + 1, max(old, new) + 1):
            if minute in self._minutes:
                _mix(window.bag, self._minutes[minute], sign)

    def forget(self, upto: int) -> None:
        """Drop all minutes ≤ `upto`."""
        for minute in [minute for minute in self._minutes if minute <= upto]:
            self.add(minute, dict(self._minutes[minute]), -1)

    def __len__(self) -> int:
        return len(self._minutes)


def _mix(bag: Counter[int], numbers: Mapping[int, int], sign: int) -> None:
    for number, times in numbers.items():
        bag[number] += sign * times
        if bag[number] == 0:
            del bag[number]


EXACT = 256
"""Whole numbers from 0 up to this many are told apart; beyond, and between, numbers are, to 1 in 256."""
LEAST = -100
"""Numbers nearer to 0 than 2 to this power count as 0."""


def slot(value: float) -> int:
    """The place of a number on a scale whose steps are 1/256 of the number at most; whole ones below 256 stay apart.

    Log-linear, as in HdrHistogram; negative numbers mirror positive ones.
    """
    if value < 0:
        return -slot(-value)
    mantissa, exponent = frexp(value)  # value = mantissa * 2**exponent, 0.5 <= mantissa < 1
    if not value or exponent <= LEAST:
        return 0
    return (exponent - LEAST) * EXACT + int((mantissa - 0.5) * 2 * EXACT)


def value_at(place: int) -> float:
    """The number in the middle of a slot, but the whole one if there is just one in it."""
    if place < 0:
        return -value_at(-place)
    if place == 0:
        return 0.0
    exponent, step = divmod(place, EXACT)
    low = ldexp(0.5 + step / (2 * EXACT), exponent + LEAST)
    high = ldexp(0.5 + (step + 1) / (2 * EXACT), exponent + LEAST)
    whole = float(-(-low // 1))
    return whole if whole < high and high - low <= 1 else (low + high) / 2


GREATEST = 1e15
"""Numbers beyond are no measurements: texts that clients send may say anything."""
_DECIMAL = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?")


def number_said(text: str) -> float | None:
    """The decimal number that a text is; None for anything else: `true`, `nan`, and what is too great to be meant."""
    number = float(text) if _DECIMAL.fullmatch(text) else None
    return None if number is None or abs(number) > GREATEST else number


GRAIN = 1_000_000
"""Sums are made of millionths, so that what is taken out again leaves nothing behind."""
WORD = 2**32
"""A sum is kept in two words: many great numbers are more than 64 bits hold."""


class Quantities:
    """Numbers of a field: how many and their sum by minute exactly, and how they are spread to 1 in 256.

    Values of minutes up to `kept_since` have been forgotten.
    """

    def __init__(self, minutes: int) -> None:
        self._keep = minutes
        self.kept_since = 0
        self._rows = Rows(4)  # rooms, values, their sum in millionths: high word and low word
        self._bags = Bags()

    def fold(self, entry: Entry, sign: int) -> None:
        """Take in the values of a room; with `sign` -1 take them out. What says no number is left out."""
        said = [number_said(value) for value in entry.values]
        values = [value for value in said if value is not None]
        if values:
            high, low = divmod(sum(round(GRAIN * value) for value in values), WORD)
            self._rows.add(entry.ended, (sign, sign * len(values), sign * high, sign * low))
            self._bags.add(entry.ended, Counter(map(slot, values)), sign)

    def mean(self, after: int, upto: int) -> float:
        """The mean of the window's values, 0 of none."""
        count = self.count(after, upto)
        return self._millionths(after, upto) / (GRAIN * count) if count else 0.0

    def sum(self, after: int, upto: int) -> float:
        """Their sum."""
        return self._millionths(after, upto) / GRAIN

    def count(self, after: int, upto: int) -> int:
        """How many there are."""
        _, count, _, _ = self._rows.between(after, upto)
        return count

    def percentile(self, percent: int, after: int, upto: int) -> float:
        """The smallest value that at least `percent` % of the values do not exceed (nearest rank), 0 of none."""
        spread = self._bags.within(after, upto)
        if not spread:
            return 0.0
        places = sorted(spread)
        passed = list(accumulate(map(spread.__getitem__, places)))
        return value_at(places[bisect_left(passed, max(1, -(-percent * passed[-1] // 100)))])

    def _millionths(self, after: int, upto: int) -> int:
        _, _, high, low = self._rows.between(after, upto)
        return high * WORD + low

    def forget(self, minute: int) -> None:
        """Drop what is out of every window."""
        self.kept_since = max(self.kept_since, minute - self._keep)
        self._rows.forget(EVER, self.kept_since)
        self._bags.forget(self.kept_since)

    def __len__(self) -> int:
        return len(self._rows)


class Different:
    """Which values of a field came up, by minute; values are told apart by a 64-bit number.

    Those of minutes up to `kept_since` have been forgotten.
    """

    def __init__(self, minutes: int) -> None:
        self._keep = minutes
        self.kept_since = 0
        self._bags = Bags()

    def fold(self, entry: Entry, sign: int) -> None:
        """Take in the values of a room; with `sign` -1 take them out."""
        if entry.values:
            self._bags.add(entry.ended, Counter(map(opaque, entry.values)), sign)

    def count(self, after: int, upto: int) -> int:
        """How many different values came up in the window."""
        return len(self._bags.within(after, upto))

    def forget(self, minute: int) -> None:
        """Drop what is out of every window."""
        self.kept_since = max(self.kept_since, minute - self._keep)
        self._bags.forget(self.kept_since)

    def __len__(self) -> int:
        return len(self._bags)


class Sightings:
    """In how many rooms each value of a field was seen, by hour; and which values are new.

    A value is remembered for `hours`, and new for the last `young` of them.
    """

    def __init__(self, hours: int, young: int, most: int = 10_000) -> None:
        self._keep = hours
        self._young = young
        self._most = most
        self._rooms: dict[int, int] = {}
        self._seen: dict[str, dict[int, int]] = {}
        self._new: set[str] = set()
        self._asked: int | None = None  # the hour at which they are new

    def fold(self, entry: Entry, sign: int) -> None:
        """Note the values of a room, each once; `sign` -1 strikes them out. Beyond `most` no new one is taken in."""
        hour = entry.ended // HOUR
        _tally(self._rooms, hour, sign)
        for value in set(entry.values):
            if value in self._seen or (sign > 0 and len(self._seen) < self._most):
                hours = self._seen.setdefault(value, {})
                _tally(hours, hour, sign)
                if not hours:
                    del self._seen[value]
                self._new.discard(value)
                if self._asked is not None and self._is_new(hours, self._asked):
                    self._new.add(value)

    def first(self, now: int) -> int | None:
        """The first hour, of those that are looked back to at hour `now`, in which there was any room at all."""
        return min((hour for hour in self._rooms if now - self._keep <= hour <= now), default=None)

    def appeared(self, now: int, min_rooms: int) -> Iterable[tuple[int, str, int]]:
        """Values seen in the `young` hours up to hour `now`, and not before: the hour of the room that made it
        `min_rooms`, the value, and its rooms."""
        if now != self._asked:
            self._asked = now
            self._new = {value for value, hours in self._seen.items() if self._is_new(hours, now)}
        for value in sorted(self._new):
            hours, rooms = self._seen[value], 0
            for hour in sorted(hour for hour in hours if now - self._young < hour <= now):
                rooms += hours[hour]
                if rooms >= min_rooms > rooms - hours[hour]:
                    reached = hour
            if rooms >= min_rooms:
                yield reached, value, rooms

    def may_be_new(self, values: Iterable[str], hour: int, until: int) -> bool:
        """Whether one of the values is new, or was, at some hour from `hour` to `until`, if a room had it in `hour`."""
        seen = [{*self._seen.get(value, ()), hour} for value in values]
        return any(self._is_new(hours, now) for hours in seen for now in range(hour, until + 1))

    def _is_new(self, hours: Iterable[int], now: int) -> bool:
        before = any(now - self._keep < hour <= now - self._young for hour in hours)
        return not before and any(now - self._young < hour <= now for hour in hours)

    def forget(self, minute: int) -> None:
        """Drop hours that nothing looks back to, not even from a day ago."""
        last = minute // HOUR - self._keep - self._young
        for hours in (self._rooms, *self._seen.values()):
            for hour in [hour for hour in hours if hour <= last]:
                del hours[hour]
        self._seen = {value: hours for value, hours in self._seen.items() if hours}
        self._asked = None

    def __len__(self) -> int:
        return len(self._seen)


def _tally(book: dict[int, int], key: int, sign: int) -> None:
    book[key] = book.get(key, 0) + sign
    if book[key] <= 0:
        del book[key]


class Starts:
    """How many rooms started by each minute, so that windows and means of many windows cost a few look-ups."""

    def __init__(self, minutes: int) -> None:
        self._keep = minutes
        self._rows = Rows(2)  # the rooms that started in a minute, and those times the minute

    def fold(self, started: int, sign: int) -> None:
        """Count a room; with `sign` -1 take it out again."""
        self._rows.add(started, (sign, sign * started))

    def mean(self, length: int, minute: int, around: int) -> float:
        """The mean number of rooms in windows of `length` minutes, over those that end from `around` before `minute` to
        `around` behind it."""
        first, last = minute - around, minute + around
        return (self._risen(first, last) - self._risen(first - length, last - length)) / (last - first + 1)

    def forget(self, minute: int) -> None:
        """Drop what is too long ago to be compared with."""
        self._rows.forget(EVER, minute - self._keep)

    def _risen(self, first: int, last: int) -> int:
        """The numbers of rooms that had started by each minute from the first to the last, added up."""
        before, _ = self._rows.between(EVER, first - 1)
        rooms, weighted = self._rows.between(first - 1, last)
        return (last - first + 1) * before + (last + 1) * rooms - weighted
