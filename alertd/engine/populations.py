"""Which rules share what is counted: those that look at the same participants, in the same groups, equally far back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from alertd.engine.alerts import fingerprint
from alertd.engine.books import HOUR, Book, Entry
from alertd.engine.conditions import Predicate
from alertd.engine.fields import Field, label_name
from alertd.engine.revisits import Revisits, Span, slots
from alertd.engine.rough import KEPT, NOTHING, SHORTEST, Bounds, Hourly, Rough
from alertd.engine.rules import Rule
from alertd.engine.samples import Kind, can_matter
from alertd.engine.values import Fact
from alertd.engine.windows import EVER, Match, Series, Totals

SLACK = 90
"""Minutes kept beyond a rule's window: half an hour of positions and an hour for rooms later than that."""

Key = tuple[str, ...]
"""The values of `by` that a group shares, as label texts."""
Facts = tuple[Fact, ...]
Failure = tuple[tuple[str, ...], str]
"""The keys of rules that cannot count a room, and what is in their way."""


SHARED = 60
"""Minutes that are kept at least, however short a rule's windows are: what is kept equally long is counted once."""


def to_keep(rule: Rule) -> int:
    """Minutes to keep for a rule at least."""
    return max(rule.kind.minutes, SHARED) + SLACK


@dataclass(slots=True)
class GroupWindow:
    """One group as one rule has it: its labels, its alert's fingerprint, its minutes.

    `fresh` are the minutes in which rooms were counted since `Windows.begin`, what a tick learned anew, each with the
    names of the conditions that matched in these rooms; `asked` is the name of the rule's own. `hopeless_at` remembers
    how many matches had been counted when they were too few for the rule to hold anywhere: as long as none are added
    they stay too few.
    """

    labels: dict[str, str]
    fingerprint: str
    series: Series = field(default_factory=Series)
    fresh: dict[int, set[str]] = field(default_factory=dict)
    asked: str = ""
    hopeless_at: int | None = None

    @property
    def is_hopeless(self) -> bool:
        """Whether it is known that too little matches for the rule to hold."""
        return self.hopeless_at == self.series.matches_counted

    def decisive(self, kind: Kind) -> list[int]:
        """The fresh minutes whose rooms can have made the rule hold, those that are fresh themselves."""
        return [minute for minute, matched in self.fresh.items() if can_matter(kind, self.asked in matched)]


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


class Verdict(NamedTuple):
    """What conditions say of a participant: which populations look at them, by name, and which conditions match.

    `failed` are the rules of which that cannot be told.
    """

    within: frozenset[str]
    matching: tuple[Asked, ...]
    failed: tuple[Failure, ...] = ()


class Kept(NamedTuple):
    """What a group has counted, to be kept or to go on with under other rules; series by the names of what they ask."""

    kept_since: int
    totals: Totals
    series: dict[str, Series]
    hourly: Hourly | None


class Past(NamedTuple):
    """What a population has counted: all its groups; `asked` are the names of what it asked, as in Asked.

    `people` says whether identities of all participants were counted.
    """

    asked: frozenset[str]
    people: bool
    kept_since: int
    refused: int | None
    revisits: Revisits
    groups: dict[Key, Kept]


class Count(NamedTuple):
    """What a room adds to a group: participants, their identities where people are counted, what matches, and entries
    of the books."""

    total: int
    identities: frozenset[int]
    matches: list[tuple[Asked, Match]]
    entries: list[tuple[Asked, Entry]]


class Late(NamedTuple):
    """A room that came very late, as one group has it: the minute of its end, what it adds, and whether (1, -1)."""

    minute: int
    adds: Count
    sign: int


def _more(asked: Asked, late: Iterable[Late]) -> Bounds:
    """By how much rooms that came late move what windows of a condition held, at the most."""
    more = NOTHING
    for one in late:
        matches = dict(one.adds.matches).get(asked)
        if one.sign < 0:
            more = more.plus(Bounds(-1, -one.adds.total, 0, 0))
        elif matches is not None:
            more = more.plus(Bounds(0, 0, 1, matches.matched))
    return more


@dataclass(slots=True)
class Group:
    """One group of a population: its rules, whose windows are found by their keys, share the rooms and the minutes.

    Rules with the same condition share what matches, too. Minutes up to `kept_since` are forgotten; of those `hourly`
    tells roughly, if windows are long enough for that to tell anything.
    """

    kept_since: int
    totals: Totals
    series: dict[Asked, Series]
    books: dict[Asked, Book] = field(default_factory=dict)
    hourly: Hourly | None = None
    windows: dict[str, GroupWindow] = field(default_factory=dict)
    fresh: dict[int, set[str]] = field(default_factory=dict)

    def fold(self, minute: int, count: Count, sign: int) -> None:
        """Count a room; with `sign` -1 take it out again."""
        self.totals.fold(minute, count.total, count.identities, sign)
        for asked, match in count.matches:
            self.series[asked].match(minute, match, sign)

    def note(self, minute: int, count: Count, sign: int) -> None:
        """Take a room into the books, however long ago it ended; with `sign` -1 take it out again."""
        if self.hourly is not None:
            self.hourly.note(minute, count.total, sign)
            for asked, match in count.matches:
                self.hourly.match(asked.name, minute, match.matched, sign)
        for asked, entry in count.entries:
            book = self.books.get(asked)
            if book is not None:
                book.fold(entry, sign)

    def forget(self, upto: int, gaps: Iterable[Span]) -> None:
        """Drop the minutes in the gaps: all ≤ `upto` but those that were counted again."""
        self.kept_since = max(self.kept_since, upto)
        for gap in gaps:
            self.totals.forget(*gap)
            for series in self.series.values():
                series.forget(*gap)


@dataclass(slots=True)
class Population:
    """The rules that look at the same participants, split in the same way, equally far back; and the groups they saw.

    `among` tells whom they look at (None: everybody), `columns` which of a participant's label texts make the group's
    key, `name` is all that in writing, `keep` how many minutes are kept at least, `minutes` how many back the rules
    look; `people` says whether any rule counts identities; `refused` is the latest minute of a room that found no place
    among the groups. Minutes up to `kept_since` are forgotten but those that were counted again (`revisits`).
    `matching` are the groups in which a condition matches: most have none, and need not be looked at to know that.
    """

    name: str
    among: Predicate | None
    by: tuple[Field, ...]
    columns: tuple[int, ...]
    keep: int
    max_groups: int
    rules: list[tuple[Rule, Asked]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    minutes: int = 0
    people: bool = False
    groups: dict[Key, Group] = field(default_factory=dict)
    matching: dict[Asked, dict[Key, Group]] = field(default_factory=dict)
    kept_since: int = 0
    refused: int | None = None
    revisits: Revisits = field(default_factory=Revisits)

    def take(self, rule: Rule, asked: Asked) -> None:
        """Take in one more rule, before anything is counted."""
        self.rules.append((rule, asked))
        self.minutes = max(self.minutes, rule.kind.minutes)
        self.asked = list(dict.fromkeys([*self.asked, asked]))
        self.people = self.people or rule.kind.of == "identities"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its rules."""
        return tuple([rule.key for rule, _ in self.rules])

    def past(self) -> Past:
        """What has been counted so far; shared, not copied."""
        asked = frozenset(one.name for one in self.asked)
        groups = {key: _kept(group) for key, group in self.groups.items()}
        return Past(asked, self.people, self.kept_since, self.refused, self.revisits.copy(), groups)

    def fits(self, past: Past | None) -> bool:
        """Whether what a population of this name had counted holds all that this one needs; it may hold more."""
        return past is not None and past.people >= self.people and past.asked >= {one.name for one in self.asked}

    def take_over(self, past: Past) -> None:
        """Go on from what a population of this name had counted, if it fits."""
        self.kept_since, self.refused = past.kept_since, past.refused
        self.revisits = past.revisits.copy()
        for key, kept in past.groups.items():
            series = {asked: kept.series[asked.name] for asked in self.asked}
            group = self.groups[key] = self._made(key, kept.kept_since, kept.totals, series, kept.hourly)
            for asked in [asked for asked, one in series.items() if one.has_matches]:
                self.matching.setdefault(asked, {})[key] = group

    def split(self, verdicts: Iterable[Verdict], texts: Iterable[Key]) -> dict[Key, list[int]]:
        """The participants of a room, as places in it, by group key."""
        everybody, columns = self.among is None, self.columns
        found: dict[Key, list[int]] = {}
        for place, (verdict, text) in enumerate(zip(verdicts, texts, strict=True)):
            if everybody or self.name in verdict.within:
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
        hourly = Hourly(self.kept_since) if self.minutes >= SHORTEST else None
        return self._made(key, kept_since, totals, series, hourly)

    def _made(
        self, key: Key, kept_since: int, totals: Totals, series: dict[Asked, Series], hourly: Hourly | None
    ) -> Group:
        books = {asked: cast("Book", one.book) for asked, one in series.items() if one.book is not None}
        made = Group(kept_since, totals, series, books, hourly)
        named = {label_name(f): value for f, value in zip(self.by, key, strict=True) if value}
        for rule, asked in self.rules:
            own = {"alertname": rule.alert, **rule.labels, **named}
            made.windows[rule.key] = GroupWindow(own, fingerprint(own), made.series[asked], made.fresh, asked.name)
        return made

    def among_which(self, minute: int) -> range:
        """The slots whose rooms are looked at to judge a room that ended in `minute` after the late half hour."""
        ahead = max((rule.kind.hindsight for rule, _ in self.rules), default=0)
        return slots(minute - self.minutes, minute + ahead - 1) if ahead else range(0)

    def worth_judging(self, key: Key, late: Sequence[Late], floors: Mapping[str, int]) -> Iterable[int]:
        """The minutes of those rooms of a group, which came very late, that can have made any rule hold.

        `floors` are the minutes before which no window of a group reaches, by fingerprint, as in Scene.
        """
        group = self.groups.get(key)
        for one in late:
            if one.sign > 0 and any(
                self._may_matter(group, rule, asked, one, late, floors) for rule, asked in self.rules
            ):
                yield one.minute

    def _may_matter(
        self,
        group: Group | None,
        rule: Rule,
        asked: Asked,
        one: Late,
        late: Sequence[Late],
        floors: Mapping[str, int],
    ) -> bool:
        """Whether a room can have made a rule hold in its group, together with all others that came late."""
        if not rule.kind.hindsight or not can_matter(rule.kind, asked in dict(one.adds.matches)):
            return False
        known = group
        if group is not None and floors.get(group.windows[rule.key].fingerprint, EVER) > one.minute - self.minutes:
            known = None  # windows that end early hold less than whole ones do at least
        rough = Rough(
            None if known is None else known.hourly,
            asked.name,
            hour=0,
            ended=one.minute // HOUR,
            more=_more(asked, late),
            book=None if group is None else group.books.get(asked),
            values=dict(one.adds.entries)[asked].values if asked.book else (),
        )
        endings = range(one.minute // HOUR, (one.minute + rule.kind.hindsight - 1) // HOUR + 1)
        return any(rule.kind.may_have_held(rough._replace(hour=hour)) for hour in endings)

    def counts(self, group: Group, minute: int) -> bool:
        """Whether all rooms of a group that ended in `minute` are counted."""
        return minute > group.kept_since or minute in self.revisits

    def can_judge(self, group: Group, minute: int) -> bool:
        """Whether all is counted among which a room is judged that ended in `minute`."""
        if minute - self.minutes > self.kept_since:
            return True
        return group.kept_since <= self.kept_since and not self.revisits.lacking(
            self.among_which(minute), self.kept_since
        )

    def forget(self, minute: int, firing: Mapping[str, int]) -> None:
        """Drop what no rule looks back to at `minute` but what was counted again and may be needed soon; a group keeps
        all since the minute that a firing alert needs."""
        self.kept_since = max(self.kept_since, minute - self.keep)
        if self.refused is not None:
            self.revisits.needed.clear()  # a group to come would lack in them what found no place
        self.revisits.forget(minute)
        if self.refused is not None and self.refused <= self.kept_since:
            self.refused = None
        gaps = self.revisits.gaps(self.kept_since)
        for key, group in list(self.groups.items()):
            marks = [window.fingerprint for window in group.windows.values()]
            needed = [firing[mark] for mark in marks if mark in firing]
            upto = min([self.kept_since, *needed])
            group.forget(upto, self.revisits.gaps(upto) if needed else gaps)
            if not group.totals and not needed and not any(group.books.values()):
                del self.groups[key]
        for asked, groups in self.matching.items():
            self.matching[asked] = {key: group for key, group in groups.items() if group.series[asked].has_matches}

    def fold(self, key: Key, group: Group, minute: int, count: Count, sign: int) -> None:
        """Count a room in its group; with `sign` -1 take it out again."""
        group.fold(minute, count, sign)
        for asked, _ in count.matches:
            self.matching.setdefault(asked, {})[key] = group

    def forget_books(self, minute: int) -> None:
        """Drop from the books what nothing at `minute` or later looks back to."""
        for group in self.groups.values():
            for book in group.books.values():
                book.forget(minute)
            if group.hourly is not None:
                group.hourly.forget(minute - self.minutes - KEPT)


def _kept(group: Group) -> Kept:
    series = {asked.name: series for asked, series in group.series.items()}
    return Kept(group.kept_since, group.totals, series, group.hourly)
