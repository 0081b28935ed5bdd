"""What windows that were forgotten may have held, at most and at least, by the hour: most need not be counted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from alertd.engine.books import HOUR, Book
from alertd.engine.windows import EVER, MINUTE, Rows

KEPT = 8 * 24 * HOUR
"""Minutes after its end by which the last rooms become known: the days that Twilio keeps them, and one more."""
SHORTEST = 2 * HOUR
"""The length in minutes of the shortest windows of which hours tell anything."""


class Bounds(NamedTuple):
    """Of some windows: no fewer rooms and participants (`total`), and no more rooms with a match and matches."""

    rooms: int
    total: int
    affected: int
    matched: int

    def plus(self, other: Bounds) -> Bounds:
        """With what is not yet in them."""
        return Bounds(*map(sum, zip(self, other, strict=True)))


NOTHING = Bounds(0, 0, 0, 0)
UNKNOWN = Bounds(0, 0, 2**40, 2**40)


@dataclass(slots=True)
class Hourly:
    """The rooms of a group by the hour, and those that match, by the name of what is asked. Before minute `since` there
    may have been more."""

    since: int
    totals: Rows = field(default_factory=lambda: Rows(2))
    matches: dict[str, Rows] = field(default_factory=dict)

    def note(self, ended: int, total: int, sign: int) -> None:
        """Count a room that ended in minute `ended`; with `sign` -1 take it out again."""
        self.totals.add(ended // HOUR, (sign, sign * total))

    def match(self, name: str, ended: int, matched: int, sign: int) -> None:
        """Count what matches of it."""
        self.matches.setdefault(name, Rows(2)).add(ended // HOUR, (sign, sign * matched))

    def bounds(self, name: str, hour: int, window: int) -> Bounds:
        """Of the windows of so many minutes that end in this hour."""
        if hour * HOUR - window < self.since:
            return UNKNOWN
        rooms, total = self.totals.between((hour * HOUR + HOUR - 1 - window) // HOUR, hour - 1)
        matches = self.matches.get(name)
        affected, matched = matches.between((hour * HOUR + 1 - window) // HOUR - 1, hour) if matches else (0, 0)
        return Bounds(max(rooms, 0), max(total, 0), affected, matched)

    def forget(self, minute: int) -> None:
        """Drop the hours that ended long before `minute`."""
        upto = (minute // HOUR) - 1
        self.since = max(self.since, upto * HOUR + HOUR - 1)
        for rows in (self.totals, *self.matches.values()):
            rows.forget(EVER, upto)
        self.matches = {name: rows for name, rows in self.matches.items() if rows}


class Rough(NamedTuple):
    """What is known roughly of a group and a condition (`name`) at a time that has been forgotten, of windows that end
    in `hour`. `more` is what rooms that came too late add to any of them, and `values` are those of one that ended at
    hour `ended`, if there is a `book` for them.
    """

    hourly: Hourly | None
    name: str
    hour: int
    ended: int
    more: Bounds = NOTHING
    book: Book | None = None
    values: Sequence[str] = ()

    def bounds(self, window: int) -> Bounds:
        """Of the windows of `window` seconds."""
        known = UNKNOWN if self.hourly is None else self.hourly.bounds(self.name, self.hour, window // MINUTE)
        return known.plus(self.more)
