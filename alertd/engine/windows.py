"""Minute buckets for one rule and group: fold settled rooms in (or out again), sum over a window, forget the old.

A room counts in the minute of its `ended`. A series keeps running totals over its minutes, so that a window of any
length costs two look-ups; late rooms only redo the totals behind their own minute, and only when next asked.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import NamedTuple

import msgspec

MINUTE = 60
KEPT_EVIDENCE = 20


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
        return Sums(*map(int.__add__, self, other))

    def minus(self, other: Sums) -> Sums:
        """This stretch without the other, which it contains."""
        return Sums(*map(int.__sub__, self, other))


def of_room(matched: int, total: int) -> Sums:
    """The sums of one room in which `matched` of `total` participants of the population match."""
    return Sums(1, int(matched > 0), total, matched, matched * matched, matched * total, total * total)


class Evidence(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """One participant that matched, as shown to people; ordered by when it ended. Personal fields are pseudonyms."""

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
    matched_identities: frozenset[int]
    identities: frozenset[int]
    evidence: tuple[Evidence, ...]


class Series:
    """The minutes of one group of one rule."""

    __slots__ = ("_all", "_dirty", "_keys", "_matched", "_minutes", "_totals", "evidence")

    def __init__(self) -> None:
        self._minutes: dict[int, Sums] = {}
        self._keys: list[int] = []
        self._totals: list[Sums] = []
        self._dirty: int | None = None
        self._matched: dict[int, dict[int, int]] = {}
        self._all: dict[int, dict[int, int]] = {}
        self.evidence: list[Evidence] = []

    def fold(self, minute: int, count: RoomCount, sign: int = 1) -> None:
        """Count a room in `minute`; with `sign` -1 take the same room out again."""
        one = of_room(count.matched, count.total)
        before = self._minutes.get(minute)
        if before is None:
            insort(self._keys, minute)
            before = Sums()
        self._minutes[minute] = before.plus(one) if sign > 0 else before.minus(one)
        self._dirty = minute if self._dirty is None else min(self._dirty, minute)
        _tally(self._matched, minute, count.matched_identities, sign)
        _tally(self._all, minute, count.identities, sign)
        self._remember(count.evidence, sign)

    def _remember(self, evidence: tuple[Evidence, ...], sign: int) -> None:
        for item in evidence:
            if sign > 0:
                insort(self.evidence, item)
            elif item in self.evidence:
                self.evidence.remove(item)
        del self.evidence[:-KEPT_EVIDENCE]

    def between(self, after: int, upto: int) -> Sums:
        """Sums over the minutes with `after` < minute ≤ `upto`."""
        self._retotal()
        high = bisect_right(self._keys, upto)
        low = bisect_right(self._keys, after)
        if high <= low:
            return Sums()
        return self._totals[high - 1].minus(self._totals[low - 1]) if low else self._totals[high - 1]

    @property
    def matched(self) -> int:
        """Matches in all minutes kept."""
        self._retotal()
        return self._totals[-1].matched if self._totals else 0

    def identities(self, after: int, upto: int) -> tuple[int, int]:
        """Distinct identities that match, and of all, in the minutes with `after` < minute ≤ `upto`."""
        return _distinct(self._matched, after, upto), _distinct(self._all, after, upto)

    def forget(self, upto: int) -> None:
        """Drop all minutes ≤ `upto`."""
        cut = bisect_right(self._keys, upto)
        if not cut:
            return
        for minute in self._keys[:cut]:
            del self._minutes[minute]
            self._matched.pop(minute, None)
            self._all.pop(minute, None)
        del self._keys[:cut]
        self._totals.clear()
        self._dirty = self._keys[0] if self._keys else None

    def __len__(self) -> int:
        return len(self._keys)

    def _retotal(self) -> None:
        if self._dirty is None:
            return
        start = bisect_left(self._keys, self._dirty)
        del self._totals[start:]
        running = self._totals[-1] if self._totals else Sums()
        for minute in self._keys[start:]:
            running = running.plus(self._minutes[minute])
            self._totals.append(running)
        self._dirty = None


def _tally(book: dict[int, dict[int, int]], minute: int, identities: frozenset[int], sign: int) -> None:
    if not identities:
        return
    page = book.setdefault(minute, {})
    for identity in identities:
        count = page.get(identity, 0) + sign
        if count:
            page[identity] = count
        else:
            page.pop(identity, None)


def _distinct(book: dict[int, dict[int, int]], after: int, upto: int) -> int:
    found: set[int] = set()
    for minute, page in book.items():
        if after < minute <= upto:
            found.update(page)
    return len(found)
