"""A settled room as all rules see it: read once, split into groups, and counted in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from alertd.engine.books import Entry, opaque
from alertd.engine.errortable import error_url
from alertd.engine.fields import LABEL_LIMIT, Field, Show, find_field, label_value
from alertd.engine.populations import Asked, Count, Facts, Failure, Key, Population, Verdict
from alertd.engine.records import Participant, SettledRoom, epoch
from alertd.engine.windows import MINUTE, NOBODY, Evidence, Match

SHOWN = 5
"""Participants of one room that one group keeps as evidence."""
REMEMBERED = 2048
"""Facts of participants, for which it is remembered what conditions say of them: those of most are the same."""
_SDK, _IDENTITY, _ROOM_NAME = find_field("sdk"), find_field("participant_identity"), find_field("room_name")


def conditions_of(populations: Iterable[Population]) -> Callable[[Facts], Verdict]:
    """What all conditions of these populations say of a participant, by the facts; of those that are alike once."""
    several = tuple(populations)
    asked = tuple(dict.fromkeys(one for population in several for one in population.asked))

    @lru_cache(REMEMBERED)
    def verdict(facts: Facts) -> Verdict:
        within: set[str] = set()
        matching: list[Asked] = []
        failed: list[Failure] = []
        for population in several:
            try:
                if population.among is None or population.among(facts):
                    within.add(population.name)
            except Exception as error:  # noqa: BLE001 - one poisoned rule must not stop the others
                failed.append((population.keys, type(error).__name__))
        for one in asked:
            try:
                if one.match(facts):
                    matching.append(one)
            except Exception as error:  # noqa: BLE001 - as above
                failed.append((tuple(one.rules), type(error).__name__))
        return Verdict(frozenset(within), tuple(matching), tuple(failed))

    return verdict


@dataclass
class Reading:
    """A settled room as all rules see it: what conditions say of each participant, their label texts, in its order.

    `show` is how personal values are shown as evidence; `failed` are rules that could not count it, and why.
    """

    settled: SettledRoom
    verdicts: Sequence[Verdict]
    texts: Sequence[Key]
    show: Show
    failed: list[Failure] = field(default_factory=list)
    _parts: dict[tuple[int, ...], dict[Key, list[int]]] = field(default_factory=dict)
    _shown: dict[int, Evidence] = field(default_factory=dict)

    def counts(self, population: Population) -> Iterator[tuple[Key, Count]]:
        """What the room adds to each group of a population."""
        parts = self._split(population)
        if parts:  # conditions of which nothing is to be noted are left out
            asked = [one for one in population.asked if one.book is not None or one in self._matched]
        for key, members in parts.items():
            yield key, self._count(members, asked, people=population.people)

    def _split(self, population: Population) -> dict[Key, list[int]]:
        """The participants whom the population looks at, by group; all that look at everybody split them alike."""
        if population.among is not None:
            return population.split(self.verdicts, self.texts)
        if population.columns not in self._parts:
            self._parts[population.columns] = population.split(self.verdicts, self.texts)
        return self._parts[population.columns]

    def _count(self, members: Sequence[int], asked: Iterable[Asked], *, people: bool) -> Count:
        """What these participants add to their group."""
        matches, entries = [], []
        for one in asked:
            found = self._matched.get(one)
            matched = [member for member in members if member in found] if found else []
            if matched:
                match = self._match(one, matched, len(members))
                matches += [] if match is None else [(one, match)]
            if one.book is not None:
                entries.append((one, self._entry(one, len(members), matched)))
        return Count(len(members), self._identities(members) if people else NOBODY, matches, entries)

    def _match(self, asked: Asked, matched: Sequence[int], total: int) -> Match | None:
        """What matches of a group; None where it cannot be shown."""
        try:
            shown = tuple([self._evidence(member) for member in matched[:SHOWN]])
            return Match(len(matched), total, self._identities(matched), shown)
        except Exception as error:  # noqa: BLE001 - one poisoned condition must not stop the others
            self.failed.append((tuple(asked.rules), type(error).__name__))
            return None

    def _entry(self, asked: Asked, total: int, matched: Sequence[int]) -> Entry:
        """What a book takes of them."""
        settled, column = self.settled, asked.column
        ended = settled.ended // MINUTE
        left = [epoch(settled.participants[member].leave_time) for member in matched]
        failed = max([moment // MINUTE for moment in left if moment is not None], default=ended) if matched else None
        texts = [] if column is None else [self.texts[member][column] for member in matched]
        return Entry(ended, settled.known_at // MINUTE, failed, total, len(matched), tuple(filter(None, texts)))

    @cached_property
    def _matched(self) -> dict[Asked, set[int]]:
        """Whom the conditions match that match anybody, as places in the room."""
        found: dict[Asked, set[int]] = {}
        for place, verdict in enumerate(self.verdicts):
            for one in verdict.matching:
                found.setdefault(one, set()).add(place)
        return found

    def _identities(self, members: Iterable[int]) -> frozenset[int]:
        return frozenset([self._people[member] for member in members])

    @cached_property
    def _people(self) -> list[int]:
        """An opaque number for each person; one without an identity counts alone."""
        return [opaque(one.participant_identity or one.participant_sid) for one in self.settled.participants]

    def _evidence(self, member: int) -> Evidence:
        """A participant as shown to people."""
        if member not in self._shown:
            self._shown[member] = self._as_evidence(self.settled.participants[member])
        return self._shown[member]

    def _as_evidence(self, participant: Participant) -> Evidence:
        settled, room, code = self.settled, self.settled.room, participant.error_code or None
        return Evidence(
            ended=settled.ended,
            participant_sid=participant.participant_sid,
            room_sid=room.room_sid,
            account=settled.account,
            room_name=self._room_name,
            identity=self._personal(_IDENTITY, participant.participant_identity),
            end_reason=participant.end_reason,
            error_code=code,
            error_url=error_url(code) if code else None,
            sdk=label_value(_SDK, settled, participant) or None,
            media_region=participant.media_region or room.media_region,
            edge_location=participant.edge_location or room.edge_location,
        )

    @cached_property
    def _room_name(self) -> str | None:
        return self._personal(_ROOM_NAME, self.settled.room.room_name)

    def _personal(self, personal: Field, value: str | None) -> str | None:
        return self.show(personal, value)[:LABEL_LIMIT] if value else None
