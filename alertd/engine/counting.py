"""In which groups a settled room counts, for each rule, and what it adds there: the windows of all rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from alertd.engine.alerts import fingerprint
from alertd.engine.books import HOUR, Starts
from alertd.engine.conditions import EVERYTHING, Condition, compile_condition
from alertd.engine.fields import Extractor, Show, find_field, labels, shown
from alertd.engine.kinds import Absent, Anomaly, AnyKind, Distinct, Metric, NewValue
from alertd.engine.populations import SLACK, Asked, Count, Group, GroupWindow, Key, Late, Past, Population, to_keep
from alertd.engine.readings import Reading, conditions_of
from alertd.engine.records import SettledRoom
from alertd.engine.revisits import Revisit, Revisits
from alertd.engine.rules import Rule
from alertd.engine.tidying import Tidying
from alertd.engine.windows import EVER, MINUTE, Series, Totals

ACCOUNTS = "(accounts)"
"""Stands for a population's name where the rooms of accounts are counted."""
EVERY_RULE = "(every rule)"
"""Stands for a rule's key where a room could be judged by none."""
_PERSONAL = (find_field("participant_identity"), find_field("room_name"))

Booking = Metric | Distinct | NewValue | Anomaly
"""The kinds that keep a book of each group."""


@dataclass(slots=True)
class _Account:
    """All settled rooms of an account, whoever was in them: by the minute of their end, and by that of their start.

    `starts` are the same starts, for means of many windows.
    """

    starts: Starts
    ended: Totals = field(default_factory=Totals)
    started: Totals = field(default_factory=Totals)


class Counted(NamedTuple):
    """All that windows have counted: by name of the population, and the rooms of accounts.

    `longest` is how far back all is kept, in minutes. `shown` tells how personal values are shown in it.
    """

    populations: dict[str, Past]
    accounts: dict[str, _Account]
    settled_since: int
    longest: int
    shown: list[str]
    tidying: Tidying
    revisits: Revisits


class Windows:
    """The counted past of all rules, as far back as they look; a cache that can be rebuilt from settled rooms.

    A rule about absence has no groups: it looks at the rooms of each account, which are counted anyway. `longest` are
    the minutes of the longest window, with what is kept beyond it, `horizon` those of the oldest room that anything
    looks at, with an hour more for books by the hour. `faults` says, by rule key, what went wrong since `begin`.
    """

    def __init__(self, rules: Sequence[Rule], show: Show) -> None:
        self._show = show
        self._rules = tuple(rules)
        self._extractor = Extractor({f for rule in rules for f in rule.among.fields | rule.match.fields})
        named = {name for rule in rules for name in (*rule.by, *_read_by(rule))}
        self._named = sorted({find_field(name) for name in named}, key=lambda f: f.name)
        self._asked: dict[tuple[Condition, AnyKind | None], Asked] = {}
        self._populations: dict[tuple[Condition, tuple[str, ...], int, int], Population] = {}
        self._homes: dict[str, Population] = {}
        self._asks: dict[str, Asked] = {}
        for rule in rules:
            if not isinstance(rule.kind, Absent):
                self._take(rule)
        self._verdict = conditions_of(self._populations.values())
        self.longest = max(map(to_keep, rules), default=SLACK)
        self.horizon = max([self.longest, *(rule.kind.reach // MINUTE + SLACK + HOUR for rule in rules)])
        self._accounts: dict[str, _Account] = {}
        self._settled_since = 0
        self._tidying = Tidying()
        self._revisits = Revisits()
        self._fresh: list[Group] = []
        self.faults: dict[str, str] = {}

    def _take(self, rule: Rule) -> None:
        """Put the rule among those that share its population and its condition."""
        index, place = self._extractor.index, (rule.among, rule.by, to_keep(rule), rule.max_groups)
        asked = self._asked_by(rule)
        if place not in self._populations:
            by = tuple(find_field(name) for name in rule.by)
            among = None if rule.among == EVERYTHING else compile_condition(rule.among, index)
            columns = tuple([self._named.index(f) for f in by])
            self._populations[place] = Population(repr(place), among, by, columns, to_keep(rule), rule.max_groups)
        self._homes[rule.key] = self._populations[place]
        self._asks[rule.key] = asked
        asked.rules.append(rule.key)
        self._populations[place].take(rule, asked)

    def _asked_by(self, rule: Rule) -> Asked:
        """The rule's condition, shared by all rules that have it and keep nothing, or the same, beside it."""
        kind = rule.kind if isinstance(rule.kind, Booking) else None
        found = self._asked.get((rule.match, kind))
        if found is None:
            columns = [self._named.index(find_field(name)) for name in _read_by(rule)]
            match = compile_condition(rule.match, self._extractor.index)
            found = Asked(
                f"{rule.match!r} {kind or ''}",
                match,
                book=kind.book if kind else None,
                column=columns[0] if columns else None,
            )
            self._asked[rule.match, kind] = found
        return found

    def counted(self) -> Counted:
        """What has been counted so far, to be kept, or to go on from under other rules; shared, not copied."""
        pasts = {one.name: one.past() for one in self._populations.values()}
        tidying, revisits = replace(self._tidying), self._revisits.copy()
        return Counted(pasts, self._accounts, self._settled_since, self.longest, self._mark(), tidying, revisits)

    def lacking(self, counted: Counted) -> list[Rule]:
        """The rules for which not all that they need is in what was counted; those of a population go together."""
        if not self._fits(counted):
            return list(self._rules)
        missing = [one for one in self._populations.values() if not one.fits(counted.populations.get(one.name))]
        return [rule for rule in self._rules if self._homes.get(rule.key) in missing]

    def take_over(self, *sources: Counted) -> None:
        """Go on from what others counted, where one has what each rule needs; nothing may be counted here yet."""
        for population in self._populations.values():
            pasts = [one.populations[population.name] for one in sources if population.name in one.populations]
            population.take_over(next(past for past in pasts if population.fits(past)))
        books = next(one for one in sources if self._fits(one))
        self._accounts, self._settled_since = dict(books.accounts), books.settled_since
        self._tidying, self._revisits = replace(books.tidying), books.revisits.copy()

    def _fits(self, counted: Counted) -> bool:
        """Whether the rooms of accounts were counted as these rules need them, and all is shown as it may be."""
        return counted.shown == self._mark() and self.longest <= counted.longest

    def _mark(self) -> list[str]:
        """What another way to show personal values would make something else of."""
        return [self._show(personal, "somebody") for personal in _PERSONAL]

    def begin_at(self, minute: int, needed: Iterable[int]) -> None:
        """Before anything is counted: leave out minutes to which at `minute` no rule looks back, nor any of `needed`.

        Only books go further back.
        """
        for population in self._populations.values():
            population.kept_since = min([minute - population.keep, *needed])
        self._settled_since = min([minute - self.longest, *needed])

    @property
    def kept_since(self) -> int:
        """The minute after which everything is still counted for every rule."""
        return max((population.kept_since for population in self._populations.values()), default=self._settled_since)

    def begin(self) -> None:
        """Start a tick: nothing is fresh yet, and nothing went wrong."""
        for group in self._fresh:
            group.fresh.clear()
        self._fresh.clear()
        self.faults.clear()

    def groups(self, rule: Rule) -> Iterable[GroupWindow]:
        """The groups that a rule has seen."""
        population = self._homes.get(rule.key)
        return [group.windows[rule.key] for group in population.groups.values()] if population else []

    def matching(self, rule: Rule) -> Iterable[GroupWindow]:
        """Those of them in which its condition matches somebody."""
        population = self._homes.get(rule.key)
        groups = population.matching.get(self._asks[rule.key], {}) if population else {}
        return [group.windows[rule.key] for group in groups.values()]

    def fresh(self) -> dict[str, list[GroupWindow]]:
        """By rule key the groups in which rooms were counted since `begin`."""
        found: dict[str, list[GroupWindow]] = {}
        for group in self._fresh:
            for key, window in group.windows.items():
                found.setdefault(key, []).append(window)
        return found

    def accounts(self, minute: int) -> list[str]:
        """The accounts of which rooms ended lately, as far back as anything looks at `minute`, in order."""
        after = minute - self.longest  # a little more may be counted, depending on when windows last forgot
        return sorted(name for name, account in self._accounts.items() if account.ended.between(after, minute)[0])

    def starts(self, rule: Rule, account: str) -> GroupWindow:
        """The rooms of an account by the minute in which they started, as the group of a rule about absence."""
        own = {"alertname": rule.alert, **rule.labels, "account": account}
        known = self._accounts.get(account)
        series = Series(known.started, known.starts) if known else Series()
        return GroupWindow(own, fingerprint(own), series)

    def refused(self, rule: Rule) -> bool:
        """Whether rooms that still count found no place because the rule has too many groups."""
        population = self._homes.get(rule.key)
        return population is not None and population.refused is not None

    def fold(self, settled: SettledRoom, sign: int = 1) -> None:
        """Count a room that has settled; with `sign` -1 take out one that was replaced.

        What came too late to be judged, since what it would be judged among is forgotten, is not fresh (see `missing`).
        """
        minute = settled.ended // MINUTE
        self._count_settled(settled, sign)
        for population, key, count in self._counts(settled, self._populations.values()):
            group = population.group(key, minute) if sign > 0 else population.groups.get(key)
            if group is None:
                continue
            group.note(minute, count, sign)
            if not population.counts(group, minute):
                continue
            population.fold(key, group, minute, count, sign)
            if sign > 0 and population.can_judge(group, minute):
                if not group.fresh:
                    self._fresh.append(group)
                matched = group.fresh.setdefault(minute, set())
                for asked, _ in count.matches:
                    matched.add(asked.name)

    def missing(self, late: Iterable[tuple[SettledRoom, int]], floors: Mapping[str, int]) -> Revisit:
        """What must be counted again before these rooms, which came very late, are folded, so that they can be judged.

        Each is given with the sign it is to be folded with; `floors` as in `Population.worth_judging`.
        """
        by_group: dict[tuple[str, Key], list[Late]] = {}
        for settled, sign in late:
            for population, key, count in self._counts(settled, self._populations.values()):
                by_group.setdefault((population.name, key), []).append(Late(settled.ended // MINUTE, count, sign))
        needed: dict[str, set[int]] = {}
        lacking: dict[str, set[int]] = {}
        for population in self._populations.values():
            for (name, key), rooms in by_group.items():
                for minute in population.worth_judging(key, rooms, floors) if name == population.name else ():
                    needed.setdefault(name, set()).update(population.among_which(minute))
            if population.name in needed:
                wanted = needed[population.name]
                lacking[population.name] = population.revisits.lacking(wanted, population.kept_since)
        needed[ACCOUNTS] = set().union(*needed.values())
        lacking[ACCOUNTS] = self._revisits.lacking(needed[ACCOUNTS], self._settled_since)
        return Revisit(needed, lacking)

    def recount(self, rooms: Iterable[SettledRoom], revisit: Revisit) -> None:
        """Count again those of the rooms that were forgotten and are to be revisited; `revisited` ends it."""
        for settled in rooms:
            minute = settled.ended // MINUTE
            if revisit.lacks(ACCOUNTS, minute) and minute <= self._settled_since:
                self._account(settled.account).ended.fold(minute, len(settled.participants))
            wanting = [one for one in self._populations.values() if revisit.lacks(one.name, minute)]
            for population, key, count in self._counts(settled, wanting):
                group = population.group(key, minute)
                if group is not None and minute <= group.kept_since:
                    population.fold(key, group, minute, count, 1)

    def revisited(self, revisit: Revisit, minute: int) -> None:
        """All rooms that were lacking have been counted again, and are needed at `minute`."""
        for population in self._populations.values():
            population.revisits.note(revisit.needed.get(population.name, ()), minute)
        self._revisits.note(revisit.needed.get(ACCOUNTS, ()), minute)

    def forget(self, minute: int, firing: Mapping[str, int]) -> None:
        """Drop, from time to time, what no rule looks back to at `minute`; groups that fire keep all since theirs.

        Books are asked for all that they keep, so what that is must not depend on when alertd was started.
        """
        due = self._tidying.books_due(minute)
        if due is not None:
            for population in self._populations.values():
                population.forget_books(due)
        if not self._tidying.are_windows_due(minute):
            return
        self._settled_since = max(self._settled_since, minute - self.longest)
        self._revisits.forget(minute)
        for name, account in list(self._accounts.items()):
            for gap in self._revisits.gaps(self._settled_since):
                account.ended.forget(*gap)
            account.started.forget(EVER, self._settled_since)
            account.starts.forget(minute)
            if not account.ended:
                del self._accounts[name]
        for population in self._populations.values():
            population.forget(minute, firing)

    def settled_rooms(self, account: str | None, after: int, upto: int) -> int:
        """Rooms of an account (None: of all) that settled, in the minutes with `after` < minute ≤ `upto`."""
        books = [book.ended for name, book in self._accounts.items() if account in (None, name)]
        return sum(book.between(after, upto)[0] for book in books)

    def _count_settled(self, settled: SettledRoom, sign: int) -> None:
        """Count the room in the minutes of its end and of its start, each if that is kept."""
        ended, started = settled.ended // MINUTE, settled.started // MINUTE
        if ended <= self._settled_since and ended not in self._revisits:
            return
        account = self._account(settled.account)
        account.ended.fold(ended, len(settled.participants), sign=sign)
        if ended > self._settled_since:
            account.starts.fold(started, sign)
        if started > self._settled_since:
            account.started.fold(started, len(settled.participants), sign=sign)

    def _account(self, name: str) -> _Account:
        if name not in self._accounts:
            self._accounts[name] = _Account(Starts(self.longest))
        return self._accounts[name]

    def _counts(
        self, settled: SettledRoom, populations: Iterable[Population]
    ) -> Iterator[tuple[Population, Key, Count]]:
        """What the room adds to each group of the populations; what cannot be counted is a fault, and passed by."""
        try:
            verdicts = list(map(self._verdict, self._extractor.facts(settled)))
            texts = [shown(self._named, row, self._show) for row in labels(self._named, settled)]
        except Exception as error:  # noqa: BLE001 - one poisoned room must not stop the others
            self._failed([EVERY_RULE], settled, type(error).__name__)
            return
        reading = Reading(settled, verdicts, texts, self._show)
        for population in populations:
            try:
                counts = list(reading.counts(population))
            except Exception as error:  # noqa: BLE001 - nor must one poisoned rule
                self._failed(population.keys, settled, type(error).__name__)
                continue
            for key, count in counts:
                yield population, key, count
        for keys, why in (*reading.failed, *[failure for verdict in verdicts for failure in verdict.failed]):
            self._failed(keys, settled, why)

    def _failed(self, rules: Iterable[str], settled: SettledRoom, why: str) -> None:
        for key in rules:
            self.faults[key] = f"room {settled.room.room_sid} cannot be counted: {why}"


def _read_by(rule: Rule) -> tuple[str, ...]:
    """The field whose values the rule's kind looks at, if it does."""
    kind = rule.kind
    return (kind.field,) if isinstance(kind, Metric | Distinct | NewValue) else ()
