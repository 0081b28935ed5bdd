"""In which groups a settled room counts, for each rule, and what it adds there: the windows of all rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from alertd.engine.alerts import fingerprint
from alertd.engine.conditions import EVERYTHING, Predicate, compile_condition
from alertd.engine.errortable import error_url
from alertd.engine.fields import Extractor, Field, find_field, label_name, labels
from alertd.engine.records import Participant, SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.values import Fact
from alertd.engine.windows import MINUTE, Evidence, RoomCount, Series

SLACK = 90
"""Minutes kept beyond a rule's window: half an hour of positions and an hour for rooms later than that."""
SHOWN = 5
"""Participants of one room that one group keeps as evidence."""
LABEL_LIMIT = 256
_SDK = find_field("sdk")

Show = Callable[[Field, str], str]
"""How a personal value (an identity, a room name) may be shown: as it is, or as a pseudonym."""


@dataclass(slots=True)
class GroupWindow:
    """One group of a rule: its labels, its alert's fingerprint, its minutes; those up to `kept_since` are forgotten."""

    labels: dict[str, str]
    fingerprint: str
    kept_since: int
    series: Series = field(default_factory=Series)


@dataclass(slots=True)
class _Watch:
    rule: Rule
    among: Predicate | None
    match: Predicate
    by: tuple[Field, ...]
    kept_since: int
    groups: dict[tuple[str, ...], GroupWindow] = field(default_factory=dict)
    refused: int = 0

    @property
    def keep(self) -> int:
        """Minutes to keep at least."""
        return self.rule.kind.over // MINUTE + SLACK


class Windows:
    """The counted past of all rules, as far back as they look; a cache that can be rebuilt from settled rooms.

    `fresh` maps each group to the earliest minute that was counted since `begin`: what a tick learned anew.
    """

    def __init__(self, rules: Sequence[Rule], show: Show, kept_since: int = 0) -> None:
        self._show = show
        self._extractor = Extractor({f for rule in rules for f in rule.among.fields | rule.match.fields})
        index = self._extractor.index
        self._watches = {
            rule.key: _Watch(
                rule,
                None if rule.among == EVERYTHING else compile_condition(rule.among, index),
                compile_condition(rule.match, index),
                tuple(find_field(name) for name in rule.by),
                kept_since,
            )
            for rule in rules
        }
        self._by = sorted({f for watch in self._watches.values() for f in watch.by} | {_SDK}, key=lambda f: f.name)
        self._column = {f: place for place, f in enumerate(self._by)}
        self._settled: dict[str, Counter[int]] = {}
        self.fresh: dict[str, int] = {}

    @property
    def longest(self) -> int:
        """Minutes of the longest window."""
        return max((watch.keep for watch in self._watches.values()), default=SLACK)

    def begin(self) -> None:
        """Start a tick: nothing is fresh yet."""
        self.fresh.clear()

    def groups(self, rule: Rule) -> Iterable[GroupWindow]:
        """The groups that a rule has seen."""
        return self._watches[rule.key].groups.values()

    def refused(self, rule: Rule) -> int:
        """How many times a room found no place because the rule has too many groups."""
        return self._watches[rule.key].refused

    def fold(self, settled: SettledRoom, sign: int = 1) -> None:
        """Count a room that has settled; with `sign` -1 take out one that was replaced."""
        minute = settled.ended // MINUTE
        self._settled.setdefault(settled.account, Counter())[minute] += sign
        for watch, group, count in self._counts(settled):
            if minute <= group.kept_since:
                continue
            group.series.fold(minute, count, sign)
            if sign > 0:
                key = _fresh_key(watch.rule, group)
                self.fresh[key] = min(minute, self.fresh.get(key, minute))

    def reach(self, rooms: Iterable[SettledRoom], down_to: int) -> None:
        """Count again what was forgotten of rooms that ended after minute `down_to`, to judge late ones."""
        for settled in rooms:
            minute = settled.ended // MINUTE
            for _, group, count in self._counts(settled):
                if down_to < minute <= group.kept_since:
                    group.series.fold(minute, count)
        for watch in self._watches.values():
            watch.kept_since = min(watch.kept_since, down_to)
            for group in watch.groups.values():
                group.kept_since = min(group.kept_since, down_to)

    def forget(self, minute: int, firing: Mapping[str, int]) -> None:
        """Drop what no rule looks back to at `minute`; groups that fire keep all since the given minute."""
        for book in self._settled.values():
            for old in [kept for kept in book if kept <= minute - self.longest]:
                del book[old]
        for watch in self._watches.values():
            watch.kept_since = max(watch.kept_since, minute - watch.keep)
            for key, group in list(watch.groups.items()):
                cut = min(watch.kept_since, firing.get(group.fingerprint, watch.kept_since))
                group.kept_since = max(group.kept_since, cut)
                group.series.forget(group.kept_since)
                if not group.series and group.fingerprint not in firing:
                    del watch.groups[key]

    def settled_rooms(self, account: str | None, after: int, upto: int) -> int:
        """Rooms of an account (None: of all) that settled, in the minutes with `after` < minute ≤ `upto`."""
        books = [book for name, book in self._settled.items() if account in (None, name)]
        return sum(count for book in books for minute, count in book.items() if after < minute <= upto)

    def fresh_minute(self, rule: Rule, group: GroupWindow) -> int | None:
        """The earliest minute of a group in which the running tick counted a room, if any."""
        return self.fresh.get(_fresh_key(rule, group))

    def _counts(self, settled: SettledRoom) -> Iterator[tuple[_Watch, GroupWindow, RoomCount]]:
        if not settled.participants:
            return
        facts = self._extractor.facts(settled)
        texts = [self._shown(row) for row in labels(self._by, settled)]
        for watch in self._watches.values():
            columns = [self._column[f] for f in watch.by]
            for key, (members, matched) in _split(watch, facts, texts, columns).items():
                group = self._group(watch, key)
                if group is not None:
                    yield watch, group, self._count(watch.rule, settled, members, matched, texts)

    def _group(self, watch: _Watch, key: tuple[str, ...]) -> GroupWindow | None:
        group = watch.groups.get(key)
        if group is None:
            if len(watch.groups) >= watch.rule.max_groups:
                watch.refused += 1
                return None
            named = {label_name(f): value for f, value in zip(watch.by, key, strict=True) if value}
            labels = {"alertname": watch.rule.alert, **watch.rule.labels, **named}
            group = watch.groups[key] = GroupWindow(labels, fingerprint(labels), watch.kept_since)
        return group

    def _shown(self, row: tuple[str, ...]) -> list[str]:
        """Label texts as they may be shown: personal ones through `show`, none of them long."""
        pairs = zip(self._by, row, strict=True)
        return [(self._show(f, text) if f.personal and text else text)[:LABEL_LIMIT] for f, text in pairs]

    def _count(
        self, rule: Rule, settled: SettledRoom, members: list[int], matched: list[int], texts: list[list[str]]
    ) -> RoomCount:
        people = settled.participants
        everyone = frozenset(_identity(people[i]) for i in members) if rule.kind.of == "identities" else frozenset()
        sdk = self._column[_SDK]
        return RoomCount(
            len(matched),
            len(members),
            frozenset(_identity(people[i]) for i in matched),
            everyone,
            tuple(self._evidence(settled, people[i], texts[i][sdk]) for i in matched[:SHOWN]),
        )

    def _evidence(self, settled: SettledRoom, participant: Participant, sdk: str) -> Evidence:
        room, code = settled.room, participant.error_code or None
        shown = {
            name: self._show(find_field(name), value)[:LABEL_LIMIT] if value else None
            for name, value in (
                ("room_name", room.room_name),
                ("participant_identity", participant.participant_identity),
            )
        }
        return Evidence(
            ended=settled.ended,
            participant_sid=participant.participant_sid,
            room_sid=room.room_sid,
            account=settled.account,
            room_name=shown["room_name"],
            identity=shown["participant_identity"],
            end_reason=participant.end_reason,
            error_code=code,
            error_url=error_url(code) if code else None,
            sdk=sdk or None,
            media_region=participant.media_region or room.media_region,
            edge_location=participant.edge_location or room.edge_location,
        )


def _split(
    watch: _Watch, facts: Sequence[tuple[Fact, ...]], texts: Sequence[Sequence[str]], columns: Sequence[int]
) -> dict[tuple[str, ...], tuple[list[int], list[int]]]:
    """The participants of the rule's population by group key, and which of them match, as places in the room."""
    found: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}
    among, match = watch.among, watch.match
    for place, fact in enumerate(facts):
        if among is not None and not among(fact):
            continue
        key = tuple([texts[place][column] for column in columns])
        slot = found.get(key)
        if slot is None:
            slot = found[key] = ([], [])
        slot[0].append(place)
        if match(fact):
            slot[1].append(place)
    return found


def _identity(participant: Participant) -> int:
    """An opaque number for a person; one without an identity counts alone."""
    return hash(participant.participant_identity or participant.participant_sid)


def _fresh_key(rule: Rule, group: GroupWindow) -> str:
    return f"{rule.key}\x00{group.fingerprint}"
