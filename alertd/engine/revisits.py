"""Which half hours of the past are counted again, and for how long, to judge rooms among them that came very late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alertd.engine.windows import EVER

Span = tuple[int, int]
"""A stretch of minutes: those with `after` < minute ≤ `upto`."""
SLOT = 30
"""Minutes that are counted again, and forgotten again, together."""
KEPT_FOR = 360
"""Minutes for which they stay after they were last needed: where one room came very late, more will, for hours."""


def slots(after: int, upto: int) -> range:
    """The slots that hold the minutes with `after` < minute ≤ `upto`, of which there is one at least."""
    return range((after + 1) // SLOT, upto // SLOT + 1)


@dataclass(slots=True)
class Revisits:
    """The slots in which all is counted, however long ago they were; each with the minute that last needed it."""

    needed: dict[int, int] = field(default_factory=dict)

    def lacking(self, wanted: Iterable[int], kept_since: int) -> set[int]:
        """Those of the slots of which something was forgotten, where minutes up to `kept_since` were."""
        return {slot for slot in wanted if slot * SLOT <= kept_since and slot not in self.needed}

    def note(self, wanted: Iterable[int], now: int) -> None:
        """These slots are counted, and needed at minute `now`."""
        self.needed.update(dict.fromkeys(wanted, now))

    def copy(self) -> Revisits:
        """The same, to go another way from here on."""
        return Revisits(dict(self.needed))

    def __contains__(self, minute: int) -> bool:
        return minute // SLOT in self.needed

    def forget(self, now: int) -> None:
        """Let go of the slots that were not needed for long."""
        for slot in [slot for slot, at in self.needed.items() if now - at > KEPT_FOR]:
            del self.needed[slot]

    def gaps(self, upto: int) -> list[Span]:
        """The minutes up to `upto` that lie in none of the slots."""
        found, after = [], EVER
        for slot in sorted(self.needed):
            if slot * SLOT - 1 > after:
                found.append((after, min(slot * SLOT - 1, upto)))
            after = (slot + 1) * SLOT - 1
        return [gap for gap in [*found, (after, upto)] if gap[0] < gap[1]]


class Revisit(NamedTuple):
    """What rooms that came very late must be judged among, as slots by population: those `needed`, and of them those
    that are `lacking` since they were forgotten."""

    needed: Mapping[str, set[int]]
    lacking: Mapping[str, set[int]]

    def lacks(self, name: str, minute: int) -> bool:
        """Whether a population is to count the rooms again that ended in a minute."""
        return minute // SLOT in self.lacking.get(name, ())

    @property
    def stretches(self) -> list[Span]:
        """The minutes to be read, as few stretches as hold them, in order."""
        found: list[Span] = []
        for slot in sorted(set().union(*self.lacking.values())):
            after, upto = slot * SLOT - 1, (slot + 1) * SLOT - 1
            if found and found[-1][1] == after:
                found[-1] = (found[-1][0], upto)
            else:
                found.append((after, upto))
        return found
