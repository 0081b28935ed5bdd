"""A settled room as all rules see it: read once, split into groups, and counted in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from alertd.engine.books import Entry, opaque
from alertd.engine.populations import Asked, Count, Facts, Key, Population
from alertd.engine.records import Participant, SettledRoom, epoch
from alertd.engine.windows import MINUTE, NOBODY, Evidence, Match

SHOWN = 5
"""Participants of one room that one group keeps as evidence."""


@dataclass(slots=True)
class Reading:
    """A settled room as all rules see it: its participants' facts and label texts, and what conditions said of them.

    `matched` are those whom a condition matches, `shown` is their evidence, both by place in the room; `parts` are
    all of them by group, by the columns that make its key.
    """

    settled: SettledRoom
    facts: list[Facts]
    texts: list[Key]
    matched: dict[Asked, set[int]] = field(default_factory=dict)
    shown: dict[int, Evidence] = field(default_factory=dict)
    parts: dict[tuple[int, ...], dict[Key, list[int]]] = field(default_factory=dict)

    def split(self, population: Population) -> dict[Key, list[int]]:
        """The participants whom the population looks at, by group; all that look at everybody split them alike."""
        if population.among is not None:
            return population.split(self.facts, self.texts)
        if population.columns not in self.parts:
            self.parts[population.columns] = population.split(self.facts, self.texts)
        return self.parts[population.columns]

    def count(self, members: Sequence[int], asked: Iterable[Asked], *, people: bool) -> Count:
        """What these participants add to their group."""
        matches, entries = [], []
        for one in asked:
            found = self.matched[one]
            matched = [member for member in members if member in found] if found else []
            if matched:
                shown = tuple([self.shown[member] for member in matched[:SHOWN]])
                matches.append((one, Match(len(matched), len(members), self._identities(matched), shown)))
            if one.book is not None:
                entries.append((one, self._entry(one, len(members), matched)))
        return Count(len(members), self._identities(members) if people else NOBODY, matches, entries)

    def _entry(self, asked: Asked, total: int, matched: Sequence[int]) -> Entry:
        """What a book takes of them."""
        settled, column = self.settled, asked.column
        ended = settled.ended // MINUTE
        left = [epoch(settled.participants[member].leave_time) for member in matched]
        failed = max([moment // MINUTE for moment in left if moment is not None], default=ended) if matched else None
        texts = [] if column is None else [self.texts[member][column] for member in matched]
        return Entry(ended, settled.known_at // MINUTE, failed, total, len(matched), tuple(filter(None, texts)))

    def _identities(self, members: Iterable[int]) -> frozenset[int]:
        return frozenset([_identity(self.settled.participants[member]) for member in members])


def _identity(participant: Participant) -> int:
    """An opaque number for a person; one without an identity counts alone."""
    return opaque(participant.participant_identity or participant.participant_sid)
