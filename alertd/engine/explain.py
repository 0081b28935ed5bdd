"""Which slice of a group's traffic carries its matches: the values that match more than they usually do.

A slice is one value of one field, such as `sdk_version` 2.37.0. In the window k of its n participants match, where
e = n q would at its usual rate. surprise = k ln(k/e) - (k - e) is the logarithm of how much likelier k is at the rate
that was seen than at the usual one (half the Poisson deviance: McCullagh and Nelder, "Generalized Linear Models", 1989,
section 2.3). q = (k_b + 6) / (n_b + 6/q_all) is the slice's own rate in the baseline, drawn towards that of the group
there, q_all = (K_b + 1) / (N_b + 40).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Literal, NamedTuple

import msgspec

from alertd.engine.conditions import compile_condition
from alertd.engine.fields import Extractor, Field, Show, find_field, label_name, shown
from alertd.engine.fields import labels as label_texts
from alertd.engine.records import SettledRoom
from alertd.engine.rules import Rule

DIMENSIONS: Mapping[str, Field] = {
    name: find_field(name)
    for name in (
        "account",
        "media_region",
        "edge_location",
        "sdk_version",
        "sdk_major",
        "publisher_info.name",
        "publisher_info.browser_name",
        "publisher_info.browser_major",
        "publisher_info.browser_version",
        "publisher_info.platform_name",
        "publisher_info.platform_version",
        "room_type",
        "codecs",
    )
}
"""The fields that are looked at, under names that rules can use; of equals the first counts.

Browser and platform are keys of `publisher_info`, with these names in Twilio's schema of participant summaries (Event
Streams); `properties` holds what the application asked for, nothing of where it ran.
"""
MOST_NAMED = 3
MOST_VALUES = 500
"""Values of a field that are told apart, those with the most matches; clients choose some of them freely."""
MOST_WEIGHED = 30
"""Slices, the most surprising first, among which those to name are looked for."""
VALUE_LIMIT = 64
LEAST_MATCHES, LEAST_SURPRISE = 2, 3.0
"""What a slice needs to be named: one match is no pattern, and e³ = 20 times likelier than usual is beyond chance. The
surprise needed grows with the matches that share a room (Σk²/Σk over rooms): participants of a room fail together."""
LOCAL_SHARE, LOCAL_RISK = 0.4, 1.5
FEW = 5
"""Rooms with a match below which it says nothing that no slice stands out."""
Verdict = Literal["localised", "fleet-wide", "spread over the whole group", "too few to tell"]

Row = tuple[tuple[str, ...], ...]
"""A participant's values, by dimension; `codecs` may hold several, what says nothing none."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a field: `matched` of its `total` participants match, which is `share`.

    `relative_risk` is that share against the rest's (of the same group in the same window); a rest without any match is
    taken for half a match, so that there is a number.
    """

    field: str
    value: str
    matched: int
    total: int
    share: float
    relative_risk: float
    surprise: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where `matched` of `total` participants, in `rooms_affected` rooms, come from: the most surprising slices first.

    `localised` says that the first of them (there are three at most) carries it. `without_past` says that there was no
    baseline, so that each slice was compared with the rest of the window. `grouped` says that it is of a part of an
    account only, such as one region: what is spread over that is not the fleet's.
    """

    matched: int
    total: int
    rooms_affected: int
    slices: tuple[Slice, ...] = ()
    localised: bool = False
    without_past: bool = False
    grouped: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether the first slice carries it; if not all of the group does, but few rooms may be from anywhere."""
        if self.localised:
            return "localised"
        if self.rooms_affected < FEW:
            return "too few to tell"
        return "spread over the whole group" if self.grouped else "fleet-wide"

    @property
    def tells(self) -> bool:
        """Whether there is anything to tell people."""
        return bool(self.slices) or self.rooms_affected >= FEW

    @property
    def text(self) -> str:
        """In words: `localised: media_region ie1 carries 31 of 40 (62 % of its 50, 14 times the rest)`."""
        told = [f"{one.field} {one.value} carries {self.extent(one)}" for one in self.slices]
        return f"{self.verdict}: {'; '.join(told) or 'no slice stands out'}{self.caveat}"

    @property
    def caveat(self) -> str:
        """What to know about the comparison, if it was not with the past."""
        return " (compared with the rest of the window: there is no past)" if self.without_past else ""

    def extent(self, one: Slice) -> str:
        """Its part of all matches, and how bad it is there: `31 of 40 (62 % of its 50, 14 times the rest)`."""
        risk = "none elsewhere" if one.matched == self.matched else f"{_times(one.relative_risk)} times the rest"
        return f"{one.matched} of {self.matched} ({100 * one.share:.3g} % of its {one.total}, {risk})"


def explain(
    rule: Rule, labels: Mapping[str, str], inside: Iterable[SettledRoom], before: Iterable[SettledRoom], show: Show
) -> Explanation:
    """Which slices carry the matches of `rule` in the group with `labels`, in the rooms `inside` the alert's window.

    `before` are the rooms of its baseline, a sample of some thousand will do; of both only participants of the group
    count (`among`, and the same `by`, as `show` shows it). Total: a room that cannot be read is passed by. The order of
    rooms does not matter.
    """
    by = {find_field(name) for name in rule.by}
    names = [name for name, field in DIMENSIONS.items() if field not in by]
    reader = _Reader(rule, labels, show, [DIMENSIONS[name] for name in names])
    window, past = reader.tally(inside), reader.tally(before)
    columns = [_weighed(column, window, past) for column in range(len(names))]
    named = _named(columns, window)
    return Explanation(
        matched=window.whole.matched,
        total=window.whole.total,
        rooms_affected=window.rooms.total() - window.rooms[0],
        slices=tuple(_slice(names[value.column], value, window.whole) for value in named),
        localised=bool(named) and _is_local(named[0], columns[named[0].column], window),
        without_past=not past.whole.total,
        grouped=is_part(rule),
    )


def is_part(rule: Rule) -> bool:
    """Whether a group of the rule is a part of an account only."""
    return not {find_field(name) for name in rule.by} <= {find_field("account")}


class _Cell(NamedTuple):
    """Participants, and those of them that match."""

    matched: int = 0
    total: int = 0

    def plus(self, other: _Cell) -> _Cell:
        return _Cell(self.matched + other.matched, self.total + other.total)

    def without(self, other: _Cell) -> _Cell:
        return _Cell(self.matched - other.matched, self.total - other.total)


class _Value(NamedTuple):
    """One value of the dimension in `column`, with as many matches as it would usually have; empty text: all others."""

    column: int
    text: str
    cell: _Cell
    expected: float

    @property
    def excess(self) -> float:
        return max(0.0, self.cell.matched - self.expected)

    @property
    def surprise(self) -> float:
        return _surprise(self.cell.matched, self.expected)


@dataclass(frozen=True)
class _Tally:
    """How many participants there are of each kind, and how many of them match; in which numbers by room."""

    rows: dict[Row, _Cell]
    rooms: Counter[int]

    @cached_property
    def whole(self) -> _Cell:
        return _sum(self.rows.values())

    @cached_property
    def enough(self) -> float:
        """The least surprise that is beyond chance here."""
        squares = sum(matched * matched * rooms for matched, rooms in self.rooms.items())
        return LEAST_SURPRISE * squares / max(self.whole.matched, 1)

    def column(self, column: int) -> dict[str, _Cell]:
        """The participants by one dimension; under the empty text those without a value."""
        found: dict[str, _Cell] = {}
        for row, cell in self.rows.items():
            for text in row[column] or ("",):
                found[text] = found.get(text, _Cell()).plus(cell)
        return found

    def crossed(self, value: _Value, other: _Value) -> tuple[tuple[_Cell, _Cell], tuple[_Cell, _Cell]]:
        """Those with the value and those without, first among those with the other one, then among those without."""
        cells = {(has, has_other): _Cell() for has in (True, False) for has_other in (True, False)}
        for row, cell in self.rows.items():
            place = value.text in row[value.column], other.text in row[other.column]
            cells[place] = cells[place].plus(cell)
        return (cells[True, True], cells[False, True]), (cells[True, False], cells[False, False])


class _Reader:
    """Reads from rooms who of a rule's group is in them, who matches, and what they have in each dimension."""

    def __init__(self, rule: Rule, labels: Mapping[str, str], show: Show, dimensions: Sequence[Field]) -> None:
        self._extractor = Extractor(rule.among.fields | rule.match.fields)
        self._among = compile_condition(rule.among, self._extractor.index)
        self._match = compile_condition(rule.match, self._extractor.index)
        self._by = [find_field(name) for name in rule.by]
        self._group = tuple([labels.get(label_name(field), "") for field in self._by])
        self._show = show
        self._dimensions = dimensions

    def tally(self, rooms: Iterable[SettledRoom]) -> _Tally:
        """The group's participants in these rooms."""
        seen: Counter[tuple[tuple[str, ...], bool]] = Counter()
        in_rooms: Counter[int] = Counter()
        for settled in rooms:
            try:
                members = list(self._members(settled))
            except Exception:  # noqa: BLE001, S112 - counting reports such a room; here it must only not stop the others
                continue
            seen.update(members)
            in_rooms[sum(matched for _, matched in members)] += 1
        rows: dict[Row, _Cell] = {}
        for (texts, matched), number in seen.items():  # far fewer than participants
            row = self._row(texts)
            rows[row] = rows.get(row, _Cell()).plus(_Cell(number * matched, number))
        return _Tally(rows, in_rooms)

    def _members(self, settled: SettledRoom) -> Iterator[tuple[tuple[str, ...], bool]]:
        """The room's participants in the group, each with its values as texts and whether it matches."""
        mine = self._mine(settled)
        if not any(mine):
            return
        facts, values = self._extractor.facts(settled), label_texts(self._dimensions, settled)
        for is_mine, fact, texts in zip(mine, facts, values, strict=True):
            if is_mine and self._among(fact):
                yield texts, bool(self._match(fact))

    def _mine(self, settled: SettledRoom) -> list[bool]:
        """Which participants are in the group, by place in the room."""
        if not self._by:
            return [True] * len(settled.participants)
        return [shown(self._by, texts, self._show) == self._group for texts in label_texts(self._by, settled)]

    def _row(self, texts: tuple[str, ...]) -> Row:
        pairs = zip(self._dimensions, texts, strict=True)
        return tuple([_values(text.split(",") if field.kind == "list" else [text]) for field, text in pairs])


def _values(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text[:VALUE_LIMIT] for text in texts if text}))


def _sum(cells: Iterable[_Cell]) -> _Cell:
    matched = total = 0
    for cell in cells:
        matched, total = matched + cell.matched, total + cell.total
    return _Cell(matched, total)


def _weighed(column: int, window: _Tally, past: _Tally) -> list[_Value]:
    """Every value of a dimension, the rare ones beyond MOST_VALUES together with those who have none."""
    seen, known = window.column(column), past.column(column)
    ranked = sorted(filter(None, seen), key=lambda text: (-seen[text].matched, -seen[text].total, text))
    parts = [(text, [text]) for text in ranked[:MOST_VALUES]] + [("", ["", *ranked[MOST_VALUES:]])]
    weighed = []
    for text, members in parts:
        cell, usually = (_sum(cells.get(member, _Cell()) for member in members) for cells in (seen, known))
        weighed.append(_Value(column, text, cell, cell.total * _usual(cell, usually, window, past)))
    return weighed


def _usual(cell: _Cell, known: _Cell, window: _Tally, past: _Tally) -> float:
    """The usual rate of a slice: its own in the past, or, where there is none, that of the rest of the window."""
    known, whole = (known, past.whole) if past.whole.total else (window.whole.without(cell), window.whole)
    overall = (whole.matched + 1) / (whole.total + 40)
    return (known.matched + 6) / (known.total + 6 / overall)


def _surprise(matched: int, expected: float) -> float:
    return matched * log(matched / expected) - (matched - expected) if matched > expected else 0.0


def _risk(cell: _Cell, rest: _Cell) -> float:
    """The share of matches against that of the rest, which must not be empty."""
    return cell.matched / cell.total * rest.total / max(rest.matched, 0.5)


def _named(columns: Iterable[Sequence[_Value]], window: _Tally) -> list[_Value]:
    """The most surprising values, each of which says something that those before it do not."""
    worthy = [value for values in columns for value in _worthy(values, window)]
    ranked = sorted(worthy, key=lambda value: (-value.surprise, value.column, value.text))
    named: list[_Value] = []
    for value in ranked[:MOST_WEIGHED]:
        if len(named) < MOST_NAMED and all(_adds(value, other, window) for other in named):
            named.append(value)
    return named


def _worthy(values: Sequence[_Value], window: _Tally) -> Iterator[_Value]:
    """The values of a dimension that may be named.

    One that is no worse than the rest says nothing; nor does one that all have of whom anything is known.
    """
    unsaid = _sum(value.cell for value in values if not value.text)
    for value in values:
        rest = window.whole.without(value.cell)
        enough = value.cell.matched >= LEAST_MATCHES and value.surprise >= window.enough
        if value.text and enough and rest.total > unsaid.total and _risk(value.cell, rest) > 1:
            yield value


def _adds(value: _Value, named: _Value, window: _Tally) -> bool:
    """Whether a value tells matches apart that the named one does not: inside it (it narrows it) or outside of it."""
    return any(_stands_out(has, has_not, window.enough) for has, has_not in window.crossed(value, named))


def _stands_out(cell: _Cell, rest: _Cell, enough: float) -> bool:
    """Whether a slice is clearly worse than the rest, and by more than chance gives to so few.

    Beyond chance by the same measure as the surprise, now of both against their common rate (half of the G statistic).
    """
    if not cell.matched or not rest.total or _risk(cell, rest) < LOCAL_RISK:
        return False
    common = (cell.matched + rest.matched) / (cell.total + rest.total)
    evidence = [part.matched * log(part.matched / (part.total * common)) for part in (cell, rest) if part.matched]
    return sum(evidence) >= enough


def _is_local(first: _Value, values: Iterable[_Value], window: _Tally) -> bool:
    """Whether the first slice carries it: with much of its dimension's excess, and standing out from the rest."""
    excess = min(sum(value.excess for value in values), window.whole.matched)  # people have several codecs
    rest = window.whole.without(first.cell)
    return first.excess >= LOCAL_SHARE * excess and _stands_out(first.cell, rest, window.enough)


def _slice(field: str, value: _Value, whole: _Cell) -> Slice:
    cell = value.cell
    return Slice(
        field=field,
        value=value.text,
        matched=cell.matched,
        total=cell.total,
        share=cell.matched / cell.total,
        relative_risk=_risk(cell, whole.without(cell)),
        surprise=value.surprise,
    )


def _times(risk: float) -> str:
    return f"{risk:.0f}" if risk >= 9.5 else f"{risk:.1f}".removesuffix(".0")
