"""Which rules share what is counted: those that look at the same participants, in the same groups, equally far back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from alertd.engine.alerts import fingerprint
from alertd.engine.books import Book, Entry
from alertd.engine.conditions import Predicate
from alertd.engine.fields import Field, label_name
from alertd.engine.rules import Rule
from alertd.engine.values import Fact
from alertd.engine.windows import Match, Series, Totals

SLACK = 90
"""Minutes kept beyond a rule's window: half an hour of positions and an hour for rooms later than that."""

Key = tuple[str, ...]
"""The values of `by` that a group shares, as label texts."""
Facts = tuple[Fact, ...]


def to_keep(rule: Rule) -> int:
    """Minutes to keep for a rule at least."""
    return rule.kind.minutes + SLACK


@dataclass(slots=True)
class GroupWindow:
    """One group as one rule has it: its labels, its alert's fingerprint, its minutes.

    `fresh` are the minutes in which rooms were counted since `Windows.begin`: what a tick learned anew. `hopeless_at`
    remembers how many matches had been counted when they were too few for the rule to hold anywhere: as long as none
    are added they stay too few.
    """

    labels: dict[str, str]
    fingerprint: str
    series: Series = field(default_factory=Series)
    fresh: set[int] = field(default_factory=set)
    hopeless_at: int | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether it is known that too little matches for the rule to hold."""
        return self.hopeless_at == self.series.matches_counted


@dataclass(slots=True, eq=False)
class Asked:
    """A condition ready for use, and the keys of the rules that match by it: what it says is the same for all.

    `name` is that condition and, where it keeps a book, the kind, in writing. `book` makes what the rules' kind keeps
    beside the sums of a group, and `column` is where in a participant's label texts the value stands that goes into it;
    None for most.
    """

    name: str
    match: Predicate
    rules: list[str] = field(default_factory=list)
    book: Callable[[], Book] | None = None
    column: int | None = None


class Kept(NamedTuple):
    """What a group has counted, to be kept or to go on with under other rules; series by the names of what they ask."""

    kept_since: int
    totals: Totals
    series: dict[str, Series]


class Past(NamedTuple):
    """What a population has counted: all its groups; `asked` are the names of what it asked, as in Asked.

    `people` says whether identities of all participants were counted.
    """

    asked: frozenset[str]
    people: bool
    kept_since: int
    refused: int | None
    groups: dict[Key, Kept]


class Count(NamedTuple):
    """What a room adds to a group: participants, their identities where people are counted, what matches, and entries
    of the books."""

    total: int
    identities: frozenset[int]
    matches: list[tuple[Asked, Match]]
    entries: list[tuple[Asked, Entry]]


@dataclass(slots=True)
class Group:
    """One group of a population: its rules, whose windows are found by their keys, share the rooms and the minutes.

    Rules with the same condition share what matches, too. Minutes up to `kept_since` are forgotten.
    """

    kept_since: int
    totals: Totals
    series: dict[Asked, Series]
    books: dict[Asked, Book] = field(default_factory=dict)
    windows: dict[str, GroupWindow] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)

    def fold(self, minute: int, count: Count, sign: int) -> None:
        """Count a room; with `sign` -1 take it out again."""
        self.totals.fold(minute, count.total, count.identities, sign)
        for asked, match in count.matches:
            self.series[asked].match(minute, match, sign)

    def note(self, count: Count, sign: int) -> None:
        """Take a room into the books, however long ago it ended; with `sign` -1 take it out again."""
        for asked, entry in count.entries:
            book = self.books.get(asked)
            if book is not None:
                book.fold(entry, sign)

    def forget(self, upto: int) -> None:
        """Drop all minutes ≤ `upto`."""
        self.kept_since = max(self.kept_since, upto)
        self.totals.forget(self.kept_since)
        for series in self.series.values():
            series.forget(self.kept_since)


@dataclass(slots=True)
class Population:
    """The rules that look at the same participants, split in the same way, equally far back; and the groups they saw.

    `among` tells whom they look at (None: everybody), `columns` which of a participant's label texts make the group's
    key, `name` is all that in writing, `keep` how many minutes are kept at least; `people` says whether any rule counts
    identities; `refused` is the latest minute of a room that found no place among the groups.
    """

    name: str
    among: Predicate | None
    by: tuple[Field, ...]
    columns: tuple[int, ...]
    keep: int
    max_groups: int
    rules: list[tuple[Rule, Asked]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    people: bool = False
    groups: dict[Key, Group] = field(default_factory=dict)
    kept_since: int = 0
    refused: int | None = None

    def take(self, rule: Rule, asked: Asked) -> None:
        """Take in one more rule, before anything is counted."""
        self.rules.append((rule, asked))
        self.asked = list(dict.fromkeys([*self.asked, asked]))
        self.people = self.people or rule.kind.of == "identities"

    def past(self) -> Past:
        """What has been counted so far; shared, not copied."""
        asked = frozenset(one.name for one in self.asked)
        groups = {key: _kept(group) for key, group in self.groups.items()}
        return Past(asked, self.people, self.kept_since, self.refused, groups)

    def fits(self, past: Past | None) -> bool:
        """Whether what a population of this name had counted holds all that this one needs; it may hold more."""
        return past is not None and past.people >= self.people and past.asked >= {one.name for one in self.asked}

    def take_over(self, past: Past) -> None:
        """Go on from what a population of this name had counted, if it fits."""
        self.kept_since, self.refused = past.kept_since, past.refused
        for key, kept in past.groups.items():
            series = {asked: kept.series[asked.name] for asked in self.asked}
            self.groups[key] = self._made(key, kept.kept_since, kept.totals, series)

    def split(self, facts: Iterable[Facts], texts: Iterable[Key]) -> dict[Key, list[int]]:
        """The participants of a room, as places in it, by group key."""
        among, columns = self.among, self.columns
        found: dict[Key, list[int]] = {}
        for place, (fact, text) in enumerate(zip(facts, texts, strict=True)):
            if among is None or among(fact):
                found.setdefault(tuple([text[column] for column in columns]), []).append(place)
        return found

    def group(self, key: Key, minute: int) -> Group | None:
        """The group with this key, made for a room of `minute` if there is still place for one."""
        found = self.groups.get(key)
        if found is None and len(self.groups) >= self.max_groups:
            self.refused = minute if self.refused is None else max(self.refused, minute)
        elif found is None:
            found = self.groups[key] = self._new(key)
        return found

    def _new(self, key: Key) -> Group:
        """A new group; it leaves out the minutes in which rooms were refused: they might have been its own."""
        kept_since = self.kept_since if self.refused is None else max(self.kept_since, self.refused)
        totals = Totals()
        series = {asked: Series(totals, asked.book() if asked.book else None) for asked in self.asked}
        return self._made(key, kept_since, totals, series)

    def _made(self, key: Key, kept_since: int, totals: Totals, series: dict[Asked, Series]) -> Group:
        books = {asked: cast("Book", one.book) for asked, one in series.items() if one.book is not None}
        made = Group(kept_since, totals, series, books)
        named = {label_name(f): value for f, value in zip(self.by, key, strict=True) if value}
        for rule, asked in self.rules:
            own = {"alertname": rule.alert, **rule.labels, **named}
            made.windows[rule.key] = GroupWindow(own, fingerprint(own), made.series[asked], made.fresh)
        return made

    def forget(self, minute: int, firing: Mapping[str, int], back: int = 0) -> None:
        """Drop what no rule looks back to at `minute`, but keep `back` minutes at least; a group keeps all since the
        minute that a firing alert needs."""
        self.kept_since = max(self.kept_since, minute - max(self.keep, back))
        if self.refused is not None and self.refused <= self.kept_since:
            self.refused = None
        for key, group in list(self.groups.items()):
            marks = [window.fingerprint for window in group.windows.values()]
            needed = [firing[mark] for mark in marks if mark in firing]
            group.forget(min([self.kept_since, *needed]))
            if not group.totals and not needed and not any(group.books.values()):
                del self.groups[key]

    def forget_books(self, minute: int) -> None:
        """Drop from the books what nothing at `minute` or later looks back to."""
        for group in self.groups.values():
            for book in group.books.values():
                book.forget(minute)

    def reach(self, down_to: int) -> None:
        """All rooms that ended after minute `down_to` have been counted (again)."""
        self.kept_since = min(self.kept_since, down_to)
        for group in self.groups.values():
            group.kept_since = min(group.kept_since, down_to)


def _kept(group: Group) -> Kept:
    return Kept(group.kept_since, group.totals, {asked.name: series for asked, series in group.series.items()})
