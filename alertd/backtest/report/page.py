"""The page of a backtest: what is shown of the findings, and in which order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import jinja2

from alertd import __version__
from alertd.backtest.comparison import Comparison
from alertd.backtest.curves import Curve, hindrance
from alertd.backtest.report.chart import HIGH, WIDE, Axis, Lines, Stretch, lines
from alertd.backtest.run import Findings, Firing
from alertd.backtest.tolls import Toll, tolls
from alertd.engine.durations import format_duration
from alertd.engine.groups import Notification
from alertd.engine.rules import Rule
from alertd.engine.samples import Sample
from alertd.htmlpages import environment
from alertd.receivers import wording

TEMPLATES = Path(__file__).with_name("templates")
MOST_LANES = 60
"""Alerts in the overview."""
MOST_FIRINGS = 40
"""Firings told in words for each rule."""
MOST_NOTIFICATIONS = 500
LONGEST = 200_000
"""Characters of one text on the page: paths of charts are long."""
OPEN_CHARTS = 6
"""Charts of a rule that are shown without being asked for."""


class Span(NamedTuple):
    """A stretch in which an alert fired, with what is said where the pointer rests on it."""

    place: Stretch
    look: str
    title: str


class Mark(NamedTuple):
    """A notification on the axis of time."""

    x: str
    look: str
    title: str


class Lane(NamedTuple):
    """One alert over the whole range."""

    rule: str
    name: str
    labels: Mapping[str, str]
    spans: list[Span]
    marks: list[Mark]


class Chart(NamedTuple):
    """One group of a rule: its curve, with what its alert did; `own` are the labels that other groups do not share.

    `hindrance` is why the rule did not hold where it came nearest, if that was beyond its limit.
    """

    lane: Lane
    lines: Lines
    words: str
    nearness: float
    hindrance: str
    own: Mapping[str, str]


class Card(NamedTuple):
    """One rule with all that came of it; `more` firings are not told, `error` is why it failed.

    `unseen` is how many matched without being in any chart, since they were known too late.
    """

    key: str
    rule: Rule | None
    name: str
    toll: Toll
    charts: list[Chart]
    firings: list[Firing]
    more: int
    error: str
    unseen: int

    @property
    def in_sight(self) -> int:
        """How many charts are shown at once: those that fired, else the nearest."""
        return min(max(1, sum(bool(chart.lane.spans) for chart in self.charts)), OPEN_CHARTS)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What all parts of the page are drawn with."""

    axis: Axis
    findings: Findings

    def when(self, at: int) -> str:
        """An instant as people read it."""
        return f"{datetime.fromtimestamp(at, self.axis.zone):%a %-d %b %H:%M}"

    def span(self, firing: Firing, look: str = "") -> Span:
        """Where a firing stands, and what it was."""
        end = self.axis.end if firing.ends_at is None else firing.ends_at
        until = "still firing" if firing.ends_at is None else self.when(firing.ends_at)
        late = f", told late at {self.when(firing.told_at)}" if firing.late else ""
        lasted = format_duration(firing.seconds(self.axis.end))
        title = f"{self.when(firing.starts_at)} to {until} ({lasted}){late}"
        look = look or ("late" if firing.late else "firing")
        return Span(self.axis.stretch(firing.starts_at, end), look, f"{title}\n{wording.line(firing.why, 300)}")

    def marks(self, notifications: Iterable[Notification], fingerprint: str) -> list[Mark]:
        """The notifications that told of an alert, one where several receivers were told at once."""
        told: dict[tuple[int, str], list[str]] = defaultdict(list)
        for one in notifications:
            status = next((alert.status for alert in one.alerts if alert.fingerprint == fingerprint), None)
            if status is not None:
                told[one.at, status].append(f"{one.receiver}: {one.reason}")
        return [
            Mark(self.axis.x(at), status, "\n".join([self.when(at), *dict.fromkeys(what)]))
            for (at, status), what in told.items()
        ]

    def lane(self, rule: str, labels: Mapping[str, str], fingerprint: str) -> Lane:
        """All that one alert did."""
        spans = [self.span(one) for one in self.findings.firings if one.fingerprint == fingerprint]
        name = labels.get("alertname", "alert")
        own = {key: value for key, value in labels.items() if key != "alertname"}
        return Lane(rule, name, own, spans, self.marks(self.findings.notifications, fingerprint))

    def lanes(self) -> list[Lane]:
        """Each alert that fired, in the order in which they first did."""
        first = {one.fingerprint: one for one in reversed(self.findings.firings)}
        order = dict.fromkeys(one.fingerprint for one in self.findings.firings)
        return [self.lane(first[mark].rule, first[mark].labels, mark) for mark in order]

    def chart(self, rule: Rule, curve: Curve) -> Chart:
        """One group of a rule."""
        words = "" if curve.worst is None else rule.kind.describe(curve.worst)
        why_not = "" if curve.worst is None else _why_not(rule, curve, curve.worst)
        lane = self.lane(rule.key, curve.labels, curve.fingerprint)
        own = {name: value for name, value in lane.labels.items() if name not in rule.labels}
        return Chart(lane, lines(self.axis, curve), words, curve.nearness, why_not, own)


def _why_not(rule: Rule, curve: Curve, worst: Sample) -> str:
    if curve.held:
        return f"not for {_roughly(rule.hold_for)}" if rule.hold_for else ""
    return hindrance(rule, worst)


def page(findings: Findings, zone: ZoneInfo, comparison: Comparison | None = None) -> str:
    """The findings as one HTML page that loads nothing and runs nothing; all names are escaped."""
    axis = Axis(findings.begin, findings.end, zone)
    drawing = _Drawing(axis, findings)
    total, by_rule = tolls(findings, zone)
    cards = _cards(drawing, by_rule)
    lanes = drawing.lanes()
    shown = {
        "findings": findings,
        "axis": axis,
        "total": total,
        "nights": max(1, round((findings.end - findings.begin) / 86400)),
        "lanes": lanes[:MOST_LANES],
        "more_lanes": len(lanes) - MOST_LANES,
        "bars": _bars(axis, findings),
        "loud": [card for card in cards if card.firings],
        "quiet": [card for card in cards if not card.firings],
        "notifications": findings.notifications[:MOST_NOTIFICATIONS],
        "more_notifications": len(findings.notifications) - MOST_NOTIFICATIONS,
        "comparison": None if comparison is None else _compared(drawing, comparison),
        "when": drawing.when,
        "version": __version__,
        "wide": WIDE,
        "high": HIGH,
    }
    return _environment().get_template("page.html").render(shown)


def _cards(drawing: _Drawing, by_rule: Mapping[str, Toll]) -> list[Card]:
    """A card for each rule, those that fired most on top, and one for each of alertd's own alerts that fired."""
    findings = drawing.findings
    rules = {rule.key: rule for rule in findings.rules}
    fired: dict[str, list[Firing]] = defaultdict(list)
    for firing in findings.firings:
        fired[firing.rule].append(firing)
    cards = []
    for key, toll in by_rule.items():
        rule, firings = rules.get(key), fired[key]
        charts = [] if rule is None else [drawing.chart(rule, curve) for curve in findings.curves.get(key, ())]
        name = firings[0].labels.get("alertname", key) if rule is None else rule.alert
        error, more = findings.errors.get(key, ""), len(firings) - MOST_FIRINGS
        cards.append(
            Card(key, rule, name, toll, charts, firings[:MOST_FIRINGS], more, error, findings.unseen.get(key, 0))
        )
    return sorted(cards, key=lambda card: (-card.toll.alerts, -card.toll.firing, -_nearest(card), card.name))


def _nearest(card: Card) -> float:
    return max((chart.nearness for chart in card.charts), default=0.0)


class _Bar(NamedTuple):
    """The rooms of a stretch of the range, in percent of the most, with those that were late."""

    place: Stretch
    height: str
    late: str
    title: str


def _bars(axis: Axis, findings: Findings) -> list[_Bar]:
    bars = findings.bars
    most = max((bar.rooms for bar in bars), default=0) or 1
    width = bars[1].at - bars[0].at if len(bars) > 1 else axis.end - axis.begin
    return [
        _Bar(
            axis.stretch(bar.at, bar.at + width),
            f"{100 * bar.rooms / most:.1f}%",
            f"{100 * bar.late / most:.1f}%",
            f"{datetime.fromtimestamp(bar.at, axis.zone):%a %-d %b %H:%M}: {bar.rooms:,} rooms"
            + (f", {bar.late:,} of them known late" if bar.late else ""),
        )
        for bar in bars
        if bar.rooms
    ]


class _Row(NamedTuple):
    """One figure of both sets of rules."""

    name: str
    here: str
    there: str
    difference: str


class _Twin(NamedTuple):
    """One alert as both sets of rules had it: spans of the rules at hand, and of the others."""

    name: str
    labels: Mapping[str, str]
    here: list[Span]
    there: list[Span]


def _compared(drawing: _Drawing, comparison: Comparison) -> dict[str, object]:
    here, there = (tolls(side, drawing.axis.zone)[0] for side in (comparison.here, comparison.there))
    longer = there.firing - here.firing
    rows = [
        _row("Alerts", here.alerts, there.alerts),
        _row("Notifications", here.notifications, there.notifications),
        _row("Nights woken", len(here.nights), len(there.nights)),
        _Row(
            "Firing",
            _roughly(here.firing),
            _roughly(there.firing),
            ("\N{MINUS SIGN}" if longer < 0 else "+") + _roughly(abs(longer)) if longer else "none",
        ),
    ]
    twins = _twins(drawing, comparison)
    return {
        "name": comparison.name,
        "rows": rows,
        "gained": len(comparison.gained),
        "lost": len(comparison.lost),
        "kept": len(comparison.both),
        "sooner": sum(pair.sooner > 0 for pair in comparison.both),
        "later": sum(pair.sooner < 0 for pair in comparison.both),
        "twins": twins[:MOST_LANES],
        "more": len(twins) - MOST_LANES,
    }


def _row(name: str, here: int, there: int) -> _Row:
    difference = f"{there - here:+,}".replace("-", "\N{MINUS SIGN}") if there != here else "none"
    return _Row(name, f"{here:,}", f"{there:,}", difference)


def _twins(drawing: _Drawing, comparison: Comparison) -> list[_Twin]:
    """A pair of lanes for each alert, those first that differ."""
    marks = dict.fromkeys(one.fingerprint for one in [*comparison.gained, *comparison.lost])
    marks |= dict.fromkeys(pair.here.fingerprint for pair in comparison.both)
    gained, lost = set(map(id, comparison.gained)), set(map(id, comparison.lost))
    found = []
    for mark in marks:
        here = [one for one in comparison.here.firings if one.fingerprint == mark]
        there = [one for one in comparison.there.firings if one.fingerprint == mark]
        labels = (here or there)[0].labels
        own = {key: value for key, value in labels.items() if key != "alertname"}
        found.append(
            _Twin(
                labels.get("alertname", "alert"),
                own,
                [drawing.span(one, "lost" if id(one) in lost else "kept") for one in here],
                [drawing.span(one, "gained" if id(one) in gained else "kept") for one in there],
            )
        )
    return found


@cache
def _environment() -> jinja2.Environment:
    made = environment(TEMPLATES, LONGEST)
    made.filters |= {"duration": _roughly, "anchor": _anchor}
    return made


def _anchor(key: str) -> str:
    """The place of a rule on the page."""
    return f"rule-{sha256(key.encode()).hexdigest()[:12]}"


def _roughly(seconds: int) -> str:
    """How long, in the two units that matter: `1d2h`, `2h5m`, `25m`."""
    unit = 3600 if seconds >= 86400 else 60
    return format_duration(max(0, seconds) // unit * unit) if seconds >= 60 else format_duration(max(0, seconds))
