"""Minute buckets: what is counted of all rooms of a group, what of those that match, and the two as one series.

A room counts in the minute of its `ended`. What all rooms hold does not depend on a rule, so that one `Totals` serves
all rules that look at the same participants; a `Series` joins it with what matches, of which most have nothing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from operator import sub
from typing import NamedTuple, TypeVar

import msgspec

MINUTE = 60
EVER = -(2**62)
"""A minute before all others."""
KEPT_EVIDENCE = 10
"""Matches of one minute kept to be shown: more than are shown, for those that a changed summary takes back."""
NOBODY: frozenset[int] = frozenset()


class Sums(NamedTuple):
    """What some minutes hold: rooms, those with a match, participants n, matches k; Σk², Σkn, Σn² over rooms."""

    rooms: int = 0
    affected: int = 0
    total: int = 0
    matched: int = 0
    kk: int = 0
    kn: int = 0
    nn: int = 0


NOTHING = Sums()


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


class Match(NamedTuple):
    """What matches of one room in one group: `matched` of `total` participants; identities are opaque numbers."""

    matched: int
    total: int
    identities: frozenset[int] = NOBODY
    evidence: tuple[Evidence, ...] = ()


class Rows:
    """A row of whole numbers for each minute that has any, the first of them a number of rooms, and their sums.

    Running totals make a window of any length cost two look-ups; a late room only redoes those behind its own minute,
    and only when next asked.
    """

    __slots__ = ("_minutes", "_right", "_rows", "_running", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._minutes = array("q")
        self._rows = array("q")  # flat, as are the running totals: an object for each number would take five times more
        self._running = array("q", [0] * width)  # what came before each minute, and before the one to come
        self._right = 0  # minutes from the first on before and after which the running totals are right

    def add(self, minute: int, row: Iterable[int]) -> None:
        """Add to the row of `minute`."""
        place = bisect_left(self._minutes, minute)
        start = place * self._width
        if place == len(self._minutes) or self._minutes[place] != minute:
            self._minutes.insert(place, minute)
            self._rows[start:start] = array("q", row)
        else:
            for spot, number in enumerate(row, start):
                self._rows[spot] += number
        if place < self._right:
            self._right = place

    def between(self, after: int, upto: int) -> Iterable[int]:
        """The sum of the rows with `after` < minute ≤ `upto`."""
        if self._right != len(self._minutes):
            self._retotal()
        width, running = self._width, self._running
        low = bisect_right(self._minutes, after)
        start, end = low * width, bisect_right(self._minutes, upto, low) * width
        return map(sub, running[end : end + width], running[start : start + width])

    def whole(self) -> Iterable[int]:
        """The sum of all rows."""
        if self._right != len(self._minutes):
            self._retotal()
        return map(sub, self._running[-self._width :], self._running[: self._width])

    def minutes(self, after: int, upto: int) -> list[int]:
        """The minutes with `after` < minute ≤ `upto` in which rooms are counted, in order."""
        low = bisect_right(self._minutes, after)
        high = bisect_right(self._minutes, upto, low)
        rooms = self._rows[low * self._width : high * self._width : self._width]
        return [minute for minute, number in zip(self._minutes[low:high], rooms, strict=True) if number]

    def forget(self, after: int, upto: int) -> None:
        """Drop the minutes with `after` < minute ≤ `upto`."""
        low = bisect_right(self._minutes, after)
        high = bisect_right(self._minutes, upto, low)
        if low == high:
            return
        start, end = low * self._width, high * self._width
        if low == 0:  # what is left goes on from where it was: nothing need be added up again
            if self._right != len(self._minutes):
                self._retotal()
            self._right -= high
            del self._running[:end]
        else:
            self._right = min(self._right, low)
        del self._minutes[low:high], self._rows[start:end]

    def __len__(self) -> int:
        return len(self._minutes)

    def _retotal(self) -> None:
        running, width = self._running, self._width
        del running[(self._right + 1) * width :]
        for number in self._rows[self._right * width :]:
            running.append(running[-width] + number)
        self._right = len(self._minutes)


class Totals:
    """All rooms of one group, whatever matches in them; everybody in them only where somebody counts people."""

    __slots__ = ("_everybody", "_rows")

    def __init__(self) -> None:
        self._rows = Rows(3)
        self._everybody: dict[int, array[int]] = {}

    def fold(self, minute: int, total: int, identities: frozenset[int] = NOBODY, sign: int = 1) -> None:
        """Count a room of `total` participants in `minute`; with `sign` -1 take the same room out again."""
        self._rows.add(minute, (sign, sign * total, sign * total * total))
        if identities:
            _note(self._everybody, minute, identities, sign)

    def between(self, after: int, upto: int) -> tuple[int, int, int]:
        """Rooms, participants n and Σn² over rooms in the minutes with `after` < minute ≤ `upto`."""
        rooms, total, nn = self._rows.between(after, upto)
        return rooms, total, nn

    def identities(self, after: int, upto: int) -> int:
        """Distinct identities in `after` < minute ≤ `upto`."""
        return _distinct(self._everybody, self._rows.minutes(after, upto)) if self._everybody else 0

    def forget(self, after: int, upto: int) -> None:
        """Drop the minutes with `after` < minute ≤ `upto`."""
        self._rows.forget(after, upto)
        _drop(self._everybody, after, upto)

    def __len__(self) -> int:
        return len(self._rows)


class Matches:
    """The rooms of one group in which something matches."""

    __slots__ = ("_evidence", "_identities", "_rows")

    def __init__(self) -> None:
        self._rows = Rows(4)
        self._identities: dict[int, array[int]] = {}
        self._evidence: dict[int, list[Evidence]] = {}

    def fold(self, minute: int, match: Match, sign: int) -> None:
        """Count what matches of a room in `minute`; with `sign` -1 take it out again."""
        k, n = match.matched, match.total
        self._rows.add(minute, (sign, sign * k, sign * k * k, sign * k * n))
        _note(self._identities, minute, match.identities, sign)
        shown = self._evidence.setdefault(minute, [])
        for item in match.evidence:
            if sign > 0:
                insort(shown, item, key=_age)
            elif item in shown:
                shown.remove(item)
        del shown[:-KEPT_EVIDENCE]

    def between(self, after: int, upto: int) -> Iterable[int]:
        """Rooms with a match, matches k, Σk² and Σkn over rooms in the minutes with `after` < minute ≤ `upto`."""
        return self._rows.between(after, upto)

    @property
    def matched(self) -> int:
        """Matches in all minutes kept."""
        _, matched, _, _ = self._rows.whole()
        return matched

    def minutes(self, after: int, upto: int) -> list[int]:
        """The minutes with a match in `after` < minute ≤ `upto`, in order."""
        return self._rows.minutes(after, upto)

    def identities(self, after: int, upto: int) -> int:
        """Distinct identities that match in `after` < minute ≤ `upto`."""
        return _distinct(self._identities, self.minutes(after, upto))

    def evidence(self, after: int, upto: int, most: int) -> tuple[Evidence, ...]:
        """The latest matches in `after` < minute ≤ `upto`, at most so many, the most recent first."""
        found: list[Evidence] = []
        for minute in reversed(self.minutes(after, upto)):
            found += reversed(self._evidence[minute])
            if len(found) >= most:
                break
        return tuple(found[:most])

    def forget(self, after: int, upto: int) -> None:
        """Drop the minutes with `after` < minute ≤ `upto`."""
        self._rows.forget(after, upto)
        _drop(self._identities, after, upto)
        _drop(self._evidence, after, upto)

    def __len__(self) -> int:
        return len(self._rows)


class Series:
    """One group as a rule sees it: all its rooms (`totals`, shared with other rules), and what matches in them.

    `book` is what the rule's kind keeps beside (alertd.engine.books), None for most. `matches_counted` tells how often
    matches were counted, in or out: as long as it stays the same none came.
    """

    __slots__ = ("_matches", "book", "matches_counted", "totals")

    def __init__(self, totals: Totals | None = None, book: object = None) -> None:
        self.totals = Totals() if totals is None else totals
        self.book = book
        self.matches_counted = 0
        self._matches = _NO_MATCHES

    def __getstate__(self) -> tuple[Totals, object, Matches | None]:
        return self.totals, self.book, self._matches or None

    def __setstate__(self, state: tuple[Totals, object, Matches | None]) -> None:
        self.totals, self.book, matches = state
        self._matches = _NO_MATCHES if matches is None else matches
        self.matches_counted = 0

    def match(self, minute: int, match: Match, sign: int = 1) -> None:
        """Count what matches of a room that the totals count; with `sign` -1 take it out again."""
        if self._matches is _NO_MATCHES:
            self._matches = Matches()
        self.matches_counted += 1
        self._matches.fold(minute, match, sign)

    def between(self, after: int, upto: int) -> Sums:
        """Sums over the minutes with `after` < minute ≤ `upto`."""
        rooms, total, nn = self.totals.between(after, upto)
        affected, matched, kk, kn = self._matches.between(after, upto)
        return Sums(rooms, affected, total, matched, kk, kn, nn)

    @property
    def matched(self) -> int:
        """Matches in all minutes kept."""
        return self._matches.matched if self._matches else 0

    @property
    def has_matches(self) -> bool:
        """Whether anything may match in the minutes kept; costs nothing."""
        return self._matches is not _NO_MATCHES

    def identities(self, after: int, upto: int) -> tuple[int, int]:
        """Distinct identities that match, and of all (if they are counted), in `after` < minute ≤ `upto`."""
        return self._matches.identities(after, upto), self.totals.identities(after, upto)

    def evidence(self, after: int, upto: int, most: int) -> tuple[Evidence, ...]:
        """The latest matches in `after` < minute ≤ `upto`, at most so many, the most recent first."""
        return self._matches.evidence(after, upto, most)

    def span(self, after: int, upto: int) -> tuple[int, int] | None:
        """The first and the last minute with a match in `after` < minute ≤ `upto`; None without any."""
        minutes = self._matches.minutes(after, upto)
        return (minutes[0], minutes[-1]) if minutes else None

    def forget(self, after: int, upto: int) -> None:
        """Drop the matches with `after` < minute ≤ `upto`; the totals are not the series' own."""
        self._matches.forget(after, upto)
        if not self._matches:
            self._matches = _NO_MATCHES


_NO_MATCHES = Matches()
"""What all series share until something matches: most never come to that."""


def _age(item: Evidence) -> tuple[int, str, str]:
    """By when it ended; of equals in an order that is always the same."""
    return item.ended, item.participant_sid, item.room_sid


def _note(book: dict[int, array[int]], minute: int, identities: frozenset[int], sign: int) -> None:
    """Write down who was in a room, as often as they were in rooms; or strike them out again."""
    page = book.setdefault(minute, array("q"))
    if sign > 0:
        page.extend(identities)
        return
    for identity in identities:
        if identity in page:
            page.remove(identity)


def _distinct(book: dict[int, array[int]], minutes: Iterable[int]) -> int:
    return len(set().union(*[book[minute] for minute in minutes if minute in book]))


_Page = TypeVar("_Page")


def _drop(book: dict[int, _Page], after: int, upto: int) -> None:
    for minute in [minute for minute in book if after < minute <= upto]:
        del book[minute]
