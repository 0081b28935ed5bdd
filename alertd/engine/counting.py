"""In which groups a settled room counts, for each rule, and what it adds there: the windows of all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from alertd.engine.alerts import fingerprint
from alertd.engine.conditions import EVERYTHING, Condition, Predicate, compile_condition
from alertd.engine.errortable import error_url
from alertd.engine.fields import Extractor, Field, find_field, label_name, label_value, labels
from alertd.engine.records import Participant, SettledRoom
from alertd.engine.rules import Absent, Rule
from alertd.engine.values import Fact
from alertd.engine.windows import MINUTE, Evidence, RoomCount, Series

SLACK = 90
"""Minutes kept beyond a rule's window: half an hour of positions and an hour for rooms later than that."""
TIDY_EVERY = 10
"""Minutes between forgettings: rooms that come very late come in numbers, and what was counted again serves all."""
SHOWN = 5
"""Participants of one room that one group keeps as evidence."""
LABEL_LIMIT = 256
EVERY_RULE = "(every rule)"
"""Stands for a rule's key where a room could be judged by none."""
_SDK, _IDENTITY, _ROOM_NAME = find_field("sdk"), find_field("participant_identity"), find_field("room_name")

Show = Callable[[Field, str], str]
"""How a personal value (an identity, a room name) may be shown: as it is, or as a pseudonym."""
Key = tuple[str, ...]
"""The values of a rule's `by` that a group shares, as label texts."""


@dataclass(slots=True)
class GroupWindow:
    """One group of a rule: its labels, its alert's fingerprint, its minutes; those up to `kept_since` are forgotten.

    `fresh` are the minutes in which rooms were counted since `Windows.begin`: what a tick learned anew.
    """

    labels: dict[str, str]
    fingerprint: str
    kept_since: int
    series: Series = field(default_factory=Series)
    fresh: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Watch:
    """A rule with its groups; `refused` is the latest minute of a room that found no place among them."""

    rule: Rule
    match: Predicate
    by: tuple[Field, ...]
    kept_since: int
    groups: dict[Key, GroupWindow] = field(default_factory=dict)
    refused: int | None = None

    @property
    def keep(self) -> int:
        """Minutes to keep at least."""
        return self.rule.kind.over // MINUTE + SLACK

    def group(self, key: Key, minute: int) -> GroupWindow | None:
        """The group with this key, made for a room of `minute` if there is still place for one.

        A new group leaves out the minutes in which rooms were refused: they might have been its own.
        """
        found = self.groups.get(key)
        if found is None and len(self.groups) >= self.rule.max_groups:
            self.refused = minute if self.refused is None else max(self.refused, minute)
        elif found is None:
            named = {label_name(f): value for f, value in zip(self.by, key, strict=True) if value}
            own = {"alertname": self.rule.alert, **self.rule.labels, **named}
            kept_since = self.kept_since if self.refused is None else max(self.kept_since, self.refused)
            found = self.groups[key] = GroupWindow(own, fingerprint(own), kept_since)
        return found


@dataclass(slots=True)
class _Account:
    """All settled rooms of an account, whoever was in them: by the minute of their end, and by that of their start."""

    ended: Series = field(default_factory=Series)
    started: Series = field(default_factory=Series)


@dataclass(slots=True)
class _Population:
    """The rules that look at the same participants, split in the same way: it is done once for all of them."""

    among: Predicate | None
    columns: tuple[int, ...]
    watches: list[_Watch] = field(default_factory=list)

    def split(self, facts: Sequence[tuple[Fact, ...]], texts: Sequence[Key]) -> dict[Key, list[int]]:
        """The participants, as places in the room, by group key."""
        among, columns = self.among, self.columns
        found: dict[Key, list[int]] = {}
        for place, (fact, text) in enumerate(zip(facts, texts, strict=True)):
            if among is None or among(fact):
                found.setdefault(tuple([text[column] for column in columns]), []).append(place)
        return found


class Windows:
    """The counted past of all rules, as far back as they look; a cache that can be rebuilt from settled rooms.

    `faults` says, by rule key, what went wrong with counting since `begin`.
    """

    def __init__(self, rules: Sequence[Rule], show: Show) -> None:
        self._show = show
        self._extractor = Extractor({f for rule in rules for f in rule.among.fields | rule.match.fields})
        self._by = sorted({find_field(name) for rule in rules for name in rule.by}, key=lambda f: f.name)
        self._watches: dict[str, _Watch] = {}
        self._populations: dict[tuple[Condition, tuple[int, ...]], _Population] = {}
        for rule in rules:
            self._watch(rule)
        self._accounts: dict[str, _Account] = {}
        self._settled_since = 0
        self._tidied: int | None = None
        self._fresh: list[GroupWindow] = []
        self.faults: dict[str, str] = {}

    def _watch(self, rule: Rule) -> None:
        index, by = self._extractor.index, tuple(find_field(name) for name in rule.by)
        watch = self._watches[rule.key] = _Watch(rule, compile_condition(rule.match, index), by, 0)
        if isinstance(rule.kind, Absent):
            return  # it looks at rooms that started, which are counted for every account anyway
        columns = tuple(self._by.index(f) for f in by)
        population = self._populations.get((rule.among, columns))
        if population is None:
            among = None if rule.among == EVERYTHING else compile_condition(rule.among, index)
            population = self._populations[rule.among, columns] = _Population(among, columns)
        population.watches.append(watch)

    @property
    def longest(self) -> int:
        """Minutes of the longest window, with what is kept beyond it."""
        return max((watch.keep for watch in self._watches.values()), default=SLACK)

    @property
    def kept_since(self) -> int:
        """The minute after which everything is still counted for every rule."""
        return max((watch.kept_since for watch in self._watches.values()), default=self._settled_since)

    def begin(self) -> None:
        """Start a tick: nothing is fresh yet, and nothing went wrong."""
        for group in self._fresh:
            group.fresh.clear()
        self._fresh.clear()
        self.faults.clear()

    def groups(self, rule: Rule) -> Iterable[GroupWindow]:
        """The groups that a rule has seen."""
        return self._watches[rule.key].groups.values()

    def accounts(self) -> list[str]:
        """The accounts of which rooms are counted, in order."""
        return sorted(self._accounts)

    def starts(self, rule: Rule, account: str) -> GroupWindow:
        """The rooms of an account by the minute in which they started, as the group of a rule about absence."""
        own = {"alertname": rule.alert, **rule.labels, "account": account}
        series = self._accounts[account].started if account in self._accounts else Series()
        return GroupWindow(own, fingerprint(own), self._settled_since, series)

    def refused(self, rule: Rule) -> bool:
        """Whether rooms that still count found no place because the rule has too many groups."""
        return self._watches[rule.key].refused is not None

    def fold(self, settled: SettledRoom, sign: int = 1) -> None:
        """Count a room that has settled; with `sign` -1 take out one that was replaced."""
        minute = settled.ended // MINUTE
        self._count_settled(settled, self._settled_since, sign)
        for watch, key, count in self._counts(settled):
            group = watch.group(key, minute) if sign > 0 else watch.groups.get(key)
            if group is None or minute <= group.kept_since:
                continue
            group.series.fold(minute, count, sign)
            if sign > 0:
                if not group.fresh:
                    self._fresh.append(group)
                group.fresh.add(minute)

    def recount(self, rooms: Iterable[SettledRoom], down_to: int) -> None:
        """Count again what was forgotten of rooms that ended after minute `down_to`; `reach` ends it."""
        for settled in rooms:
            minute = settled.ended // MINUTE
            self._count_settled(settled, down_to, upto=self._settled_since)
            for watch, key, count in self._counts(settled):
                group = watch.group(key, minute)
                if group is not None and down_to < minute <= group.kept_since:
                    group.series.fold(minute, count)

    def reach(self, down_to: int) -> None:
        """All rooms that ended after minute `down_to` have been counted (again): late ones can be judged among them."""
        self._settled_since = min(self._settled_since, down_to)
        for watch in self._watches.values():
            watch.kept_since = min(watch.kept_since, down_to)
            for group in watch.groups.values():
                group.kept_since = min(group.kept_since, down_to)

    def forget(self, minute: int, firing: Mapping[str, int]) -> None:
        """Drop, from time to time, what no rule looks back to at `minute`; groups that fire keep all since theirs."""
        if self._tidied is not None and minute < self._tidied + TIDY_EVERY:
            return
        self._tidied = minute
        self._settled_since = max(self._settled_since, minute - self.longest)
        for name, account in list(self._accounts.items()):
            account.ended.forget(self._settled_since)
            account.started.forget(self._settled_since)
            if not account.ended:
                del self._accounts[name]
        for watch in self._watches.values():
            _forget(watch, minute, firing)

    def settled_rooms(self, account: str | None, after: int, upto: int) -> int:
        """Rooms of an account (None: of all) that settled, in the minutes with `after` < minute ≤ `upto`."""
        books = [book.ended for name, book in self._accounts.items() if account in (None, name)]
        return sum(book.between(after, upto).rooms for book in books)

    def _count_settled(self, settled: SettledRoom, after: int, sign: int = 1, upto: int | None = None) -> None:
        """Count the room in the minutes of its end and of its start, each if `after` < minute ≤ `upto` (None: ever)."""
        ended, started = settled.ended // MINUTE, settled.started // MINUTE
        if ended <= after:
            return
        account, count = self._accounts.setdefault(settled.account, _Account()), RoomCount(0, len(settled.participants))
        for series, minute in ((account.ended, ended), (account.started, started)):
            if after < minute and (upto is None or minute <= upto):
                series.fold(minute, count, sign)

    def _counts(self, settled: SettledRoom) -> Iterator[tuple[_Watch, Key, RoomCount]]:
        """What the room adds to each group of each rule; whatever cannot be counted is a fault, and passed by."""
        try:
            facts = self._extractor.facts(settled)
            texts = [self._shown(row) for row in labels(self._by, settled)]
        except Exception as error:  # noqa: BLE001 - one poisoned room must not stop the others
            self.faults[EVERY_RULE] = f"room {settled.room.room_sid} cannot be counted: {type(error).__name__}"
            return
        shown: dict[int, Evidence] = {}
        for population in self._populations.values():
            try:
                parts = population.split(facts, texts)
            except Exception as error:  # noqa: BLE001 - nor must one poisoned rule
                self._failed(population.watches, settled, error)
                continue
            for watch in population.watches:
                try:
                    counted = [(key, self._count(watch, settled, facts, part, shown)) for key, part in parts.items()]
                except Exception as error:  # noqa: BLE001 - as above
                    self._failed([watch], settled, error)
                    continue
                for key, count in counted:
                    yield watch, key, count

    def _failed(self, watches: Iterable[_Watch], settled: SettledRoom, error: Exception) -> None:
        for watch in watches:
            self.faults[watch.rule.key] = f"room {settled.room.room_sid} cannot be counted: {type(error).__name__}"

    def _shown(self, row: Key) -> Key:
        """Label texts as they may be shown: personal ones through `show`, none of them long."""
        pairs = zip(self._by, row, strict=True)
        return tuple([(self._show(f, text) if f.personal and text else text)[:LABEL_LIMIT] for f, text in pairs])

    def _count(
        self,
        watch: _Watch,
        settled: SettledRoom,
        facts: Sequence[tuple[Fact, ...]],
        members: list[int],
        shown: dict[int, Evidence],
    ) -> RoomCount:
        """What these participants add to a group; `shown` keeps each one's evidence for the rules that follow."""
        match, people = watch.match, settled.participants
        matched = [place for place in members if match(facts[place])]
        everyone = frozenset(_identity(people[i]) for i in members) if watch.rule.kind.of == "identities" else _NOBODY
        if not matched:
            return RoomCount(0, len(members), _NOBODY, everyone)
        for place in matched[:SHOWN]:
            if place not in shown:
                shown[place] = self._evidence(settled, people[place])
        return RoomCount(
            len(matched),
            len(members),
            frozenset(_identity(people[place]) for place in matched),
            everyone,
            tuple([shown[place] for place in matched[:SHOWN]]),
        )

    def _evidence(self, settled: SettledRoom, participant: Participant) -> Evidence:
        room, code = settled.room, participant.error_code or None
        return Evidence(
            ended=settled.ended,
            participant_sid=participant.participant_sid,
            room_sid=room.room_sid,
            account=settled.account,
            room_name=self._personal(_ROOM_NAME, room.room_name),
            identity=self._personal(_IDENTITY, participant.participant_identity),
            end_reason=participant.end_reason,
            error_code=code,
            error_url=error_url(code) if code else None,
            sdk=label_value(_SDK, settled, participant) or None,
            media_region=participant.media_region or room.media_region,
            edge_location=participant.edge_location or room.edge_location,
        )

    def _personal(self, personal: Field, value: str | None) -> str | None:
        return self._show(personal, value)[:LABEL_LIMIT] if value else None


_NOBODY: frozenset[int] = frozenset()


def _forget(watch: _Watch, minute: int, firing: Mapping[str, int]) -> None:
    watch.kept_since = max(watch.kept_since, minute - watch.keep)
    if watch.refused is not None and watch.refused <= watch.kept_since:
        watch.refused = None
    for key, group in list(watch.groups.items()):
        cut = min(watch.kept_since, firing.get(group.fingerprint, watch.kept_since))
        group.kept_since = max(group.kept_since, cut)
        group.series.forget(group.kept_since)
        if not group.series and group.fingerprint not in firing:
            del watch.groups[key]


def _identity(participant: Participant) -> int:
    """An opaque number for a person; one without an identity counts alone."""
    return hash(participant.participant_identity or participant.participant_sid)
