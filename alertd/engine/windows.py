"""Minute buckets for one rule and group: fold settled rooms in (or out again), sum over a window, forget the old.

A room counts in the minute of its `ended`. A series keeps running totals over its minutes, so that a window of any
length costs two look-ups; late rooms only redo the totals behind their own minute, and only when next asked.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import add, sub
from typing import NamedTuple

import msgspec

MINUTE = 60
KEPT_EVIDENCE = 10
"""Matches of one minute kept to be shown: more than are shown, for those that a changed summary takes back."""


class Sums(NamedTuple):
    """What some minutes hold: rooms, those with a match, participants n, matches k; Σk², Σkn, Σn² over rooms."""

    rooms: int = 0
    affected: int = 0
    total: int = 0
    matched: int = 0
    kk: int = 0
    kn: int = 0
    nn: int = 0

    def plus(self, other: Sums) -> Sums:
        """The two stretches together."""
        return Sums._make(map(add, self, other))

    def minus(self, other: Sums) -> Sums:
        """This stretch without the other, which it contains."""
        return Sums._make(map(sub, self, other))


NOTHING = Sums()


def of_room(matched: int, total: int) -> Sums:
    """The sums of one room in which `matched` of `total` participants of the population match."""
    return Sums(1, int(matched > 0), total, matched, matched * matched, matched * total, total * total)


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One participant that matched, as shown to people. Personal fields are pseudonyms."""

    ended: int
    participant_sid: str
    room_sid: str
    account: str = ""
    room_name: str | None = None
    identity: str | None = None
    end_reason: str | None = None
    error_code: int | None = None
    error_url: str | None = None
    sdk: str | None = None
    media_region: str | None = None
    edge_location: str | None = None


class RoomCount(NamedTuple):
    """What one room adds to one group of one rule; identities are opaque numbers."""

    matched: int
    total: int
    matched_identities: frozenset[int] = frozenset()
    identities: frozenset[int] = frozenset()
    evidence: tuple[Evidence, ...] = ()


class Series:
    """The minutes of one group of one rule."""

    __slots__ = ("_all", "_base", "_dirty", "_evidence", "_keys", "_matched", "_minutes", "_totals")

    def __init__(self) -> None:
        self._minutes: dict[int, Sums] = {}
        self._keys: list[int] = []
        self._totals: list[Sums] = []
        self._base = NOTHING
        self._dirty: int | None = None
        self._matched: dict[int, dict[int, int]] = {}
        self._all: dict[int, dict[int, int]] = {}
        self._evidence: dict[int, list[Evidence]] = {}

    def fold(self, minute: int, count: RoomCount, sign: int = 1) -> None:
        """Count a room in `minute`; with `sign` -1 take the same room out again."""
        k, n = count.matched, count.total
        before = self._minutes.get(minute)
        if before is None:
            insort(self._keys, minute)
            before = NOTHING
        rooms, affected, total, matched, kk, kn, nn = before
        if k:
            self._remember(minute, count, sign)
            affected, matched, kk, kn = affected + sign, matched + sign * k, kk + sign * k * k, kn + sign * k * n
        self._minutes[minute] = Sums(rooms + sign, affected, total + sign * n, matched, kk, kn, nn + sign * n * n)
        if self._dirty is None or minute < self._dirty:
            self._dirty = minute
        if count.identities:
            _tally(self._all, minute, count.identities, sign)

    def _remember(self, minute: int, count: RoomCount, sign: int) -> None:
        _tally(self._matched, minute, count.matched_identities, sign)
        shown = self._evidence.setdefault(minute, [])
        for item in count.evidence:
            if sign > 0:
                insort(shown, item, key=_age)
            elif item in shown:
                shown.remove(item)
        del shown[:-KEPT_EVIDENCE]

    def between(self, after: int, upto: int) -> Sums:
        """Sums over the minutes with `after` < minute ≤ `upto`."""
        self._retotal()
        low, high = self._places(after, upto)
        if high <= low:
            return NOTHING
        return self._totals[high - 1].minus(self._totals[low - 1] if low else self._base)

    def _places(self, after: int, upto: int) -> tuple[int, int]:
        return bisect_right(self._keys, after), bisect_right(self._keys, upto)

    @property
    def matched(self) -> int:
        """Matches in all minutes kept."""
        self._retotal()
        return self._totals[-1].matched - self._base.matched if self._totals else 0

    def identities(self, after: int, upto: int) -> tuple[int, int]:
        """Distinct identities that match, and of all (if they are counted), in `after` < minute ≤ `upto`."""
        low, high = self._places(after, upto)
        minutes = self._keys[low:high]
        return _distinct(self._matched, minutes), _distinct(self._all, minutes)

    def evidence(self, after: int, upto: int, most: int) -> tuple[Evidence, ...]:
        """The latest matches in `after` < minute ≤ `upto`, at most so many, the most recent first."""
        low, high = self._places(after, upto)
        found: list[Evidence] = []
        for minute in reversed(self._keys[low:high]):
            found += reversed(self._evidence.get(minute, ()))
            if len(found) >= most:
                break
        return tuple(found[:most])

    def span(self, after: int, upto: int) -> tuple[int, int] | None:
        """The first and the last minute with a match in `after` < minute ≤ `upto`; None without any."""
        low, high = self._places(after, upto)
        minutes = [minute for minute in self._keys[low:high] if self._minutes[minute].matched]
        return (minutes[0], minutes[-1]) if minutes else None

    def forget(self, upto: int) -> None:
        """Drop all minutes ≤ `upto`."""
        cut = bisect_right(self._keys, upto)
        if not cut:
            return
        self._retotal()
        self._base = self._totals[cut - 1]
        for minute in self._keys[:cut]:
            del self._minutes[minute]
            for book in (self._matched, self._all, self._evidence):
                book.pop(minute, None)
        del self._keys[:cut]
        del self._totals[:cut]

    def __len__(self) -> int:
        return len(self._keys)

    def _retotal(self) -> None:
        if self._dirty is None:
            return
        start = bisect_left(self._keys, self._dirty)
        del self._totals[start:]
        running = self._totals[-1] if self._totals else self._base
        for minute in self._keys[start:]:
            running = running.plus(self._minutes[minute])
            self._totals.append(running)
        self._dirty = None


def _age(item: Evidence) -> tuple[int, str, str]:
    """By when it ended; of equals in an order that is always the same."""
    return item.ended, item.participant_sid, item.room_sid


def _tally(book: dict[int, dict[int, int]], minute: int, identities: frozenset[int], sign: int) -> None:
    page = book.setdefault(minute, {})
    for identity in identities:
        count = page.get(identity, 0) + sign
        if count:
            page[identity] = count
        else:
            page.pop(identity, None)


def _distinct(book: dict[int, dict[int, int]], minutes: list[int]) -> int:
    return len(set().union(*[book[minute] for minute in minutes if minute in book])) if book else 0
