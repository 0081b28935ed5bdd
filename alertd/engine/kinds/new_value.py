"""`new_value`: a value of a field that was not seen for long, or never, appears in some rooms."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from alertd.engine.books import HOUR, Sightings
from alertd.engine.durations import format_duration
from alertd.engine.rough import Rough
from alertd.engine.samples import Of, Sample, Scene, View, number_of
from alertd.engine.windows import MINUTE

DAY = 24
"""Hours within which a new value must come up in as many rooms as are asked for."""
HOLDS = 2
"""Hours of the clock in which a value is new: the one in which it became so, and the next."""
LEARNED = 7 * DAY
"""Hours of the past that must be known, or all that the rule looks back to: who calls once a week is not new."""
SHOWN = 5
"""New values that are named."""


class NewValue(msgspec.Struct, frozen=True, kw_only=True):
    """Holds when a value has come up in `min_rooms` rooms within a day, and otherwise not in the last `seen_in`.

    It goes on holding to the end of the next hour of the clock. Values are those of the participants who match.
    """

    field: str
    seen_in: int = 2592000
    min_rooms: int = 2
    of: ClassVar[Of] = "rooms"
    holds_below: ClassVar[bool] = False
    needs_match: ClassVar[bool] = True
    needs_many: ClassVar[bool] = False

    @property
    def reach(self) -> int:
        """How far back it looks."""
        return self.seen_in

    @property
    def minutes(self) -> int:
        """Sums are asked for of the last day only."""
        return DAY * HOUR

    @property
    def hours(self) -> int:
        """How many hours a value is remembered."""
        return self.seen_in // MINUTE // HOUR

    @property
    def hindsight(self) -> int:
        """As long as a room can make a value new that came up after it, and as that holds."""
        return self.minutes + HOLDS * HOUR

    def book(self) -> Sightings:
        """What it keeps: when each value was seen."""
        return Sightings(self.hours, DAY)

    def judge(self, scene: Scene) -> View:
        """Whether a value became new in this hour or the one before, and not before the hour of recovery."""
        found = self._became_new(scene)
        learning = bool(found) and self._learning(scene, scene.minute // HOUR)
        after = max(scene.minute - self.minutes, scene.floor)
        sums = scene.series.between(after, scene.minute)
        rooms = max((rooms for _, _, rooms in found), default=0)
        names = tuple(value for _, value, _ in found[:SHOWN])
        return View(
            0,
            self.minutes * MINUTE,
            after,
            scene.minute,
            sums,
            rooms,
            sums.rooms,
            bool(found) and not learning,
            len(found),
            0,
            len(found),
            learning=learning,
            new=names,
        )

    def judge_then(self, scene: Scene) -> View | None:
        """Whether a value was new then; None where none was: more than a day is looked at for each late room."""
        return self.judge(scene) if self._became_new(scene) else None

    def elevated(self, scene: Scene) -> int | None:
        """While it holds."""
        return scene.minute if self.judge(scene).holds else None

    def traffic_judged(self, scene: Scene, since: int) -> bool:  # noqa: ARG002 - as all kinds
        """What is known is new no more."""
        return True

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether anything matches in the hours of these minutes or the one before, in which it may have become new."""
        return scene.series.between(after - HOLDS * HOUR, upto).matched > 0

    def may_have_held(self, rough: Rough) -> bool:
        """Whether a value may have become new by a room that had it."""
        book = rough.book
        return not isinstance(book, Sightings) or book.may_be_new(rough.values, rough.ended, rough.hour)

    def in_words(self) -> str:
        """`a value of sdk_version in 2 rooms that was not seen in the 30d before`."""
        rooms = number_of(self.min_rooms, "rooms")
        return f"a value of {self.field} in {rooms} that was not seen in the {format_duration(self.seen_in)} before"

    def describe(self, sample: Sample) -> str:
        """`new values of sdk_version: 2.31.0 (in up to 4 rooms), not seen in the 30d before`."""
        more = int(sample.value) - len(sample.new)
        names = ", ".join(sample.new) + (f" and {more} more" if more > 0 else "")
        rooms = f"in up to {sample.matched} room{'s' if sample.matched != 1 else ''}"
        return f"new values of {self.field}: {names} ({rooms}), not seen in the {format_duration(self.seen_in)} before"

    def _became_new(self, scene: Scene) -> list[tuple[int, str, int]]:
        """The values that are new: the hour in which each became so, the value, and its rooms."""
        book, now = scene.series.book, scene.minute // HOUR
        if not isinstance(book, Sightings):
            return []
        since = max(now - HOLDS, scene.floor // HOUR - 1)
        return [one for one in book.appeared(now, self.min_rooms) if one[0] > since]

    def _learning(self, scene: Scene, now: int) -> bool:
        """Whether too little of the past is known to any group of the rule."""
        books = [peer.series.book for peer in scene.peers()] or [scene.series.book]
        firsts = [one.first(now) for one in books if isinstance(one, Sightings)]
        first = min((first for first in firsts if first is not None), default=now)
        return now - first < min(self.hours, LEARNED)
