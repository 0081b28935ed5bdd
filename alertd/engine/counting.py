"""In which groups a settled room counts, for each rule, and what it adds there: the windows of all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from alertd.engine.alerts import fingerprint
from alertd.engine.conditions import EVERYTHING, Condition, compile_condition
from alertd.engine.errortable import error_url
from alertd.engine.fields import Extractor, Field, find_field, label_value, labels
from alertd.engine.populations import SLACK, Asked, Count, Facts, Group, GroupWindow, Key, Population, to_keep
from alertd.engine.records import Participant, SettledRoom
from alertd.engine.rules import Absent, Rule
from alertd.engine.windows import MINUTE, NOBODY, Evidence, Match, Series, Totals

TIDY_EVERY = 10
"""Minutes between forgettings."""
REACHED_FOR = 360
"""Minutes for which what was counted again is kept: where one room came very late more will, for hours."""
SHOWN = 5
"""Participants of one room that one group keeps as evidence."""
LABEL_LIMIT = 256
EVERY_RULE = "(every rule)"
"""Stands for a rule's key where a room could be judged by none."""
_SDK, _IDENTITY, _ROOM_NAME = find_field("sdk"), find_field("participant_identity"), find_field("room_name")

Show = Callable[[Field, str], str]
"""How a personal value (an identity, a room name) may be shown: as it is, or as a pseudonym."""


@dataclass(slots=True)
class _Account:
    """All settled rooms of an account, whoever was in them: by the minute of their end, and by that of their start."""

    ended: Totals = field(default_factory=Totals)
    started: Totals = field(default_factory=Totals)


@dataclass(slots=True)
class _Reading:
    """A settled room as all rules see it: its participants' facts and label texts, and what conditions said of them.

    `matched` are those whom a condition matches, `shown` is their evidence, both by place in the room.
    """

    settled: SettledRoom
    facts: list[Facts]
    texts: list[Key]
    matched: dict[Asked, set[int]] = field(default_factory=dict)
    shown: dict[int, Evidence] = field(default_factory=dict)

    def count(self, members: Sequence[int], matching: Iterable[Asked], *, people: bool) -> Count:
        """What these participants add to their group, if only these conditions match anybody in the room."""
        matches = []
        for asked in matching:
            matched = [member for member in members if member in self.matched[asked]]
            if matched:
                shown = tuple([self.shown[member] for member in matched[:SHOWN]])
                matches.append((asked, Match(len(matched), len(members), self._identities(matched), shown)))
        return Count(len(members), self._identities(members) if people else NOBODY, matches)

    def _identities(self, members: Iterable[int]) -> frozenset[int]:
        return frozenset([_identity(self.settled.participants[member]) for member in members])


class Windows:
    """The counted past of all rules, as far back as they look; a cache that can be rebuilt from settled rooms.

    A rule about absence has no groups: it looks at the rooms of each account, which are counted anyway. `longest` are
    the minutes of the longest window, with what is kept beyond it. `faults` says, by rule key, what went wrong with
    counting since `begin`.
    """

    def __init__(self, rules: Sequence[Rule], show: Show) -> None:
        self._show = show
        self._extractor = Extractor({f for rule in rules for f in rule.among.fields | rule.match.fields})
        self._by = sorted({find_field(name) for rule in rules for name in rule.by}, key=lambda f: f.name)
        self._asked: dict[Condition, Asked] = {}
        self._populations: dict[tuple[Condition, tuple[str, ...], int, int], Population] = {}
        self._homes: dict[str, Population] = {}
        for rule in rules:
            if not isinstance(rule.kind, Absent):
                self._take(rule)
        self.longest = max(map(to_keep, rules), default=SLACK)
        self._accounts: dict[str, _Account] = {}
        self._settled_since = 0
        self._tidied: int | None = None
        self._reached = False
        self._kept_until = 0
        self._fresh: list[Group] = []
        self.faults: dict[str, str] = {}

    def _take(self, rule: Rule) -> None:
        """Put the rule among those that share its population and its condition."""
        index, place = self._extractor.index, (rule.among, rule.by, to_keep(rule), rule.max_groups)
        if rule.match not in self._asked:
            self._asked[rule.match] = Asked(compile_condition(rule.match, index))
        if place not in self._populations:
            by = tuple(find_field(name) for name in rule.by)
            among = None if rule.among == EVERYTHING else compile_condition(rule.among, index)
            columns = tuple([self._by.index(f) for f in by])
            self._populations[place] = Population(among, by, columns, to_keep(rule), rule.max_groups)
        self._homes[rule.key] = self._populations[place]
        self._asked[rule.match].rules.append(rule.key)
        self._populations[place].take(rule, self._asked[rule.match])

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

    def accounts(self) -> list[str]:
        """The accounts of which rooms are counted, in order."""
        return sorted(self._accounts)

    def starts(self, rule: Rule, account: str) -> GroupWindow:
        """The rooms of an account by the minute in which they started, as the group of a rule about absence."""
        own = {"alertname": rule.alert, **rule.labels, "account": account}
        totals = self._accounts[account].started if account in self._accounts else Totals()
        return GroupWindow(own, fingerprint(own), Series(totals))

    def refused(self, rule: Rule) -> bool:
        """Whether rooms that still count found no place because the rule has too many groups."""
        population = self._homes.get(rule.key)
        return population is not None and population.refused is not None

    def fold(self, settled: SettledRoom, sign: int = 1) -> None:
        """Count a room that has settled; with `sign` -1 take out one that was replaced."""
        minute = settled.ended // MINUTE
        self._count_settled(settled, self._settled_since, sign)
        for population, key, count in self._counts(settled):
            group = population.group(key, minute) if sign > 0 else population.groups.get(key)
            if group is None or minute <= group.kept_since:
                continue
            group.fold(minute, count, sign)
            if sign > 0:
                if not group.fresh:
                    self._fresh.append(group)
                group.fresh.add(minute)

    def recount(self, rooms: Iterable[SettledRoom], down_to: int) -> None:
        """Count again what was forgotten of rooms that ended after minute `down_to`; `reach` ends it."""
        for settled in rooms:
            minute = settled.ended // MINUTE
            self._count_settled(settled, down_to, upto=self._settled_since)
            for population, key, count in self._counts(settled):
                group = population.group(key, minute)
                if group is not None and down_to < minute <= group.kept_since:
                    group.fold(minute, count, 1)

    def reach(self, down_to: int) -> None:
        """All rooms that ended after minute `down_to` have been counted (again): late ones can be judged among them."""
        self._settled_since = min(self._settled_since, down_to)
        self._reached = True
        for population in self._populations.values():
            population.reach(down_to)

    def forget(self, minute: int, firing: Mapping[str, int]) -> None:
        """Drop, from time to time, what no rule looks back to at `minute`; groups that fire keep all since theirs."""
        if self._tidied is not None and minute < self._tidied + TIDY_EVERY:
            return
        self._tidied = minute
        if self._reached:
            self._reached, self._kept_until = False, minute + REACHED_FOR
        if minute < self._kept_until:
            return
        self._settled_since = max(self._settled_since, minute - self.longest)
        for name, account in list(self._accounts.items()):
            account.ended.forget(self._settled_since)
            account.started.forget(self._settled_since)
            if not account.ended:
                del self._accounts[name]
        for population in self._populations.values():
            population.forget(minute, firing)

    def settled_rooms(self, account: str | None, after: int, upto: int) -> int:
        """Rooms of an account (None: of all) that settled, in the minutes with `after` < minute ≤ `upto`."""
        books = [book.ended for name, book in self._accounts.items() if account in (None, name)]
        return sum(book.between(after, upto)[0] for book in books)

    def _count_settled(self, settled: SettledRoom, after: int, sign: int = 1, upto: int | None = None) -> None:
        """Count the room in the minutes of its end and of its start, each if `after` < minute ≤ `upto` (None: ever)."""
        ended, started = settled.ended // MINUTE, settled.started // MINUTE
        if ended <= after:
            return
        account = self._accounts.setdefault(settled.account, _Account())
        for totals, minute in ((account.ended, ended), (account.started, started)):
            if after < minute and (upto is None or minute <= upto):
                totals.fold(minute, len(settled.participants), sign=sign)

    def _counts(self, settled: SettledRoom) -> Iterator[tuple[Population, Key, Count]]:
        """What the room adds to each group of each population; what cannot be counted is a fault, and passed by."""
        try:
            texts = [self._shown(row) for row in labels(self._by, settled)]
            reading = _Reading(settled, self._extractor.facts(settled), texts)
        except Exception as error:  # noqa: BLE001 - one poisoned room must not stop the others
            self._failed([EVERY_RULE], settled, error)
            return
        for population in self._populations.values():
            try:
                parts = population.split(reading.facts, reading.texts)
            except Exception as error:  # noqa: BLE001 - nor must one poisoned rule
                self._failed([rule.key for rule, _ in population.rules], settled, error)
                continue
            matching = [asked for asked in population.asked if self._matched(asked, reading)] if parts else []
            for key, members in parts.items():
                yield population, key, reading.count(members, matching, people=population.people)

    def _matched(self, asked: Asked, reading: _Reading) -> set[int]:
        """Whom the condition matches in the room; asked once, however many rules want to know."""
        found = reading.matched.get(asked)
        if found is None:
            settled, match = reading.settled, asked.match
            try:
                found = {place for place, facts in enumerate(reading.facts) if match(facts)}
                for place in found:
                    if place not in reading.shown:
                        reading.shown[place] = self._evidence(settled, settled.participants[place])
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(asked.rules, settled, error)
                found = set()
            reading.matched[asked] = found
        return found

    def _failed(self, rules: Iterable[str], settled: SettledRoom, error: Exception) -> None:
        for key in rules:
            self.faults[key] = f"room {settled.room.room_sid} cannot be counted: {type(error).__name__}"

    def _shown(self, row: Key) -> Key:
        """Label texts as they may be shown: personal ones through `show`, none of them long."""
        pairs = zip(self._by, row, strict=True)
        return tuple([(self._show(f, text) if f.personal and text else text)[:LABEL_LIMIT] for f, text in pairs])

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


def _identity(participant: Participant) -> int:
    """An opaque number for a person; one without an identity counts alone."""
    return hash(participant.participant_identity or participant.participant_sid)
